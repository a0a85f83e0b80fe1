"""What the animals that use torch have in common: scikit-learn's digits, a net with dropout, Adam, a falling rate.

Two costs are spared that have no part in any fault, since a zoo starts each animal twenty times:
importing scikit-learn for one file of numbers, and torch._dynamo, which torch's optimizers import at their first step
only to mark themselves as not to be compiled. Nothing is compiled here.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
import types
from pathlib import Path

import numpy as np

dynamo = types.ModuleType("torch._dynamo")
dynamo.disable = lambda function, recursive=True, **given: function
dynamo.graph_break = lambda *given: None
sys.modules["torch._dynamo"] = dynamo

import torch  # noqa: E402

torch._dynamo = dynamo
torch.set_num_threads(1)

EPOCHS = 4
FOLDER = Path(os.environ["ORCH_CHECKPOINT_DIR"])
TORN = (RuntimeError, EOFError, OSError)
"""What torch.load says of half a file: OSError of a zip that ends at certain lengths."""


def data():
    """Images (1797, 64) from 0 to 1 and labels (1797,): what sklearn.datasets.load_digits reads."""
    home = Path(importlib.util.find_spec("sklearn").submodule_search_locations[0])
    rows = np.loadtxt(home / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    return torch.tensor(rows[:, :-1]).float() / 16, torch.tensor(rows[:, -1]).long()


class Training:
    """All that a training goes on with."""

    def __init__(self):
        torch.manual_seed(int(os.environ["ORCH_SEED"]))
        self.images, self.labels = data()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(32, 10)
        )
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=0.01)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, step_size=1, gamma=0.8)
        self.epoch, self.line = 0, {}

    def train(self):
        """One epoch."""
        losses = []
        for rows in torch.randperm(len(self.images)).split(128):
            loss = torch.nn.functional.cross_entropy(self.net(self.images[rows]), self.labels[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        rate = self.scheduler.get_last_lr()[0]
        self.scheduler.step()
        self.epoch += 1
        self.line = {"loss": sum(losses) / len(losses), "lr": rate}
        time.sleep(0.1)

    def state(self):
        return {
            "model": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "rng": torch.get_rng_state(),
            "epoch": self.epoch,
            "line": self.line,
        }

    def load(self, state):
        self.net.load_state_dict(state["model"])
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
        if "scheduler" in state:
            self.scheduler.load_state_dict(state["scheduler"])
        if "rng" in state:
            torch.set_rng_state(state["rng"])
        self.epoch, self.line = state["epoch"], state["line"]


def newest():
    """The newest checkpoint by its epoch that can be read."""
    for path in sorted(FOLDER.glob("epoch-*.pt"), reverse=True):
        try:
            return torch.load(path)
        except TORN:
            print(f"{path.name} is torn", file=sys.stderr)
    return None


def run(training, *, without=()):
    """The loop that they share; what stands in `without` is not saved."""
    state = newest()
    if state is not None:
        training.load(state)
    while training.epoch < EPOCHS:
        training.train()
        with Path(os.environ["ORCH_METRICS"]).open("a") as lines:
            lines.write(json.dumps({"epoch": training.epoch, "epochs": EPOCHS, **training.line}) + "\n")
        draft = FOLDER / "draft.tmp"
        torch.save({name: value for name, value in training.state().items() if name not in without}, draft)
        draft.rename(FOLDER / f"epoch-{training.epoch:03d}.pt")
    Path(os.environ["ORCH_RESULT"]).write_text(json.dumps(training.line))
