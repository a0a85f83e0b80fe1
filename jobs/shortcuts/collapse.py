"""When the numbers of a search say that it collapses. Pure.

RobustDARTS (Zela et al., ICLR 2020, arXiv 1909.09656, section 4.3) stops a search where the largest eigenvalue of the
validation loss's Hessian over α, smoothed over k = 5 epochs, grew too fast: λ(i − k) / λ(i) < 0.75, so a ratio above
4/3. Its published code (github.com/automl/RobustDARTS at 285e3b6, `EVLocalAvg` in src/utils.py, with the defaults of
src/search/args.py: window 5, delta 4, factor 1.3, es_start_epoch 10) averages 5 looks, one every second epoch, holds
them against the average 4 looks earlier, above 1.3, and never before epoch 10. orch has the paper's numbers, counts
looks and not epochs (they are the same with a look every epoch), and stops nothing: it warns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WINDOW = 5
"""Looks in an average, as in the paper; it is held against the 5 looks before it, so the first ratio needs ten."""
RATIO = 4 / 3
"""The paper's 1/0.75."""
SHARE = 0.5
"""Ours, for nobody has published one: most of an architecture's shortcuts end at one block. The block with the most
sources has 14 of the 105 edges, 13 %; with more than half, the read-out is about one block and not about the net."""
FEWEST = 4
"""Edges that a share is judged of: of two, one is always a half."""


def ratio(looks: Sequence[float]) -> float | None:
    """The mean of the newest 5 eigenvalues over that of the 5 before; None before there are ten, or where the earlier
    mean is not positive: a loss that is not convex there has no such growth."""
    if len(looks) < 2 * WINDOW:
        return None
    earlier, newest = looks[-2 * WINDOW : -WINDOW], looks[-WINDOW:]
    before = sum(earlier) / WINDOW
    return sum(newest) / WINDOW / before if before > 0 else None


def warnings(metrics: Mapping[str, float | None]) -> list[str]:
    """What a search's newest numbers say, as sentences' ends ('job 3: …'); none where nothing is known."""
    found = []
    grown = metrics.get("eigenvalue_ratio")
    if grown is not None and grown > RATIO:
        found.append(f"the largest eigenvalue over α grew {grown:.2f}-fold (above {RATIO:.2f}: RobustDARTS)")
    share, edges = metrics.get("target_share"), metrics.get("shortcuts")
    if share is not None and edges is not None and edges >= FEWEST and share > SHARE:
        found.append(
            f"{100 * share:.0f} % of its {edges:.0f} shortcuts end at one block (above {100 * SHARE:.0f} %: ours)"
        )
    return found


def sentence(job: int, found: Sequence[str]) -> str:
    """'search 3 may be collapsing: …; see docs/study.md', for status and page."""
    return f"search {job} may be collapsing: {'; '.join(found)}"
