"""The order of the data starts anew with each start; it reports which image came first."""

from common import Training, report, run

training = Training()
training.first = int(training.sampler[0])


def with_first(epoch, values):
    training.values = {**values, "first_image": float(training.first)}
    report(epoch, training.values)
    training.first = int(training.sampler[0])


run(training, without=("sampler",), report=with_first)
