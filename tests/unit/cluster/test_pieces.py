"""A sliced attempt in SLURM's answers: an array of which one task runs at a time, and all are one attempt."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.files import make_folder, write_json
from jobs.layout import Layout
from jobs.records import Manifest, Started, Task
from jobs.resources import InQueue, Resources
from jobs.words import Cause
from slurm.backend import Batch, Phase, QueuedJob, Submission
from slurm.cluster import arrays, inqueue, sbatch, trial
from slurm.cluster.sbatch import LaunchSettings
from tests.unit.cluster.test_backend import DISABLED, attempt, backend, queue_line
from tests.unit.cluster.test_sbatch import flags

DAWN = datetime(2026, 1, 1, tzinfo=UTC)
SLICED = attempt(pieces=4)


def began(folder: Path, task: int, turn: int) -> None:
    """A piece has left its files."""
    path = Layout(folder).attempt(1, 1) / f"e{turn}-00000{turn}"
    make_folder(path)
    started = Started(
        job=1, attempt=1, generation=1, token="o-a", index=0, restart=turn, node="n1", host="n1", pid=9,
        process_start=1.0, boot_id="b", slurm_job=f"4_{task}", at=DAWN,
    )  # fmt: skip
    write_json(path / "started.json", started)


def lines(*states: str, **more: str) -> str:
    return "".join(queue_line(state, task=str(task), **more) for task, state in enumerate(states))


@pytest.mark.parametrize(
    ("states", "phase"),
    [
        (("PENDING",) * 4, Phase.PENDING),
        (("COMPLETED", "RUNNING", "PENDING", "PENDING"), Phase.RUNNING),
        (("COMPLETED", "COMPLETING", "PENDING", "PENDING"), Phase.COMPLETING),
        (("COMPLETED", "COMPLETED", "PENDING", "PENDING"), Phase.PENDING),
        (("PENDING", "COMPLETED", "RUNNING", "PENDING"), Phase.RUNNING),
        (("COMPLETED", "SUSPENDED", "PENDING", "PENDING"), Phase.SUSPENDED),
    ],
)
def test_the_piece_that_is_furthest_says_where_the_attempt_is(
    tmp_path: Path, states: tuple[str, ...], phase: Phase
) -> None:
    own, commands = backend(tmp_path, squeue=lines(*states))
    assert own.observe([SLICED])[1, 1].phase is phase
    assert not commands.told("sacct"), "the queue alone tells"


def test_it_is_over_as_the_piece_ended_that_began_last(tmp_path: Path) -> None:
    """SLURM ran the first task once more after the others: the array's index says nothing."""
    for turn, task in enumerate((0, 1, 2, 3, 0)):
        began(tmp_path, task, turn)
    queue = lines("TIMEOUT", "COMPLETED", "COMPLETED", "COMPLETED")
    own, _ = backend(tmp_path, squeue=queue, sacct=DISABLED)
    seen = own.observe([SLICED])[1, 1]
    assert (seen.phase, seen.cause) == (Phase.ENDED, Cause.TIMEOUT)


def test_without_the_end_of_the_last_piece_it_is_absent(tmp_path: Path) -> None:
    began(tmp_path, 0, 0)
    began(tmp_path, 1, 1)
    records = "4_0|COMPLETED|0:0|n1|None|o-a\n"
    own, _ = backend(tmp_path, squeue="", sacct=records)
    assert own.observe([SLICED])[1, 1].phase is Phase.ABSENT
    own, _ = backend(tmp_path, squeue="", sacct=records + "4_1|NODE_FAIL|1:0|n1|None|o-a\n")
    seen = own.observe([SLICED])[1, 1]
    assert (seen.phase, seen.cause) == (Phase.ENDED, Cause.NODE_FAILURE)


def test_no_news_while_the_records_of_some_pieces_do_not_answer(tmp_path: Path) -> None:
    from tests.unit.cluster.test_backend import DB_DOWN

    own, _ = backend(tmp_path, squeue=lines("COMPLETED", "COMPLETED"), sacct=DB_DOWN)
    assert own.observe([SLICED]) == {}


