"""Copies of a worker that are useless, late files, torn files and full disks."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import msgspec
import pytest

from db.attempts import StoredAttempt
from jobs import files
from jobs.files import now, write_json
from jobs.node.stopping import Heartbeat, Stop, began_after
from jobs.patience import patiently
from jobs.records import Accepted, MetricLine, Outcome, Ready, Started
from jobs.words import AttemptState, Cause
from orchestrator.supervision.ingestion import Ingestion
from orchestrator.supervision.judging import Accept, Case, Nothing, judge
from tests.helpers.cli import alive, until
from tests.helpers.node import Node, children, python, started


def useless(node: Node, folder: Path, record: Started) -> bool:
    return Heartbeat(node.layout, folder, record, Stop()).useless()


def test_a_worker_stops_where_its_job_is_closed(node: Node) -> None:
    mine = started(node)
    assert not useless(node, *mine)
    write_json(node.layout.job(1) / "accepted.json", Accepted(attempt=2, execution="e0-000000", at=now()))
    assert not useless(node, *mine), "a hint of an execution that this job never had"
    (node.layout.attempt(1, 2) / "e0-000000").mkdir(parents=True)
    assert useless(node, *mine)


def test_a_worker_stops_where_a_later_copy_began(node: Node) -> None:
    """scancel cannot reach an orphan whose slurmd is dead."""
    orphan = started(node)
    requeued = started(node, restart=1)
    assert useless(node, *orphan) and not useless(node, *requeued)
    resubmitted = started(node, attempt=2)
    assert useless(node, *requeued) and not useless(node, *resubmitted)


def test_a_clock_that_was_set_back_stops_no_newer_copy(node: Node) -> None:
    """The requeued execution begins an hour before the one it follows, by its node's clock."""
    orphan = started(node, minutes=60)
    requeued = started(node, restart=1)
    assert useless(node, *orphan) and not useless(node, *requeued)
    assert began_after(requeued[1], orphan[1])


def test_a_full_disk_is_waited_out(capfd: pytest.CaptureFixture[str]) -> None:
    tries = []

    def write() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(28, "No space left on device")
        return "written"

    assert patiently(write) == "written"
    assert capfd.readouterr().err == "orch: No space left on device: waiting for room\n"
    with pytest.raises(OSError, match="No space"):
        patiently(lambda: (_ for _ in ()).throw(OSError(28, "No space left on device")), seconds=0.1)
    with pytest.raises(PermissionError):
        patiently(lambda: (_ for _ in ()).throw(PermissionError(13, "denied")))


def test_an_append_that_fails_leaves_no_torn_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    files.append_json(path, {"epoch": 1})
    limit = path.stat().st_size + 5
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            files.append_json(path, {"epoch": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == '{"epoch":1}\n'


def attempt_of(node: Node) -> StoredAttempt:
    return StoredAttempt(
        id=1,
        job=1,
        kind="command",
        number=1,
        generation=1,
        job_generation=1,
        token="orch-1",
        position=0,
        size=1,
        backend="slurm",
        native_id="1",
        slot=None,
        state=AttemptState.RUNNING,
        doomed=False,
        phase=None,
        reason=None,
        node=None,
        absent=0,
        cause=None,
        evidence=(),
        decision=None,
        checkpoint_step=-1,
        created_at=now(),
        ended_at=None,
        pid=None,
        process_start=None,
        boot_id=None,
    )


def test_pain_13_late_files(node: Node) -> None:
    """On a shared folder files show late and out of order: no result is lost, none accepted without its history."""
    attempt, reader = attempt_of(node), Ingestion(node.layout)

    def verdict() -> object:
        found = reader.look([attempt])[1, 1]
        return judge(Case(attempt=attempt, executions=found, observation=None, age_seconds=1.0))

    folder, record = started(node)
    (folder / "started.json").rename(folder / "hidden")
    assert isinstance(verdict(), Nothing), "a folder without its first file yet"
    (folder / "hidden").rename(folder / "started.json")
    write_json(folder / "ready.json", Ready(at=now()))
    line = MetricLine(epoch=1, epochs=2, at=now(), values={"loss": 1.0})
    files.append_json(folder / "metrics.jsonl", line)
    outcome = Outcome(ending="success", cause=Cause.SUCCESS, result={"loss": 0.5}, epoch=2, at=now())
    (folder / "outcome.json").write_bytes(msgspec.json.encode(outcome)[:30])
    assert not isinstance(verdict(), Accept), "a torn outcome is none"
    write_json(folder / "outcome.json", outcome)
    assert isinstance(verdict(), Nothing), "its last epoch is still on its way"
    with (folder / "metrics.jsonl").open("ab") as metrics:
        text = msgspec.json.encode(msgspec.structs.replace(line, epoch=2, values={"loss": 0.5}))
        metrics.write(text[:20])
        metrics.flush()
        assert isinstance(verdict(), Nothing), "half a line"
        metrics.write(text[20:] + b"\n")
    accepted = verdict()
    assert isinstance(accepted, Accept) and accepted.seen.name == folder.name
    assert [(item.epoch, item.values) for item in accepted.seen.lines] == [(1, {"loss": 1.0}), (2, {"loss": 0.5})]
    assert record.job == 1


def test_torn_metrics_do_not_hide_what_follows(node: Node) -> None:
    """A history that a resumed execution restored replaces the file as a whole."""
    attempt, reader = attempt_of(node), Ingestion(node.layout)
    folder, _ = started(node)
    line = MetricLine(epoch=1, at=now(), values={"loss": 1.0})
    whole = msgspec.json.encode(line)
    (folder / "metrics.jsonl").write_bytes(
        whole + b"\n" + whole[:9] + b"\nnonsense\n" + b'{"epoch": 1e99}\n' + whole[:5]
    )
    (seen,) = reader.look([attempt])[1, 1]
    assert [item.epoch for item in seen.lines] == [1]
    seen.lines.clear()
    two = msgspec.json.encode(msgspec.structs.replace(line, epoch=2))
    files.write_bytes(folder / "metrics.jsonl", whole + b"\n" + two + b"\n")
    (seen,) = reader.look([attempt])[1, 1]
    assert [item.epoch for item in seen.lines] == [1, 2]


def test_what_a_dead_worker_started_is_known_by_its_session(node: Node) -> None:
    """The program shares its worker's session, so that a backend finds it when the worker is gone."""
    node.job(python("import pathlib, time; pathlib.Path('up').touch(); time.sleep(60)"))
    worker = node.start(node.submission())
    until((node.cwd / "up").exists, "the program")
    (child,) = children(worker.pid)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(30)
    try:
        assert alive(child) and os.getsid(child) == worker.pid
    finally:
        os.kill(child, signal.SIGKILL)
