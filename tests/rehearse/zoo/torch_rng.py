"""torch on scikit-learn's digits; its random state, which shuffles and drops out, is not saved."""

from common_torch import Training, run

run(Training(), without=("rng",))
