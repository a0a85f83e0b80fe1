"""How often the 95 % intervals of tables and figures cover the true value, by simulated studies.

    python -m benchmarks.coverage [STUDIES]

Means, gains (paired, their pairs sharing what their search has) and unpaired differences are of normal values. Slopes:
each study has 3 read-outs of each search. `size`: the x of a search and of its read-outs spread by (3, 0.5) as in a
collapsed search, or the read-outs grow as in the report's Table 2 (12.7, 18.2, 18.9) and searches spread by 1.2.
`alike`: the share of the accuracy's variance that is the search's own. There is no true slope.
"""

from __future__ import annotations

import sys
from random import Random

from scipy import stats

from orchestrator.tables.regression import Line, regress
from orchestrator.tables.statistics import Interval, paired_t, t_interval, welch_t

GROWN = (12.7, 18.2, 18.9)


def study(searches: int, alike: float, grows: bool, random: Random) -> Line:
    x, y, clusters = [], [], []
    for search in range(searches):
        size, level = random.gauss(0, 1.2 if grows else 3.0), random.gauss(0, alike**0.5)
        for readout in GROWN if grows else (15.0,) * 3:
            x.append(readout + size + random.gauss(0, 0.5))
            y.append(93 + 0.15 * (level + random.gauss(0, (1 - alike) ** 0.5)))
            clusters.append(search)
    line = regress(x, y, clusters)
    assert line is not None
    return line


def cells(n: int, random: Random) -> list[Interval | None]:
    """Intervals of a mean of 93, of a gain of 0.3 over matched ones, of 0.3 over others; each moved to cover 0."""
    shared = [random.gauss(0, 0.2) for _ in range(n)]
    found = [93.3 + one + random.gauss(0, 0.1) for one in shared]
    gain = paired_t(found, [93.0 + one + random.gauss(0, 0.3) for one in shared])
    beside = welch_t(found, [93.0 + random.gauss(0, 0.36) for _ in range(n)])
    moved = []
    for interval, truth in (
        (t_interval(found), 93.3),
        (gain.interval if gain else None, 0.3),
        (beside.interval if beside else None, 0.3),
    ):
        moved.append(interval and Interval(low=interval.low - truth, high=interval.high - truth))
    return moved


def main(studies: int) -> None:
    print(f"{studies} studies each; covered in %: mean, gain over matched, difference of unmatched (Welch)")
    for n in (2, 3, 5, 10):
        random = Random(f"cells/{n}")
        covered = [0, 0, 0]
        for _ in range(studies):
            for place, interval in enumerate(cells(n, random)):
                covered[place] += interval is not None and interval.low <= 0 <= interval.high
        print(f"  n = {n}: {', '.join(f'{100 * one / studies:.1f}' for one in covered)}", flush=True)
    print(f"{studies} studies each; covered in %: clustered by search (the usual interval)")
    for grows in (False, True):
        print("read-outs grow as in Table 2" if grows else "read-outs hardly differ")
        for alike in (0.0, 0.5, 0.9):
            shown = []
            for searches in (3, 4, 5, 7, 10):
                random = Random(f"{searches}/{alike}/{grows}")
                ours = usual = 0
                for _ in range(studies):
                    line = study(searches, alike, grows, random)
                    ours += line.interval is not None and line.interval.low <= 0 <= line.interval.high
                    error = line.residual_std / line.x_square**0.5
                    usual += bool(abs(line.slope) <= stats.t.ppf(0.975, line.n - 2) * error)
                shown.append(f"{searches}: {100 * ours / studies:.1f} ({100 * usual / studies:.1f})")
            print(f"  alike {alike}: searches {', '.join(shown)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
