"""A claim tells of its study's rule: decided as registered, stopped by hand, changed, or not what its results give."""

from __future__ import annotations

import msgspec
import pytest

from db.entries import Drop, Entry
from db.stopping import DECIDED, Look, Rule, Side
from orchestrator.stopping.deciding import decide
from tests.integration.claims.conftest import Lab

METRIC = "test_accuracy"


def write(lab: Lab, *entries: Entry) -> None:
    with lab.filled.store.write() as writer:
        writer.decide(entries)


@pytest.fixture
def rule(lab: Lab) -> Rule:
    """Registered, and decided after eight seeds."""
    first = lab.filled.submit(seeds=range(8))
    second = lab.filled.submit(seeds=range(8), values={"lr": 0.2})
    sides = (Side("lr=0.1", first[0]), Side("lr=0.2", second[0]))
    found = Rule(
        study="default", text="lr=0.1 > lr=0.2 on acc", metric=METRIC, sides=sides, at_most=10, looks=(8, 10),
        at=lab.filled.tick(),
    )  # fmt: skip
    write(lab, found)
    values = [[91.0 + seed * 0.1 for seed in range(8)], [90.0] * 8]
    for jobs, numbers in zip((first, second), values, strict=True):
        for job, number in zip(jobs, numbers, strict=True):
            lab.filled.succeed(job, {METRIC: number})
    look = decide(found, values, lab.filled.tick())
    assert look.verdict == DECIDED
    write(lab, look)
    return found


def said(lab: Lab) -> tuple[list[str], list[str]]:
    verdict = lab.verdict()
    return [one.text for one in verdict.findings if one.what == "rule"], verdict.remarks


def test_what_was_decided_is_a_remark(lab: Lab, rule: Rule) -> None:
    findings, remarks = said(lab)
    assert findings == [] and "decided at n = 8 of at most 10: lr=0.1 > lr=0.2" in remarks[0]
    assert lab.verdict().sound


def test_a_drop_is_stopped_by_hand(lab: Lab, rule: Rule) -> None:
    write(lab, Drop(jobs=(rule.sides[1].job + 5,), because="odd", at=lab.filled.tick()))
    findings, _ = said(lab)
    assert "stopped by hand: seed 5 of lr=0.2 was dropped, after it was decided at n = 8" in findings[0]


def test_a_number_run_again_is_stopped_by_hand(lab: Lab, rule: Rule) -> None:
    lab.retry(rule.sides[0].job + 2)
    findings, _ = said(lab)
    assert "seed 2 of lr=0.1 was run again after its number was known" in findings[0]


def test_a_rule_that_was_changed_after_the_data_is_seen(lab: Lab, rule: Rule) -> None:
    write(lab, msgspec.structs.replace(rule, text="lr=0.2 > lr=0.1 on acc", before=16, at=lab.filled.tick()))
    findings, _ = said(lab)
    assert "registered when 16 results were known already" in findings[0]
    assert "was changed" in findings[1] and "'lr=0.1 > lr=0.2 on acc', at most 10" in findings[1]


def test_a_look_that_its_results_do_not_give_is_seen(lab: Lab, rule: Rule) -> None:
    write(lab, msgspec.structs.replace(rule, text="once more", at=lab.filled.tick()))
    write(lab, Look(study="default", n=8, verdict=DECIDED, p=1e-9, bound=0.02, mean=9.0, at=lab.filled.tick()))
    findings, _ = said(lab)
    assert any(
        "the look at n = 8 says 'decided' (p = 1e-09), its results give 'decided' (p = 0.0" in one for one in findings
    )


@pytest.mark.parametrize("looks", [(), (8, 10**12), tuple(range(1, 5000))])
def test_a_plan_that_no_orch_makes_costs_no_time(lab: Lab, rule: Rule, looks: tuple[int, ...]) -> None:
    changed = msgspec.structs.replace(rule, looks=looks or (10**12,), at_most=10**12, at=lab.filled.tick())
    write(lab, changed)
    write(lab, Look(study="default", n=changed.looks[-1], verdict=DECIDED, at=lab.filled.tick()))
    assert said(lab)[0]
