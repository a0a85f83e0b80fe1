"""What the bootstrap intervals of `orch compare` cover: python -m benchmarks.bootstrap_coverage 1000"""

from __future__ import annotations

import sys
from random import Random

from orchestrator.comparison import robust


def covered(n: int, studies: int) -> tuple[float, float]:
    """In %: of the interquartile mean, and of the probability of improvement of unpaired sides, of normal values."""
    random, means, better = Random(f"bootstrap {n}"), 0, 0
    for _ in range(studies):
        first, second = ([random.gauss(0, 1) for _ in range(n)] for _ in range(2))
        middle = robust.interquartile_mean({"": first})
        won = robust.improvement_over({"": first}, {"": second}, paired=False, up=True)
        assert middle is not None and middle.interval is not None and won is not None and won.interval is not None
        means += middle.interval.low <= 0 <= middle.interval.high
        better += won.interval.low <= 0.5 <= won.interval.high
    return 100 * means / studies, 100 * better / studies


if __name__ == "__main__":
    given = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for size in (3, 5, 10, 20):
        mean, won = covered(size, given)
        print(f"n = {size}: interquartile mean {mean:.1f}, P(better) {won:.1f}")