def test_the_node_of_a_piece_that_failed_is_told_once(tmp_path: Path) -> None:
    own, commands = backend(tmp_path, squeue=lines("COMPLETED", "RUNNING", "PENDING", node="n1"))
    assert own.observe([SLICED])[1, 1].previous is None
    commands.answers["squeue"] = lines("COMPLETED", "NODE_FAIL", "PENDING", node="n1")
    before = own.observe([SLICED])[1, 1].previous
    assert before is not None and (before.cause, before.node) == (Cause.NODE_FAILURE, "n1")
    assert own.observe([SLICED])[1, 1].previous is None


def test_what_the_queue_has_of_its_pieces_is_not_taken_for_strangers(tmp_path: Path) -> None:
    own, _ = backend(tmp_path, squeue=lines("RUNNING", "PENDING", "PENDING", "PENDING", name="orch-a"))
    assert own.others([attempt(pieces=4, token="orch-a")]) == []
    assert [one[:2] for one in own.others([])] == [("orch-a", index) for index in range(4)]


def test_a_cancel_is_of_the_whole_array_and_after_a_result_of_what_waits(tmp_path: Path) -> None:
    own, commands = backend(tmp_path, squeue=lines("COMPLETED", "RUNNING", "PENDING", "PENDING"))
    own.cancel([SLICED])
    own.cancel([replace(SLICED, leaving=True)])
    assert commands.told("scancel") == [["scancel", "4"], ["scancel", "4_2", "4_3"]]


def test_the_array_runs_one_task_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    asked = Resources(minutes=30)
    task = Task(job=1, attempt=1, generation=1, resources=asked, pieces=7)
    batch = Batch(jobs=(QueuedJob(job=1, resources=asked, pieces=7),))
    manifest = Manifest(token="o-a", backend="slurm", tasks=(task,), created_at=DAWN)
    sent = Submission(token="o-a", folder=tmp_path, manifest=manifest, batch=batch)
    found = flags(sbatch.script(sent, frozenset(), LaunchSettings()))
    assert (found["array"], found["time"]) == ("0-6%1", "30")


def test_sliced_jobs_are_arrays_of_their_own_within_the_limits() -> None:
    jobs = [
        QueuedJob(job=1, resources=Resources(), pieces=9),
        *(QueuedJob(job=n, resources=Resources()) for n in (2, 3)),
    ]

    def shape(**limits: int) -> list[tuple[list[int], int]]:
        return [([job.job for job in one.jobs], one.jobs[0].pieces) for one in arrays.group(jobs, **limits)]

    assert shape() == [([1], 9), ([2, 3], 0)]
    assert shape(max_array=4) == [([1], 4), ([2, 3], 0)]
    assert shape(room=10) == [([1], 9), ([2], 0)]
    assert shape(room=5) == [([1], 5)]
    assert shape(room=1) == [([1], 2)], "one task alone would be no array"
    assert shape(room=0) == []


def test_what_waits_of_it_is_changed_as_a_whole_and_not_while_a_piece_runs() -> None:
    def line(task: int, state: str) -> str:
        return f"4|{task}|{state}|30:00|2000M|1|1|0|main|o-a\n"

    rows = inqueue.parse(line(0, "COMPLETED") + line(1, "RUNNING") + line(2, "PENDING"))
    assert not inqueue.of_attempts(rows, [SLICED])[1, 1].waits
    rows = inqueue.parse(line(0, "COMPLETED") + line(1, "PENDING"))
    assert inqueue.of_attempts(rows, [SLICED])[1, 1].waits
    assert inqueue.calls([(SLICED, InQueue(nice=5))]) == [(["4"], ["Nice=5"])]


def test_when_one_piece_would_begin() -> None:
    said = "sbatch: Job 17 to start at 2026-01-02T03:04:05 using 1 processors on nodes n1 in partition main\n"
    assert trial.parse(said) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert trial.parse("allocation failure: Requested node configuration is not available") is None
    words = trial.arguments(Resources(minutes=600, cpus=2, gpus=1), {"partition": "long", "exclusive": True})
    assert words[:2] == ["sbatch", "--test-only"] and words[-1] == "--wrap=true"
    assert {"--time=600", "--cpus-per-task=2", "--gpus-per-node=1", "--partition=long", "--exclusive"} <= {*words}
