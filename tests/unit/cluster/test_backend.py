"""The SLURM backend's judgement, against answers of SLURM that are given word by word."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.files import write_json
from jobs.layout import Layout
from jobs.records import Manifest
from jobs.resources import Resources
from jobs.words import Cause
from slurm import pools
from slurm.backend import Batch, LimitReached, LiveAttempt, ObservationFailed, Phase, QueuedJob, Submission
from slurm.cluster import sinfo, updates
from slurm.cluster.backend import SlurmBackend
from slurm.cluster.commands import CommandFailed, Commands, Reply
from slurm.cluster.queue import Queue
from slurm.cluster.rows import Row

DAWN = datetime(2026, 1, 1, tzinfo=UTC)
SINFO = "main*|idle|n[1-3]\nmain*|down*|n4\n"


class Scripted(Commands):
    """Answers by the command's name; an exception is raised, a Reply returned, text printed."""

    def __init__(self, **answers: str | Reply | CommandFailed) -> None:
        super().__init__()
        self.answers: dict[str, str | Reply | CommandFailed] = {"sinfo": SINFO, **answers}
        self.asked: list[list[str]] = []

    def run(self, arguments: Sequence[str]) -> Reply:
        self.counts[arguments[0]] += 1
        self.asked.append(list(arguments))
        answer = self.answers.get(arguments[0], "")
        if isinstance(answer, CommandFailed):
            raise answer
        return answer if isinstance(answer, Reply) else Reply(0, answer, "")

    def told(self, name: str) -> list[list[str]]:
        return [words for words in self.asked if words[0] == name]


def attempt(index: int = 0, size: int = 1, native: str | None = "4", token: str = "o-a", **more: Any) -> LiveAttempt:
    values: dict[str, Any] = {"running": False, "slot": None, "submitted_at": DAWN, **more}
    return LiveAttempt(job=index + 1, attempt=1, token=token, index=index, size=size, native_id=native, **values)


def backend(tmp_path: Path, **answers: str | Reply | CommandFailed) -> tuple[SlurmBackend, Scripted]:
    commands = Scripted(**answers)
    return SlurmBackend(Layout(tmp_path), commands=commands), commands


def queue_line(state: str, *, job: str = "4", task: str = "N/A", code: int = 0, restarts: int = 0, **more: str) -> str:
    node, reason, name = more.get("node", ""), more.get("reason", "None"), more.get("name", "o-a")
    return f"{job}|{task}|{state}|{code}|{restarts}|{node}|{reason}|{name}\n"


DISABLED = Reply(1, "", "Slurm accounting storage is disabled\n")
DB_DOWN = Reply(1, "", "sacct: error: Problem talking to the database: Connection refused\n")


def test_one_squeue_and_nothing_else_while_all_is_well(tmp_path: Path) -> None:
    lines = "".join(queue_line("RUNNING", task=str(number), node="n1") for number in range(50))
    own, commands = backend(tmp_path, squeue=lines)
    seen = own.observe([attempt(number, 50) for number in range(50)])
    assert {item.phase for item in seen.values()} == {Phase.RUNNING} and len(seen) == 50
    assert commands.counts == {"squeue": 1}


def test_nothing_is_asked_about_nothing(tmp_path: Path) -> None:
    own, commands = backend(tmp_path)
    assert own.observe([]) == {} and own.find([]) == {} and own.plan([], [], frozenset()) == []
    assert not commands.counts


def test_a_failed_query_changes_nothing(tmp_path: Path) -> None:
    own, _ = backend(tmp_path, squeue=Reply(1, "", "slurm_load_jobs error: Unable to contact slurm controller\n"))
    with pytest.raises(ObservationFailed, match="Unable to contact slurm controller"):
        own.observe([attempt()])


def test_an_id_without_the_token_is_somebody_elses(tmp_path: Path) -> None:
    own, _ = backend(tmp_path, squeue=queue_line("RUNNING", name="other"), sacct="4|COMPLETED|0:0|n1|None|other\n")
    assert own.observe([attempt()])[1, 1].phase is Phase.ABSENT


