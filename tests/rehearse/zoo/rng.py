"""The random state of its augmentation is not saved."""

from common import Training, run

run(Training(), without=("rng_state",))
