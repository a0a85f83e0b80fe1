"""The learning rate starts anew with each start."""

from common import Training, run

run(Training(), without=("lr",))