def test_a_token_without_its_id_is_an_older_job(tmp_path: Path) -> None:
    own, _ = backend(tmp_path, squeue=queue_line("RUNNING", job="3"))
    assert own.observe([attempt(native="4")])[1, 1].phase is Phase.ABSENT
    assert own.observe([attempt(native=None)])[1, 1].phase is Phase.RUNNING


def test_a_record_of_node_fail_is_not_believed_while_the_queue_has_the_job(tmp_path: Path) -> None:
    own, _ = backend(
        tmp_path, squeue=queue_line("PENDING", restarts=1, reason="BeginTime"), sacct="4|NODE_FAIL|1:0|n1|None|o-a\n"
    )
    seen = own.observe([attempt(running=True, node="n1")])[1, 1]
    assert seen.phase is Phase.PENDING and seen.cause is None and "start time" in seen.reason
    assert seen.previous is not None
    assert (seen.previous.cause, seen.previous.node) == (Cause.NODE_FAILURE, "n1")
    again = own.observe([attempt(running=True, node="n1")])[1, 1]
    assert again.previous is None  # told once


def test_stale_records_are_not_believed(tmp_path: Path) -> None:
    own, commands = backend(tmp_path, sacct="4|PENDING|0:0|None assigned|None|o-a\n")
    seen = own.observe([attempt()])[1, 1]
    assert seen.phase is Phase.ABSENT and "not in the queue any more" in seen.evidence[0]
    assert commands.counts == {"squeue": 1, "sacct": 1}


def test_the_newest_record_of_a_job_that_left_counts(tmp_path: Path) -> None:
    own, _ = backend(tmp_path, sacct="4|NODE_FAIL|1:0|n1|None|o-a\n4|TIMEOUT|0:0|n2|None|o-a\n")
    seen = own.observe([attempt()])[1, 1]
    assert (seen.phase, seen.cause, seen.node, seen.restarts) == (Phase.ENDED, Cause.TIMEOUT, "n2", 1)


def test_without_accounting_the_queue_is_enough_and_sacct_is_left_alone(tmp_path: Path) -> None:
    own, commands = backend(tmp_path, squeue=queue_line("FAILED", code=9, node="n1"), sacct=DISABLED)
    gone = attempt(native="5", token="o-b", index=1, size=2)
    for _ in range(3):
        seen = own.observe([attempt(), gone])
    assert seen[1, 1].cause is Cause.KILLED and "SIGKILL" in seen[1, 1].evidence[-1]
    assert seen[2, 1].phase is Phase.ABSENT
    assert commands.counts == {"squeue": 3, "sacct": 1}


def test_accounting_that_is_down_is_no_news(tmp_path: Path) -> None:
    own, _ = backend(tmp_path, squeue=queue_line("RUNNING", node="n1"), sacct=DB_DOWN)
    gone = attempt(native="5", token="o-b", index=1, size=2)
    assert set(own.observe([attempt(), gone])) == {(1, 1)}


def test_who_cancelled_it_is_said(tmp_path: Path) -> None:
    own, _ = backend(
        tmp_path, squeue=queue_line("CANCELLED", code=15, node="n1"), sacct="4|CANCELLED by 1000|0:0|n1|None|o-a\n"
    )
    seen = own.observe([attempt()])[1, 1]
    assert seen.cause is Cause.CANCELLED and "CANCELLED by uid 1000" in seen.evidence[0]


def test_tasks_cancelled_while_they_waited_share_a_row(tmp_path: Path) -> None:
    own, _ = backend(tmp_path, squeue=queue_line("RUNNING", task="0", node="n1") + queue_line("CANCELLED"))
    seen = own.observe([attempt(0, 3), attempt(1, 3)])
    assert seen[1, 1].phase is Phase.RUNNING
    assert (seen[2, 1].phase, seen[2, 1].cause) == (Phase.ENDED, Cause.CANCELLED)


