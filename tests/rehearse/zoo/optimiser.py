"""The momentum is not saved."""

from common import Training, run

run(Training(), without=("momentum",))
