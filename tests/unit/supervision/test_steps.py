"""The pure part of every step of a cycle: what it decides from what it was told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from db.health import StoredStrike
from db.submissions import Intent
from jobs.words import AttemptState, Cause
from orchestrator.settings import Nodes
from orchestrator.supervision import cleanup
from orchestrator.supervision.acceptance import new_success
from orchestrator.supervision.cleanup import LEAVING_SECONDS, is_leaving
from orchestrator.supervision.intents import MISS_SPACING, is_gone
from orchestrator.supervision.judging import SETTLE_SECONDS, Accept, Nothing, Over, Requeued, Running, Verdict
from orchestrator.supervision.observation import phase_changes
from orchestrator.supervision.placing import place
from orchestrator.supervision.reading import may_have_files
from orchestrator.supervision.verdicts import is_quiet
from slurm.backend import Observation, Phase
from slurm.pools import Pools
from tests.helpers.cases import AT, attempt, execution, outcome, queued


def intent(backend: str, misses: int, missed_before: timedelta | None) -> Intent:
    missed_at = None if missed_before is None else AT - missed_before
    return Intent(token="orch-1", backend=backend, created_at=AT, misses=misses, missed_at=missed_at)


@pytest.mark.parametrize(
    ("backend", "misses", "missed_before", "gone"),
    [
        ("local", 0, None, True),
        ("slurm", 0, None, False),
        ("slurm", 1, MISS_SPACING - timedelta(seconds=1), False),
        ("slurm", 5, MISS_SPACING - timedelta(seconds=1), False),
        ("slurm", 1, MISS_SPACING, True),
        ("slurm", 1, -timedelta(hours=1), False),
    ],
)
def test_two_good_queries_a_minute_apart_prove_that_nothing_was_launched(
    backend: str, misses: int, missed_before: timedelta | None, gone: bool
) -> None:
    assert is_gone(intent(backend, misses, missed_before), AT) is gone


def test_only_what_the_store_does_not_hold_is_written() -> None:
    live = [
        attempt(id=1, number=1, phase="running", reason=""),
        attempt(id=2, number=2, phase="pending", reason=""),
        attempt(id=3, number=3, phase="running", absent=1),
        attempt(id=4, number=4),
    ]
    seen = {
        (7, 1): Observation(phase=Phase.RUNNING),
        (7, 2): Observation(phase=Phase.PENDING, reason="Resources"),
        (7, 3): Observation(phase=Phase.ABSENT),
    }
    assert phase_changes(live, seen) == [(2, "pending", "Resources", None, 0), (3, "absent", "", None, 2)]


@pytest.mark.parametrize(
    ("state", "doomed", "phase", "listed"),
    [
        (AttemptState.SUBMITTED, False, Phase.PENDING, False),
        (AttemptState.SUBMITTED, False, Phase.HELD, False),
        (AttemptState.SUBMITTED, False, Phase.RUNNING, True),
        (AttemptState.SUBMITTED, False, None, True),
        (AttemptState.SUBMITTED, True, Phase.PENDING, True),
        (AttemptState.RUNNING, False, Phase.PENDING, True),
    ],
)
def test_the_folders_of_what_waits_are_not_listed(
    state: AttemptState, doomed: bool, phase: Phase | None, listed: bool
) -> None:
    observation = None if phase is None else Observation(phase=phase)
    assert may_have_files(attempt(state=state, doomed=doomed), observation) is listed


OVER = Over(cause=Cause.KILLED, error=None, evidence=(), seen=None, node=None)


@pytest.mark.parametrize(
    ("state", "verdict", "quiet"),
    [
        (AttemptState.RUNNING, Running(node="n1"), True),
        (AttemptState.SUBMITTED, Running(node="n1"), False),
        (AttemptState.SUBMITTED, Requeued(), True),
        (AttemptState.RUNNING, Requeued(), False),
        (AttemptState.RUNNING, Nothing(), True),
        (AttemptState.RUNNING, None, True),
        (AttemptState.RUNNING, OVER, False),
        (AttemptState.RUNNING, Accept(seen=execution(0, outcome("success"))), False),
    ],
)
def test_a_verdict_that_changes_nothing_costs_no_transaction(
    state: AttemptState, verdict: Verdict | None, quiet: bool
) -> None:
    assert is_quiet(attempt(state=state), verdict) is quiet


def test_the_earliest_complete_success_that_is_new_is_taken() -> None:
    late, early = execution(0, outcome("success", second=9)), execution(1, outcome("success", second=3))
    torn = execution(2, outcome("success", second=1), complete=False)
    failed = execution(3, outcome("failure", Cause.ERROR, second=0))
    assert new_success([late, early, torn, failed]) is early
    early.changed = False
    assert new_success([late, early, torn, failed]) is late
    assert new_success([torn, failed]) is None


@pytest.mark.parametrize(
    ("cause", "seconds", "phase", "leaving"),
    [
        (Cause.SUCCESS, 0.0, Phase.RUNNING, True),
        (Cause.SUCCESS, LEAVING_SECONDS, Phase.RUNNING, False),
        (Cause.SUCCESS, -5.0, Phase.RUNNING, False),
        (Cause.SUCCESS, 0.0, Phase.PENDING, False),
        (Cause.CANCELLED, 0.0, Phase.RUNNING, False),
        (Cause.ERROR, 1.0, None, True),
    ],
)
def test_who_wrote_its_outcome_just_now_is_left_to_leave(
    cause: Cause, seconds: float, phase: Phase | None, leaving: bool
) -> None:
    ended = attempt(cause=cause, ended_at=AT, state=AttemptState.ENDED, doomed=True)
    assert is_leaving(ended, phase, AT + timedelta(seconds=seconds)) is leaving


@pytest.mark.parametrize(
    ("phase", "cause", "ended", "gone"),
    [
        (Phase.ABSENT, None, 0.0, True),
        (Phase.ENDED, Cause.CANCELLED, 0.0, True),
        (Phase.ENDED, Cause.NODE_FAILURE, 0.0, False),
        (Phase.ENDED, Cause.PREEMPTED, SETTLE_SECONDS - 0.1, False),
        (Phase.ENDED, Cause.NODE_FAILURE, SETTLE_SECONDS, True),
        (Phase.COMPLETING, None, 1000.0, False),
        (Phase.PENDING, None, 0.0, False),
    ],
)
def test_what_slurm_may_requeue_is_not_gone_at_once(
    phase: Phase, cause: Cause | None, ended: float, gone: bool
) -> None:
    assert cleanup.is_gone(Observation(phase=phase, cause=cause), ended) is gone


def test_what_is_held_what_goes_and_what_is_avoided() -> None:
    """Bad nodes fill partition `small`; job 3 failed on a node of `big`; job 4 is put off."""
    pools = Pools(partitions={"big": frozenset({"b1", "b2", "b3", "b4"}), "small": frozenset({"s1"})})
    struck = Nodes(strikes=1, largest_share=0.5)
    strikes = [StoredStrike(node="s1", at=AT, cause="node_failure", job=9)]
    jobs = [
        queued(1),
        queued(2, partition="small"),
        queued(3, partition="big,small"),
        queued(4, partition="small"),
    ]
    found = place(jobs, jobs[:3], strikes, {3: frozenset({"b2", "elsewhere"})}, pools, AT, struck)
    assert found.held == {2, 4}
    assert [job.id for job in found.going] == [1, 3]
    assert found.avoid == {3: frozenset({"b2"})}
    assert list(found.stopped) == ["small"]


@pytest.mark.parametrize(
    ("exclude", "failed", "avoided"),
    [
        ("", {"n3"}, {"n3"}),
        ("", {"n2", "n3"}, set()),
        ("n2", {"n3"}, set()),
        ("n[2-3]", {"n3"}, set()),
        ("n[", {"n3"}, {"n3"}),
    ],
)
def test_a_job_keeps_off_where_it_failed_only_while_another_node_is_left(
    exclude: str, failed: set[str], avoided: set[str]
) -> None:
    """Of three nodes n1 is struck: what has no node left would be refused by sbatch for good."""
    pools = Pools(partitions={"main": frozenset({"n1", "n2", "n3"})})
    struck = Nodes(strikes=1, largest_share=0.5)
    strikes = [StoredStrike(node="n1", at=AT, cause="node_failure", job=9)]
    job = queued(1)
    options = {"slurm": {"exclude": exclude}} if exclude else {}
    job = replace(job, launching=msgspec.structs.replace(job.launching, options=options))
    found = place([job], [job], strikes, {1: frozenset(failed)}, pools, AT, struck)
    assert found.exclude == {"n1"}
    assert found.avoid.get(1, frozenset()) == avoided