def test_the_log_of_the_run_that_failed_is_evidence(tmp_path: Path) -> None:
    own, _ = backend(tmp_path, squeue=queue_line("FAILED", task="1", code=1 << 8, restarts=1, node="n1"))
    layout = Layout(tmp_path)
    log = layout.submission("o-a") / "submitit" / "4_1_0_log.out"
    log.parent.mkdir(parents=True)
    log.write_text("slurmstepd: error: exceeded memory limit\norch: execution begins on n1, restart 1\n")
    for restart, text in ((0, "CUDA out of memory"), (1, "NCCL error: unhandled system error")):
        (layout.new_execution(2, 1, restart) / "stderr").write_text(text)
    assert own.observe([attempt(1, 3)])[2, 1].cause is Cause.GPU_FAULT
    log.write_text("orch: execution begins on n1, restart 1\nslurmstepd: error: exceeded memory limit\n")
    assert own.observe([attempt(1, 3)])[2, 1].cause is Cause.OUT_OF_MEMORY


def test_a_job_held_by_slurm_is_released_and_a_persons_hold_is_left(tmp_path: Path) -> None:
    lines = queue_line("PENDING", task="0", reason="launch failed requeued held")
    lines += queue_line("PENDING", task="1", reason="JobHeldUser")
    own, commands = backend(tmp_path, squeue=lines)
    live = [attempt(0, 2), attempt(1, 2)]
    seen = own.observe(live)
    assert seen[1, 1].phase is seen[2, 1].phase is Phase.HELD
    assert "could not start it" in seen[1, 1].reason and "owner holds it" in seen[2, 1].reason
    own.avoid(live, frozenset())
    own.avoid(live, frozenset())  # not again and again
    assert commands.told("scontrol") == [["scontrol", "release", "4_0"]]


def test_cancel_takes_whole_arrays_and_single_tasks_as_the_queue_has_them_now(tmp_path: Path) -> None:
    lines = "".join(
        [
            *(queue_line("RUNNING", job="4", task=str(number), name="o-a") for number in range(3)),
            *(queue_line("PENDING", job="5", task=str(number), name="o-b") for number in range(5)),
            queue_line("COMPLETING", job="6", name="o-c"),
            queue_line("PENDING", job="7", name="o-d"),
            *(queue_line("PENDING", job="8", task=str(number), name="o-e") for number in range(2)),
            queue_line("COMPLETED", job="9", task="0", name="o-f"),
            *(queue_line("RUNNING", job="9", task=str(number), name="o-f") for number in (1, 2)),
        ]
    )
    own, commands = backend(
        tmp_path,
        squeue=lines,
        scancel=Reply(1, "", "scancel: error: Kill job error on job id 6: Invalid job id"),
    )
    own.cancel(
        [
            *(attempt(number, 3, native="4", token="o-a") for number in range(3)),
            attempt(2, 5, native="5", token="o-b"),
            attempt(0, 1, native="6", token="o-c"),
            attempt(0, 1, native=None, token="o-d"),
            attempt(0, 2, native=None, token="o-e"),
            *(attempt(number, 3, native="9", token="o-f") for number in (1, 2)),
            attempt(0, 1, native="10", token="o-gone"),
        ]
    )
    assert commands.told("scancel") == [["scancel", "4", "5_2", "6", "7", "8_0", "9"]]


def test_an_id_that_is_another_jobs_by_now_is_not_cancelled(tmp_path: Path) -> None:
    """A controller that goes on from an older state counts its ids again."""
    lines = queue_line("RUNNING", job="4", name="o-new") + queue_line("RUNNING", job="5", task="0", name="train.sh")
    own, commands = backend(tmp_path, squeue=lines)
    own.cancel([attempt(native="4", token="o-old"), attempt(0, 2, native="5", token="o-b")])
    own.cancel([])
    assert commands.told("scancel") == []
    assert commands.counts["squeue"] == 1


def test_a_cancel_without_an_answer_is_said(tmp_path: Path) -> None:
    down = Reply(1, "", "scancel: error: Unable to contact slurm controller (connect failure)")
    own, _ = backend(tmp_path, squeue=queue_line("RUNNING"), scancel=down)
    with pytest.raises(ObservationFailed):
        own.cancel([attempt()])
    own, _ = backend(tmp_path, squeue=queue_line("RUNNING"), scancel=CommandFailed("scancel", "", None))
    with pytest.raises(ObservationFailed):
        own.cancel([attempt()])
    own, _ = backend(tmp_path, squeue=CommandFailed("squeue", "", None))
    with pytest.raises(ObservationFailed):
        own.cancel([attempt()])


