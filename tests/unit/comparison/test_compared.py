"""What `orch compare` computes of rows: pairs, Holm, baselines, tasks, and the report's own claims."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from db.rows import ResultRow
from jobs.errors import BadInput
from orchestrator.comparison import anystudy, claims, power, wording
from orchestrator.comparison.contrast import Sample, contrast
from orchestrator.tables import table2
from orchestrator.tables.regression import regress
from tests.helpers import plausible, sweep


def values_of(rows: list[ResultRow], **wanted: str) -> list[float]:
    found = [
        (row.seed, row.metrics["acc"] or 0.0)
        for row in rows
        if all(row.config["parameters"][name] == value for name, value in wanted.items())
    ]
    return [value for _, value in sorted(found)]


def test_each_group_beside_the_baseline_by_pairs_of_seeds() -> None:
    rows = sweep.rows(6)
    found = anystudy.compare(rows, ["lr", "opt"], "acc", baseline={"lr": "0.10", "opt": "sgd"}, margin=0.5)
    assert [one.second for one in found.family.contrasts] == ["0.1, sgd"] * 5
    expected = []
    for one in found.family.contrasts:
        lr, opt = one.first.split(", ")
        first, second = values_of(rows, lr=lr, opt=opt), values_of(rows, lr="0.1", opt="sgd")
        theirs = stats.ttest_rel(first, second)
        expected.append(theirs.pvalue)
        bounds = theirs.confidence_interval()
        assert (one.pairs, one.test, one.p) == (6, "paired t", pytest.approx(theirs.pvalue))
        assert one.interval is not None and one.interval.low == pytest.approx(bounds.low)
        assert one.correlation == pytest.approx(np.corrcoef(first, second)[0, 1])
        assert one.smallest is not None and one.equivalence is not None
        error = abs(one.difference / theirs.statistic)
        assert power.power(one.smallest / error, 5, 0.05 / 5) == pytest.approx(0.8)  # Holm's first step of five
    adjusted = multipletests(expected, method="holm")[1]
    assert [one.holm for one in found.family.contrasts] == pytest.approx(list(adjusted))


def test_unpaired_is_welch() -> None:
    rows = sweep.rows(5)
    (one,) = anystudy.compare(rows, ["opt"], "acc", paired=False).family.contrasts
    theirs = stats.ttest_ind(values_of(rows, opt="adam"), values_of(rows, opt="sgd"), equal_var=False)
    assert (one.pairs, one.test, one.correlation) == (0, "Welch t", None)
    assert one.p == pytest.approx(theirs.pvalue)


def test_tasks_are_never_compared_with_each_other_and_averaged_over() -> None:
    found = anystudy.compare(sweep.rows(5), ["opt"], "acc", tasks=["lr"])
    assert [(one.task, one.first, one.second) for one in found.family.contrasts] == [
        ("0.02", "adam", "sgd"),
        ("0.1", "adam", "sgd"),
        ("10", "adam", "sgd"),
    ]
    ((first, second, over),) = found.over_tasks
    mean = sum(one.better.value for one in found.family.contrasts if one.better) / 3
    assert (first, second) == ("adam", "sgd") and over.value == pytest.approx(mean)
    assert {side.name: len(side.runs) for side in found.sides} == {"adam": 3, "sgd": 3}


def test_lower_is_better_where_the_metric_says_so() -> None:
    rows = [replace(row, metrics={"loss": row.metrics["acc"]}) for row in sweep.rows(5)]
    (low,) = anystudy.compare(rows, ["opt"], "loss").family.contrasts
    (high,) = anystudy.compare(sweep.rows(5), ["opt"], "acc").family.contrasts
    assert low.better is not None and high.better is not None
    assert low.better.value == pytest.approx(1 - high.better.value)


@pytest.mark.parametrize(
    ("by", "options", "said"),
    [
        (["same"], {}, "one group by same alone"),
        (["lr"], {"baseline": {"opt": "sgd"}}, "names 'opt', which is no key of --by"),
        (["lr"], {"baseline": {"lr": "7"}}, "no group is the baseline lr=7: a lr is, for one, 0.02"),
        (["lr", "opt"], {"baseline": {"lr": "0.1"}}, "several groups are the baseline lr=0.1"),
        (["lr"], {"tasks": ["lr"]}, "--tasks is 'lr', which is compared as well"),
        (["lrr"], {}, "did you mean 'lr'"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(by: list[str], options: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said.replace("(", r"\(")):
        anystudy.compare(sweep.rows(3), by, "acc", **options)  # type: ignore[arg-type]


def test_too_many_groups_need_a_baseline() -> None:
    with pytest.raises(BadInput, match=r"8 groups are too many .* --baseline seed=0"):
        anystudy.compare(sweep.rows(8), ["seed"], "acc")


def test_no_p_stands_without_what_n_could_have_shown() -> None:
    grids = wording.compared_grids(anystudy.compare(sweep.rows(4), ["lr"], "acc", margin=0.4))
    places = [grids[0].headings.index(name) for name in ("p", "smallest shown", "n needed", "within ±0.4")]
    assert all("-" not in (row[places[0]], row[places[1]], row[places[2]]) for row in grids[0].rows)
    assert "80 of 100 studies" in " ".join(grids[0].notes)


def test_too_few_or_equal_values_have_no_test() -> None:
    one = contrast(Sample(name="a", values=(1.0,), keys=(0,)), Sample(name="b", values=(2.0,), keys=(0,)))
    assert one is not None and (one.difference, one.p, one.smallest) == (-1.0, None, None)
    same = Sample(name="a", values=(1.0, 1.0, 1.0), keys=(0, 1, 2))
    equal = contrast(same, same)
    assert equal is not None and (equal.difference, equal.p, equal.needed) == (0.0, None, None)
    nothing = Sample(name="c", values=(), keys=())
    assert contrast(same, nothing) is None


def test_absurd_numbers_have_a_difference_and_no_test() -> None:
    for scale in (1e300, 1e-200):
        sides = [
            Sample(name=name, values=tuple(scale * one for one in own), keys=(0, 1, 2))
            for name, own in (("a", (1.0, 2.0, 4.0)), ("b", (2.0, 1.5, 1.0)))
        ]
        found = contrast(*sides, margin=1.0)
        assert found is not None and found.difference == pytest.approx(scale * 5 / 6)
        assert (found.p, found.effect, found.smallest, found.correlation) == (None, None, None, None)
        assert found.better is not None and found.better.value == pytest.approx(6 / 9)


def house() -> claims.Claims:
    rows = plausible.study_rows(6)
    again = [
        replace(row, job=row.job + 5000, config={**row.config, "repeat": 1}, metrics={**row.metrics, **more})
        for row in rows
        if row.kind == "evaluate" and row.config.get("method")
        for more in ({"test_accuracy": (row.metrics["test_accuracy"] or 0) + Random(row.job).gauss(0, 0.1)},)
    ]
    (table,) = table2.build_all([*rows, *again])
    return claims.claims(table)


def test_the_reports_claims() -> None:
    found = house()
    titles = [family.title for family in found.families]
    assert titles == [
        "Methods against each other, at the same search epoch",
        "Searched architectures against VGG19",
        "Searched architectures against their matched random ones",
        "Slopes of Figure 1",
        "Slopes of Figure 2",
        "Share of long shortcuts, beside the matched random ones",
    ]
    assert [(one.first, one.second, one.pairs) for one in found.families[0].contrasts] == [
        (f"A {epoch}", f"B {epoch}", 6) for epoch in (50, 100, 150)
    ]
    assert [one.first for one in found.families[1].contrasts] == [f"{m} {e}" for m in "AB" for e in (50, 100, 150)]
    assert {one.second for one in found.families[1].contrasts} == {"vgg19"}
    assert [(one.name, one.parts.searches, one.parts.repeats, one.parts.levels) for one in found.splits] == [
        ("A", 6, 2, 3),
        ("B", 6, 2, 3),
    ]
    for grid in wording.claims_grids(found):
        assert all(len(row) == len(grid.headings) for row in grid.rows)
    assert "smallest" in json.dumps(wording.claims_data(found), allow_nan=False)


def test_the_share_of_long_shortcuts_stands_beside_that_of_the_random_nets() -> None:
    rows = plausible.study_rows(6)
    (family,) = [one for one in house().families if one.metric == "span ≥ 4 (%)"]

    def share(kind: str) -> list[float]:
        cell = [
            row
            for row in rows
            if row.kind == kind and (row.config.get("method"), row.config.get("search_epoch")) == ("B", 50)
        ]
        return [
            100 * sum(1 for i, j in row.edges or () if j - i >= 4) / len(row.edges or ())
            for row in sorted(cell, key=lambda row: row.seed)
        ]

    (one,) = [one for one in family.contrasts if one.first == "B 50"]
    assert one.difference == pytest.approx(np.mean(share("evaluate")) - np.mean(share("random-baseline")))
    assert any("74 %" in note for note in family.notes)


def test_slopes_of_independent_points_are_two_lines_of_ordinary_least_squares() -> None:
    random = Random("slopes")
    x = [float(k) for k in range(9)]
    first = [2 + 0.5 * one + random.gauss(0, 0.4) for one in x]
    second = [1 + 0.2 * one + random.gauss(0, 0.9) for one in x]
    one, two = regress(x, first), regress(x, second)
    assert one is not None and two is not None
    found = claims.slope_contrast("A", one, "B", two)
    a, b = stats.linregress(x, first), stats.linregress(x, second)
    error = (a.stderr**2 + b.stderr**2) ** 0.5
    df = error**4 / (a.stderr**4 / 7 + b.stderr**4 / 7)
    assert found.difference == pytest.approx(a.slope - b.slope)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(a.slope - b.slope) / error, df))


def test_the_interval_of_two_slopes_difference_covers_it() -> None:
    """Points in clusters, as read-outs of a search are: 300 studies of 5 searches a method."""
    random, covered, studies = Random("two slopes"), 0, 300
    for _ in range(studies):
        lines = []
        for slope in (0.5, 0.2):
            x, y, clusters = [], [], []
            for search in range(5):
                own = random.gauss(0, 0.3)
                for step in range(3):
                    at = 2.0 * step + random.gauss(0, 0.7)
                    x.append(at)
                    y.append(slope * at + own + random.gauss(0, 0.3))
                    clusters.append(search)
            line = regress(x, y, clusters)
            assert line is not None
            lines.append(line)
        found = claims.slope_contrast("A", lines[0], "B", lines[1])
        assert found.interval is not None
        covered += found.interval.low <= 0.3 <= found.interval.high
    assert covered >= 0.95 * studies - 4 * (0.05 * 0.95 * studies) ** 0.5
