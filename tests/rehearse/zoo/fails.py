"""Looks for something in the checkpoint that it did not save."""

from common import Training, newest, run

state = newest()
if state is not None:
    state["optimizer"]
run(Training())
