"""A training script of a researcher: gradient descent on a quadratic, with checkpoints, metrics and a result."""

import argparse
import json
import os
import random
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--steps", type=int, default=20)
arguments = parser.parse_args()

checkpoint = Path(os.environ.get("ORCH_CHECKPOINT_DIR", ".")) / "state.json"
state = {"step": 0, "x": random.Random(arguments.seed).uniform(1, 2)}
if checkpoint.exists():
    state = json.loads(checkpoint.read_text())

while state["step"] < arguments.steps:
    state["x"] -= arguments.lr * 2 * state["x"]
    state["step"] += 1
    with Path(os.environ.get("ORCH_METRICS", os.devnull)).open("a") as metrics:
        metrics.write(json.dumps({"epoch": state["step"], "epochs": arguments.steps, "loss": state["x"] ** 2}) + "\n")
    temporary = checkpoint.with_suffix(".tmp")
    temporary.write_text(json.dumps(state))
    temporary.replace(checkpoint)  # whole or not at all

Path(os.environ.get("ORCH_RESULT", os.devnull)).write_text(json.dumps({"loss": state["x"] ** 2}))
