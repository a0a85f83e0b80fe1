"""What the animals of the zoo have in common: 200 small images of digits' kind, a linear net with momentum, no torch.

Each animal is a program as a person writes one. It trains for EPOCHS epochs, a fifth of a second each, reports loss,
accuracy and learning rate, and saves after every epoch. The faults are in the animals; here all is right.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from pathlib import Path

import numpy as np

EPOCHS = int(os.environ.get("ZOO_EPOCHS", "6"))
SECONDS = 0.2
SEED = int(os.environ.get("ORCH_SEED", "0"))
FOLDER = Path(os.environ["ORCH_CHECKPOINT_DIR"])


def data():
    """Images (200, 16) and labels (200,), the same for every seed."""
    dice = np.random.default_rng(7)
    labels = dice.integers(0, 4, 200)
    images = dice.normal(size=(4, 16))[labels] + dice.normal(size=(200, 16))
    return images, labels


class Training:
    """All that a training goes on with."""

    def __init__(self):
        self.images, self.labels = data()
        self.rng = np.random.default_rng(SEED)
        self.shuffle = np.random.default_rng(SEED + 1000).permutation(200)
        self.sampler = self.shuffle
        self.weights = self.rng.normal(size=(16, 4)) * 0.01
        self.momentum = np.zeros((16, 4))
        self.rate = 0.1
        self.epoch = 0
        self.best = 0.0
        self.values = {}

    def loss(self, x, y):
        logits = x @ self.weights
        logits -= logits.max(1, keepdims=True)
        p = np.exp(logits)
        p /= p.sum(1, keepdims=True)
        return -np.log(p[np.arange(len(y)), y] + 1e-12).mean(), p

    def train(self):
        """One epoch: the numbers of it."""
        began = time.monotonic()
        losses, order = [], self.sampler
        for start in range(0, 200, 20):
            rows = order[start : start + 20]
            x = self.images[rows] + self.rng.normal(size=(20, 16)) * 0.3
            y = self.labels[rows]
            value, p = self.loss(x, y)
            losses.append(value)
            p[np.arange(20), y] -= 1
            self.momentum = 0.9 * self.momentum + x.T @ p / 20
            self.weights = self.weights - self.rate * self.momentum
        _, p = self.loss(self.images, self.labels)
        accuracy = float((p.argmax(1) == self.labels).mean() * 100)
        self.best = max(self.best, accuracy)
        values = {"loss": float(np.mean(losses)), "accuracy": accuracy, "lr": self.rate}
        self.values = values
        self.epoch += 1
        self.sampler = self.sampler[self.shuffle]
        self.rate *= 0.7
        time.sleep(max(0.0, SECONDS - (time.monotonic() - began)))
        return values

    def state(self):
        return {
            "weights": self.weights,
            "momentum": self.momentum,
            "lr": self.rate,
            "rng_state": self.rng.bit_generator.state,
            "sampler": self.sampler,
            "epoch": self.epoch,
            "best": self.best,
            "values": self.values,
        }

    def load(self, state, without=()):
        for name, value in state.items():
            if name in without:
                continue
            if name == "rng_state":
                self.rng.bit_generator.state = value
            else:
                setattr(self, "rate" if name == "lr" else name, value)


def report(epoch, values):
    with Path(os.environ["ORCH_METRICS"]).open("a") as lines:
        lines.write(json.dumps({"epoch": epoch, "epochs": EPOCHS, **values}) + "\n")


def result(values):
    Path(os.environ["ORCH_RESULT"]).write_text(json.dumps(values))


def save(state, name=None):
    """Whole or not at all: a temporary name, then a rename."""
    path = FOLDER / (name or f"model-{state['epoch']}.pkl")
    draft = path.with_name(path.name + ".tmp")
    with draft.open("wb") as handle:
        pickle.dump(state, handle)
        handle.flush()
        os.fsync(handle.fileno())
    draft.rename(path)


def by_epoch():
    return sorted(FOLDER.glob("model-*.pkl"), key=lambda one: int(one.stem.partition("-")[2]), reverse=True)


def newest(found=None):
    """The newest checkpoint by its epoch that can be read."""
    found = by_epoch() if found is None else found
    for path in found:
        try:
            return pickle.loads(path.read_bytes())
        except (EOFError, pickle.UnpicklingError):
            print(f"{path.name} is torn", file=sys.stderr)
    return None


def run(training, *, save=save, newest=newest, without=(), report=report):
    """The loop that most of them share."""
    state = newest()
    if state is not None:
        training.load(state, without)
    while training.epoch < EPOCHS:
        values = training.train()
        report(training.epoch, values)
        save({name: value for name, value in training.state().items() if name not in without})
    result({**training.values, "best": training.best})
