"""What is compared where nobody says what: what was registered, the report's claims, else what varies."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy import stats

from db.layouts import Layout
from jobs.errors import BadInput
from orchestrator.comparison.anystudy import Incomparable
from orchestrator.report import questions
from orchestrator.stopping.grammar import Compares
from tests.helpers import plausible, sweep

ROWS = sweep.rows(5)


def at(lr: str, opt: str) -> list[float]:
    own = [row for row in ROWS if row.config["parameters"]["lr"] == lr and row.config["parameters"]["opt"] == opt]
    return [row.metrics["acc"] or 0.0 for row in sorted(own, key=lambda row: row.seed)]


def test_the_two_sides_of_a_rule_and_nothing_else() -> None:
    jobs = frozenset(row.job for row in ROWS if row.config["parameters"]["lr"] == "10")
    rule = Compares(metric="acc", second={"opt": "adam"}, jobs=jobs)
    (found,) = questions.answers(ROWS, (), rule).compared
    (only,) = found.family.contrasts
    theirs = stats.ttest_rel(at("10", "sgd"), at("10", "adam"))
    assert (only.first, only.second, only.p) == ("sgd", "adam", pytest.approx(theirs.pvalue))
    assert "not adjusted" in " ".join(found.family.notes) and found.family.title.endswith("(rule)")


def test_a_rule_without_numbers_yet_leaves_the_default() -> None:
    rule = Compares(metric="loss", second={"opt": "adam"}, jobs=frozenset(row.job for row in ROWS))
    assert questions.answers(ROWS, (), rule) == questions.answers(ROWS)


def test_the_baseline_of_a_table_with_its_columns_apart() -> None:
    layout = Layout(rows=("opt",), columns=("lr", "metric"), metrics=("acc",), labels={"acc": "Accuracy"},
                    baseline={"opt": "sgd"}, caption="Main", filters=("lr<5",))  # fmt: skip
    (found,) = questions.answers(ROWS, [layout]).compared
    assert (found.family.title, found.family.metric) == ("Main", "Accuracy")
    assert [(one.task, one.first, one.second) for one in found.family.contrasts] == [
        ("0.02", "adam", "sgd"),
        ("0.1", "adam", "sgd"),
    ]
    theirs = stats.ttest_rel(at("0.02", "adam"), at("0.02", "sgd"))
    assert found.family.contrasts[0].p == pytest.approx(theirs.pvalue)


def test_a_table_without_a_baseline_leaves_what_varies() -> None:
    assert questions.answers(ROWS, [Layout(rows=("opt",), metrics=("acc",))]) == questions.answers(ROWS)


def test_the_reports_claims_of_the_houses_study() -> None:
    found = questions.answers(plausible.study_rows(3))
    assert not found.compared and found.claims and found.contrasts > 10


def test_a_page_says_why_it_compares_nothing_or_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    apart = [replace(row, config={"argv": ["x"], "parameters": {"lr": f"{row.job}"}}) for row in ROWS]
    grids, said = questions.on_a_page(apart, (), None, "en")
    assert not grids and "too many to compare each with each" in said
    alone = [replace(row, config={"argv": ["x"], "parameters": {"lr": "1"}}) for row in ROWS]
    assert questions.on_a_page(alone, (), None, "en") == ([], "")
    with pytest.raises(Incomparable):
        questions.answers(alone)
    with pytest.raises(BadInput):
        questions.answers(apart)
    layout = Layout(rows=("lr",), metrics=("acc",), baseline={"lr": "1"})
    monkeypatch.setattr(questions, "MOST_CONTRASTS", 20)
    assert "29 comparisons are too many" in questions.on_a_page(apart, [layout], None, "en")[1]
    monkeypatch.setattr(questions, "MOST_JOBS", 10)
    assert "'orch compare' does" in questions.on_a_page(ROWS, (), None, "en")[1]
