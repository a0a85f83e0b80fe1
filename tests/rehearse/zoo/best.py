"""The best value so far is not saved; it came early."""

from common import EPOCHS, Training, newest, report, result, save

training = Training()
state = newest()
if state is not None:
    training.load(state)
best = -1000.0
while training.epoch < EPOCHS:
    values = training.train()
    values["validation"] = values["accuracy"] - 20.0 * training.epoch
    best = max(best, values["validation"])
    training.values = values
    report(training.epoch, values)
    save({name: value for name, value in training.state().items() if name != "best"})
result({**training.values, "best_validation": best})
