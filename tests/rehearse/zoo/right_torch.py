"""Right: torch on scikit-learn's digits, with all of its state in the checkpoint."""

from common_torch import Training, run

run(Training())