class AvoidScripted(Scripted):
    """Gives the excluded nodes where they are asked for."""

    excluded = ""

    def run(self, arguments: Sequence[str]) -> Reply:
        if list(arguments) == updates.arguments():
            self.counts["squeue"] += 1
            return Reply(0, self.excluded, "")
        return super().run(arguments)


def test_bad_nodes_are_merged_once_and_taken_back(tmp_path: Path) -> None:
    commands = AvoidScripted(squeue="".join(queue_line("PENDING", task=str(number)) for number in range(3)))
    own = SlurmBackend(Layout(tmp_path), commands=commands)
    live = [attempt(number, 3) for number in range(3)]
    own_file = Layout(tmp_path).submission("o-a") / "submitit" / "exclude.json"
    own_file.parent.mkdir(parents=True)
    write_json(own_file, ["n2"])
    own.observe(live)
    commands.excluded = "".join(f"4|{number}|n2|main|o-a\n" for number in range(3)) + "9|N/A||main|somebody's\n"
    own.avoid(live, frozenset({"n1", "gone"}))
    own.avoid(live, frozenset({"n1", "gone"}))
    assert commands.told("scontrol") == [["scontrol", "update", "jobid=4", "ExcNodeList=n1,n2"]]
    commands.excluded = "4|0|n[1-2]|main|o-a\n4|1|n[1-2]|main|o-a\n4|2|n2|main|o-a\n"
    own.avoid(live, frozenset())
    assert commands.told("scontrol")[1:] == [["scontrol", "update", "jobid=4_0,4_1", "ExcNodeList=n2"]]


@pytest.mark.parametrize(
    ("own", "partitions", "excluded"),
    [(["n3"], "main", "n1,n2,n3"), (["n3"], "small", "n3"), (["n3"], "small,main", "n1,n2,n3"), ([], "small", "n1,n2")],
)
def test_bad_nodes_are_used_where_a_job_would_have_no_other_left(
    tmp_path: Path, own: list[str], partitions: str, excluded: str
) -> None:
    """With every node of its partitions excluded SLURM starts it never, and sbatch refuses it for good."""
    sinfo_text = "main*|idle|n[1-4]\nsmall|idle|n[1-3]\n"
    commands = AvoidScripted(squeue=queue_line("PENDING"), sinfo=sinfo_text)
    mine = SlurmBackend(Layout(tmp_path), commands=commands)
    own_file = Layout(tmp_path).submission("o-a") / "submitit" / "exclude.json"
    own_file.parent.mkdir(parents=True)
    write_json(own_file, own)
    mine.observe([attempt()])
    commands.excluded = f"4|N/A||{partitions}|o-a\n"
    mine.avoid([attempt()], frozenset({"n1", "n2"}))
    assert commands.told("scontrol") == [["scontrol", "update", "jobid=4", f"ExcNodeList={excluded}"]]


def test_an_update_that_was_refused_is_tried_again(tmp_path: Path) -> None:
    commands = AvoidScripted(
        squeue=queue_line("PENDING"), scontrol=Reply(1, "", "Invalid node name specified for job 4\n")
    )
    own = SlurmBackend(Layout(tmp_path), commands=commands)
    commands.excluded = "4|N/A||main|o-a\n"
    for _ in range(2):
        own.avoid([attempt()], frozenset({"n1"}))
    assert len(commands.told("scontrol")) == 2
    commands.answers["scontrol"] = Reply(1, "", "4_0: Job is no longer pending execution\n")
    for _ in range(2):
        own.avoid([attempt()], frozenset({"n1"}))
    assert len(commands.told("scontrol")) == 3


def test_what_waits_since_its_node_failed_starts_at_once(tmp_path: Path) -> None:
    lines = queue_line("PENDING", task="0", restarts=1, reason="BeginTime")
    lines += queue_line("PENDING", task="1", restarts=1, reason="BeginTime")
    own, commands = backend(tmp_path, squeue=lines)
    live = [attempt(0, 2, running=True, node="n4"), attempt(1, 2, running=True, node="n2")]
    own.observe(live)
    own.avoid(live, frozenset())
    assert commands.told("scontrol") == [["scontrol", "update", "jobid=4_0", "StartTime=now"]]


