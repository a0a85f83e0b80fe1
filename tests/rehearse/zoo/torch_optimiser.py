"""torch on scikit-learn's digits; Adam's moments are not saved."""

from common_torch import Training, run

run(Training(), without=("optimizer",))
