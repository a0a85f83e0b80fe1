"""Many jobs behind one row of SLURM's: who goes into which task, what the ledgers say, and whom a cancel reaches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import bundles
from jobs.bundles import BundleLine, Step
from jobs.errors import BadInput
from jobs.files import append_bytes, make_folder, write_json
from jobs.layout import Layout
from jobs.node import bundling
from jobs.records import Manifest, Outcome, Task
from jobs.resources import Resources
from jobs.words import Cause
from slurm.backend import Batch, LiveAttempt, Phase, QueuedJob, Submission
from slurm.cluster import arrays, sbatch
from slurm.cluster.sbatch import LaunchSettings
from tests.unit.cluster.test_backend import attempt, backend, queue_line

DAWN = datetime(2026, 1, 1, tzinfo=UTC)


def listed(index: int, **more: Any) -> LiveAttempt:
    return attempt(index, 6, bundle=3, **more)


def line(step: Step, job: int = 0, seconds: float = 0.0, **more: Any) -> BundleLine:
    return BundleLine(
        step=step, job=job, attempt=1 if job else 0, node="n1", at=DAWN + timedelta(seconds=seconds), **more
    )


def wrote(folder: Path, *lines: BundleLine, index: int = 0, restart: int = 0) -> None:
    path = Layout(folder).bundle("o-a", index) / f"r{restart}-00000{restart}.jsonl"
    make_folder(path.parent)
    append_bytes(path, b"".join(bundles.encoded(one) for one in (line(Step.BEGUN), *lines)))


def rows(*states: str, **more: Any) -> str:
    return "".join(queue_line(state, task=str(task), **more) for task, state in enumerate(states))


# ---- who goes where


def queued(count: int, **more: Any) -> list[QueuedJob]:
    return [QueuedJob(job=job, resources=Resources(minutes=60), at_once=4, **more) for job in range(count)]


@pytest.mark.parametrize(
    ("count", "learnt", "nodes", "expected"),
    [
        (40, 0.0, 1, 40),  # nothing is known: all, and what does not fit goes back
        (40, 0.0, 4, 10),  # no node is left without a task
        (40, 1200.0, 1, 8),  # 20 minutes and a quarter: twice in an hour
        (40, 4000.0, 1, 4),  # more than the limit: a round
        (3, 0.0, 8, 3),
        (40, 1.0, 40, 4),
    ],
)
def test_a_list_is_as_long_as_the_time_takes_and_no_node_stands_idle(
    count: int, learnt: float, nodes: int, expected: int
) -> None:
    [*made] = arrays.group(queued(count, learnt_seconds=learnt), nodes=nodes)
    assert {one.bundle for one in made} == {expected}
    assert sum(len(one.jobs) for one in made) == count


def test_a_job_alone_is_no_bundle_and_neither_is_one_by_one() -> None:
    assert arrays.group(queued(1)) == [Batch(jobs=tuple(queued(1)))]
    single = [QueuedJob(job=job, resources=Resources()) for job in range(3)]
    assert arrays.group(single) == [Batch(jobs=tuple(single))]


@given(
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from([1, 1, 2, 5]), st.integers(0, 3)), max_size=30),
    st.integers(1, 5),
    st.none() | st.integers(0, 12),
    st.integers(1, 4),
)
def test_whatever_is_asked_each_goes_once_and_no_more_tasks_than_there_is_room(
    asked: list[tuple[int, int, int]], max_array: int, room: int | None, nodes: int
) -> None:
    jobs = [
        QueuedJob(job=place, resources=Resources(cpus=cpus), at_once=at_once, learnt_seconds=float(learnt))
        for place, (cpus, at_once, learnt) in enumerate(asked)
    ]
    made = arrays.group(jobs, max_array, room, nodes)
    sent = [job.job for batch in made for job in batch.jobs]
    assert len(sent) == len(set(sent))
    tasks = [-(-len(one.jobs) // max(1, one.bundle)) for one in made]
    assert all(count <= max_array for count in tasks)
    assert room is None or sum(tasks) <= room
    assert room is not None or len(sent) == len(jobs)
    for batch in made:
        assert len({arrays.request(job) for job in batch.jobs}) == 1


def test_a_task_asks_for_the_shares_of_all_that_run_at_a_time(tmp_path: Path) -> None:
    asked = Resources(cpus=2, memory_mb=500, gpus=1, minutes=60)
    job = QueuedJob(job=1, resources=asked, at_once=4, options={"jobs_per_gpu": 2})
    jobs = (job,) * 6
    manifest = Manifest(token="o-a", backend="slurm", tasks=(), created_at=DAWN)
    batch = Batch(jobs=jobs, bundle=6, at_once=4)
    submission = Submission(token="o-a", folder=tmp_path, manifest=manifest, batch=batch)
    told = sbatch.parameters(submission, frozenset(), LaunchSettings())
    assert (told["cpus_per_task"], told["mem"], told["gpus_per_node"], told["time"]) == (8, "2000M", 2, 60)
    assert submission.tasks == 1


def test_gpus_are_shared_as_was_asked() -> None:
    assert bundling.devices("0,1", 1, 4, 2) == ["0", "0", "1", "1"]
    assert bundling.devices("3", 1, 3, 1) == ["3", "3", "3"], "as given: fewer than that needs"
    assert bundling.devices("0,1,2,3", 2, 2, 1) == ["0,1", "2,3"]
    assert bundling.devices("", 0, 2, 1) == [None, None] and bundling.devices(None, 1, 2, 1) == [None, None]
    assert [bundling.gpus_needed(1, 5, 2), bundling.gpus_needed(2, 3, 4), bundling.gpus_needed(0, 3, 1)] == [3, 6, 0]


def test_what_is_asked_for_is_checked() -> None:
    assert [bundles.checked(text) for text in ("1", "8", " OFF ")] == [1, 8, 0]
    for text in ("0", "-1", "x", "1.5", "257", ""):
        with pytest.raises(BadInput, match="--bundle takes"):
            bundles.checked(text)
    with pytest.raises(BadInput, match="leave one out"):
        bundles.check_beside({"bundle": 2, "slurm": {"nodes": 2}})
    assert bundles.at_once({"bundle": 3, "launcher": "torchrun"}) == 1


# ---- what the ledgers say


def test_one_row_stands_for_each_of_its_list_by_what_its_runner_wrote(tmp_path: Path) -> None:
    own, commands = backend(tmp_path, squeue=rows("RUNNING", "PENDING", node="n1", reason="Priority"))
    wrote(tmp_path, line(Step.STARTED, 1), line(Step.STARTED, 2), line(Step.ENDED, 2, code=1))
    seen = own.observe([listed(place) for place in range(6)])
    assert [seen[job, 1].phase for job in range(1, 7)] == [
        Phase.RUNNING, Phase.ENDED, Phase.PENDING, Phase.PENDING, Phase.PENDING, Phase.PENDING,
    ]  # fmt: skip
    assert (seen[2, 1].cause, seen[2, 1].node) == (Cause.ERROR, "n1")
    assert seen[3, 1].reason == "it is number 3 in the list of job 4_0, which runs on n1"
    assert "with others in one task" in seen[4, 1].reason
    assert commands.counts == {"squeue": 1}


@pytest.mark.parametrize(("state", "cause"), [("TIMEOUT", Cause.TIMEOUT), ("NODE_FAIL", Cause.NODE_FAILURE)])
def test_the_record_of_a_task_speaks_of_those_alone_that_it_ran(tmp_path: Path, state: str, cause: Cause) -> None:
    own, _ = backend(tmp_path, squeue=rows(state, "PENDING", node="n1"), sacct="")
    wrote(tmp_path, line(Step.STARTED, 1), line(Step.STARTED, 2), line(Step.ENDED, 2, code=0))
    seen = own.observe([listed(place, running=place < 2) for place in range(3)])
    assert seen[1, 1].cause is cause and not seen[1, 1].returned
    assert seen[2, 1].phase is Phase.ENDED and seen[2, 1].cause is Cause.KILLED, "it left no outcome"
    assert seen[3, 1].returned and "before its turn came" in seen[3, 1].evidence[-1]


def test_where_no_runner_began_it_is_as_with_any_task(tmp_path: Path) -> None:
    own, _ = backend(tmp_path, squeue=rows("FAILED", "PENDING", node="n1", code=256))
    seen = own.observe([listed(place) for place in range(3)])
    assert {(one.phase, one.returned) for one in seen.values()} == {(Phase.ENDED, False)}


def test_a_runner_that_fails_before_it_starts_anybody_gives_nothing_back_for_ever(tmp_path: Path) -> None:
    own, _ = backend(tmp_path, squeue=rows("FAILED", "PENDING", node="n1", code=256))
    wrote(tmp_path)
    assert not any(one.returned for one in own.observe([listed(place) for place in range(3)]).values())


def test_killed_for_memory_only_who_was_above_its_share_fails(tmp_path: Path) -> None:
    own, _ = backend(tmp_path, squeue=rows("OUT_OF_MEMORY", "PENDING", node="n1"))
    wrote(tmp_path, line(Step.STARTED, 1), line(Step.STARTED, 2), line(Step.LARGE, 2, over_mb=300))
    seen = own.observe([listed(place, running=True) for place in range(2)])
    assert seen[1, 1].returned and "sent alone" in seen[1, 1].evidence[-1]
    assert not seen[2, 1].returned and seen[2, 1].cause is Cause.OUT_OF_MEMORY


def test_who_began_late_is_not_blamed_for_the_limit(tmp_path: Path) -> None:
    own, _ = backend(tmp_path, squeue=rows("TIMEOUT", "PENDING", node="n1"))
    wrote(tmp_path, line(Step.STARTED, 1), line(Step.STARTED, 2, late=True))
    seen = own.observe([listed(place, running=True) for place in range(2)])
    assert not seen[1, 1].returned and seen[2, 1].returned


def test_after_a_requeue_what_the_new_runner_has_not_begun_waits(tmp_path: Path) -> None:
    own, _ = backend(tmp_path, squeue=rows("RUNNING", "PENDING", node="n2", restarts=1))
    wrote(tmp_path, line(Step.STARTED, 1), line(Step.STARTED, 2), line(Step.RETURNED, 3, text="no time"))
    wrote(tmp_path, line(Step.STARTED, 2, 9.0), restart=1)
    seen = own.observe([listed(place, running=place < 2, node="n1") for place in range(3)])
    assert [seen[job, 1].phase for job in (1, 2, 3)] == [Phase.PENDING, Phase.RUNNING, Phase.ENDED]
    assert seen[3, 1].returned and seen[3, 1].evidence == ("no time",)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(list(Step)), st.integers(0, 3)), max_size=20))
def test_whatever_runners_wrote_is_read_in_any_order_of_files(told: list[tuple[int, Step, int]]) -> None:
    runners = {restart: [line(Step.BEGUN, 0, restart)] for restart in range(3)}
    for place, (restart, step, job) in enumerate(told):
        runners[restart].append(line(step, job, 10 * restart + place / 100))
    one, other = bundles.read(runners.items()), bundles.read(reversed(runners.items()))
    assert one.standings == other.standings
    for key, standing in one.standings.items():
        mine = [step for restart in range(3) for r, step, job in told if r == restart and job == key[0]]
        decisive = [step for step in mine if step not in (Step.BEGUN, Step.LARGE)]
        assert standing.step is (decisive[-1] if decisive else Step.BEGUN)
        assert standing.ran == (Step.STARTED in mine)


# ---- whom a cancel reaches


def test_a_cancel_is_a_mark_and_the_task_ends_with_the_last_of_its_list(tmp_path: Path) -> None:
    own, commands = backend(tmp_path, squeue=rows("RUNNING", "PENDING", node="n1"))
    tasks = tuple(Task(job=job, attempt=1, generation=1, resources=Resources()) for job in range(1, 7))
    layout = Layout(tmp_path)
    make_folder(layout.submission("o-a"))
    write_json(
        layout.manifest("o-a"),
        Manifest(token="o-a", backend="slurm", tasks=tasks, bundle=3, at_once=2, created_at=DAWN),
    )
    wrote(tmp_path, line(Step.STARTED, 1), line(Step.STARTED, 2))
    own.cancel([listed(0), listed(2)])
    assert layout.cancel_mark("o-a", 0, 1, 1).exists() and layout.cancel_mark("o-a", 0, 3, 1).exists()
    assert not commands.told("scancel"), "the second of the list goes on"
    own.cancel([listed(3), listed(4), listed(5)])
    assert commands.told("scancel") == [["scancel", "4_1"]], "nobody of that list is left"
    wrote(tmp_path, line(Step.ENDED, 2, code=0))
    own.cancel([listed(0), listed(2)])
    assert commands.told("scancel")[-1] == ["scancel", "4_0"]


def test_a_cancelled_one_that_waits_is_gone_at_once(tmp_path: Path) -> None:
    own, _ = backend(tmp_path, squeue=rows("PENDING", "PENDING"))
    own.cancel([listed(0)])
    seen = own.observe([listed(0), listed(1)])
    assert (seen[1, 1].phase, seen[1, 1].cause) == (Phase.ENDED, Cause.CANCELLED)
    assert seen[2, 1].phase is Phase.PENDING


# ---- what a runner decides


def test_memory_is_looked_at_as_a_whole_before_anybody_is_ended() -> None:
    share = {(1, 1): 100.0, (2, 1): 100.0}
    assert bundling.too_large({(1, 1): 150.0, (2, 1): 10.0}, share, 200.0) is None, "there is room"
    assert bundling.too_large({(1, 1): 150.0, (2, 1): 40.0}, share, 200.0) == (1, 1)
    assert bundling.too_large({(1, 1): 100.0, (2, 1): 95.0}, share, 200.0) is None, "nobody is above his share"
    assert bundling.too_large({(1, 1): 120.0, (2, 1): 170.0}, share, 200.0) == (2, 1)


def test_a_task_is_requeued_where_one_may_go_on_and_one_came_further() -> None:
    stopped = bundling.Stopped
    assert not bundling.goes_on([])
    assert not bundling.goes_on([stopped(True, False)])
    assert not bundling.goes_on([stopped(False, True)])
    assert bundling.goes_on([stopped(False, True), stopped(True, False)])


def test_what_others_used_up_is_not_held_against_one() -> None:
    task = Task(job=1, attempt=1, generation=1, resources=Resources(memory_mb=100))
    died = Outcome(ending="failure", cause=Cause.OUT_OF_MEMORY, peak_memory_mb=60.0, at=DAWN)
    assert bundling.by_others(died, task, 0)
    assert not bundling.by_others(died, task, 50)
    assert not bundling.by_others(msgspec.structs.replace(died, peak_memory_mb=160.0), task, 0)
    assert not bundling.by_others(msgspec.structs.replace(died, cause=Cause.ERROR), task, 0)


def test_time_is_what_slurm_says_or_what_was_asked_for() -> None:
    assert bundles.deadline(DAWN, 10, None) == DAWN.timestamp() + 600
    assert bundles.deadline(DAWN, 10, "1800000000") == 1800000000.0
    assert bundling.fits(100.0, 80.0) and not bundling.fits(99.0, 80.0) and not bundling.fits(0.0, 0.0)
