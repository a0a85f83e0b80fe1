"""Every kind of cell of Table 2, its statistics computed again by numpy, scipy and statsmodels; and what they cover."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.meta_analysis import effectsize_smd

from db.rows import ResultRow
from orchestrator.tables import statistics, stats, table2
from tests.helpers.plausible import row, study_rows

STUDIES = 400
LEAST, MOST = 0.95 * STUDIES - 4 * (0.05 * 0.95 * STUDIES) ** 0.5, STUDIES
"""Four standard errors below 95 %."""


def study() -> list[ResultRow]:
    """Searches, evaluations, matched random ones (each trained twice), VGG19, and random ones matched to nothing."""
    once = study_rows(5)
    random = Random("again")
    again = [
        replace(
            one,
            job=1000 + one.job,
            config={**one.config, "repeat": 1},
            metrics={**one.metrics, "test_accuracy": (one.metrics["test_accuracy"] or 0) + random.gauss(0, 0.1)},
        )
        for one in once
        if one.kind == "random-baseline" or one.config.get("architecture") == "vgg19"
    ]
    alone = [row(2000 + k, kind="random-baseline", seed=k, accuracy=93 + random.gauss(0, 0.2)) for k in range(5)]
    return [*once, *again, *alone]


def per_architecture(rows: list[ResultRow], kind: str, method: str | None, epoch: int | None) -> list[float]:
    """Accuracies by seed, repeats averaged; of VGG19 every training by itself."""
    found: dict[object, list[float]] = defaultdict(list)
    for one in rows:
        if (one.kind, one.config.get("method"), one.config.get("search_epoch")) == (kind, method, epoch):
            key = (one.seed, one.job) if one.config.get("architecture") == "vgg19" else one.seed
            found[key].append(one.metrics["test_accuracy"] or 0.0)
    return [float(np.mean(found[key])) for key in sorted(found, key=str)]


def test_every_kind_of_cell_agrees_with_scipy_and_statsmodels() -> None:
    rows = study()
    computed = {(one.row.architecture, one.row.epoch): one for one in stats.compute(table2.build(rows)).rows}
    assert len(computed) == 8
    p_values = []
    for (name, epoch), one in computed.items():
        kind = "random-baseline" if name == "random" else "evaluate"
        method = name if one.row.is_searched else None
        values = per_architecture(rows, kind, method, epoch)
        assert one.row.cell.n == len(values) == (10 if name == "vgg19" else 5)
        assert one.accuracy.mean == pytest.approx(np.mean(values), rel=1e-12)
        assert one.accuracy.std == pytest.approx(np.std(values, ddof=1), rel=1e-9)
        low, high = scipy_stats.t.interval(0.95, len(values) - 1, np.mean(values), scipy_stats.sem(values))
        assert one.interval is not None
        assert (one.interval.low, one.interval.high) == (pytest.approx(low), pytest.approx(high))
        if not one.row.is_searched:
            assert (one.paired, one.welch, one.hedges_g) == (None, None, None)
            continue
        drawn = per_architecture(rows, "random-baseline", name, epoch)
        assert one.paired is not None and one.welch is not None and one.ranks is not None and one.hedges_g is not None
        theirs = scipy_stats.ttest_rel(values, drawn)
        assert one.paired.interval is not None and one.pairs == 5
        assert (one.paired.statistic, one.paired.p) == (pytest.approx(theirs.statistic), pytest.approx(theirs.pvalue))
        bounds = theirs.confidence_interval()
        assert (one.paired.interval.low, one.paired.interval.high) == (
            pytest.approx(bounds.low),
            pytest.approx(bounds.high),
        )
        assert one.welch.p == pytest.approx(scipy_stats.ttest_ind(values, drawn, equal_var=False).pvalue)
        assert one.ranks.p == pytest.approx(scipy_stats.mannwhitneyu(values, drawn).pvalue)
        g, _ = effectsize_smd(np.mean(values), np.std(values, ddof=1), 5, np.mean(drawn), np.std(drawn, ddof=1), 5)
        assert one.hedges_g == pytest.approx(g)
        p_values.append(theirs.pvalue)
    order = np.argsort(p_values)
    adjusted = np.maximum.accumulate(np.minimum(1, np.sort(p_values) * np.arange(len(p_values), 0, -1)))
    shown = [one.holm for one in computed.values() if one.holm is not None]
    assert [shown[place] for place in order] == [pytest.approx(p) for p in adjusted]


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_the_interval_of_a_mean_covers_what_it_says(n: int) -> None:
    covered = 0
    for seed in range(STUDIES):
        random = Random(f"mean/{n}/{seed}")
        found = statistics.t_interval([random.gauss(93, 0.2) for _ in range(n)])
        assert found is not None
        covered += found.low <= 93 <= found.high
    assert LEAST <= covered <= MOST


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_the_intervals_of_gain_and_growth_cover_what_they_say(n: int) -> None:
    """Pairs share what their search has; the sides spread differently."""
    paired = welch = 0
    for seed in range(STUDIES):
        random = Random(f"gain/{n}/{seed}")
        shared = [random.gauss(0, 0.2) for _ in range(n)]
        first = [93.3 + one + random.gauss(0, 0.1) for one in shared]
        second = [93.0 + one + random.gauss(0, 0.3) for one in shared]
        apart = [93.0 + random.gauss(0, 0.36) for _ in range(n)]
        gain, beside = statistics.paired_t(first, second), statistics.welch_t(first, apart)
        assert gain is not None and gain.interval is not None and beside is not None and beside.interval is not None
        paired += gain.interval.low <= 0.3 <= gain.interval.high
        welch += beside.interval.low <= 0.3 <= beside.interval.high
    assert LEAST <= paired <= MOST
    assert LEAST <= welch <= MOST
