"""Right: everything is in the checkpoint."""

from common import Training, run

run(Training())
