"""Saves, and never looks at what it saved."""

from common import Training, run

run(Training(), newest=lambda: None)