def test_found_by_name_in_the_queue_and_in_the_records(tmp_path: Path) -> None:
    rows = queue_line("RUNNING", job="7", task="0", name="o-a") + queue_line("FAILED", job="6", task="0", name="o-a")
    own, commands = backend(tmp_path, squeue=rows, sacct="12_[0-3]|PENDING|0:0||None|o-b\n")
    layout = Layout(tmp_path)

    def intent(token: str) -> Submission:
        manifest = Manifest(token=token, backend="slurm", tasks=(), created_at=DAWN)
        batch = Batch(jobs=(QueuedJob(job=1, resources=Resources()),))
        return Submission(token=token, folder=layout.submission(token), manifest=manifest, batch=batch)

    intents = [intent(token) for token in ("o-a", "o-b", "o-c")]
    assert own.find(intents) == {"o-a": "7", "o-b": "12"}
    assert (layout.submission("o-a") / "submitit" / "task.pkl").is_file()
    asked = commands.told("sacct")[0]
    assert asked[-1] == "o-b,o-c" and asked[asked.index("-S") + 1] == "2025-12-31T23:58:00"
    commands.answers["sacct"] = DB_DOWN
    with pytest.raises(ObservationFailed, match="nobody knows what was submitted"):
        own.find(intents)
    commands.answers["sacct"] = DISABLED
    assert own.find(intents) == {"o-a": "7"}


def test_a_limit_shrinks_the_next_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, _ = backend(tmp_path, scontrol="MaxArraySize            = 8\n")
    queued = [QueuedJob(job=number, resources=Resources()) for number in range(20)]
    assert [len(batch.jobs) for batch in own.plan(queued, [], frozenset())] == [8, 8, 4]

    class Refused:
        def poll(self) -> str | None:
            raise LimitReached("no more")

    monkeypatch.setattr("slurm.cluster.sbatch.begin", lambda *_: Refused())
    manifest = Manifest(token="o-a", backend="slurm", tasks=(), created_at=DAWN)
    batch = Batch(jobs=tuple(queued[:8]))
    with pytest.raises(LimitReached):
        own.launch(Submission(token="o-a", folder=own.layout.submission("o-a"), manifest=manifest, batch=batch)).poll()
    assert [len(batch.jobs) for batch in own.plan(queued, [], frozenset())] == [4]


def test_the_nodes_of_a_job_on_several(tmp_path: Path) -> None:
    running, _ = backend(tmp_path, squeue=queue_line("RUNNING", node="n[1-2]"))
    (seen,) = running.observe([attempt(running=True)]).values()
    assert (seen.node, seen.nodes) == ("n1", {"n1", "n2"})
    gone, commands = backend(tmp_path, squeue=queue_line("NODE_FAIL", node="n[3-4]"))
    commands.answers["sinfo"] = SINFO
    (seen,) = gone.observe([attempt(running=True)]).values()
    assert (seen.phase, seen.cause, seen.node, seen.nodes) == (
        Phase.ENDED, Cause.NODE_FAILURE, "n4", {"n3", "n4"}
    )  # fmt: skip


def test_pools_are_read() -> None:
    lines = ("high|drained|n2", "main*|idle|n1", "main*|drained|n2", "main*|down*|n3", "bad line", "x|idle|n[2-1]")
    found = sinfo.parse("\n".join(lines))
    assert found.partitions == {"main": {"n1", "n2", "n3"}, "high": {"n2"}}
    assert list(found.partitions) == ["main", "high"], "the default partition stands first, wherever sinfo has it"
    assert found.nodes == {"n1", "n2", "n3"} and found.down == {"n2", "n3"}
    assert pools.failed("down*") and pools.failed("idle*") and not pools.failed("drained")


def test_rows_are_found_by_token_and_index() -> None:
    rows = [Row(job="4", task=number, name="o-a", state="COMPLETED") for number in range(3)]
    queue = Queue([*rows, Row(job="4", task=1, name="o-a", state="RUNNING")])
    found = queue.row(attempt(1, 3))
    assert found is not None and found.state == "RUNNING"
    assert queue.row(attempt(0, 3, native="5")) is None
