"""`show`, `explain` and `logs`: all that is known of one job."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest

from db import attempts
from db.attempts import StoredAttempt
from jobs.files import now
from jobs.shortcuts.discretise import discretise, keep_alpha
from jobs.words import Cause, JobState
from tests.helpers.filled import Filled
from tests.helpers.look import GOOD, Orch


def test_show_a_job_in_full(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit(seeds=[3])
    filled.dispatch(job)
    filled.start(job, node="bad")
    filled.end(job, Cause.NODE_FAILURE, JobState.QUEUED, node="bad", decision="node_failure: resubmitted (1 of 8)")
    filled.succeed(job, GOOD, edges=[(0, 2), (3, 7)])
    said = orch("show", job).out
    for text in ("succeeded", "seed 3", "resubmitted (1 of 8)", "bad", "accepted", "0-2,3-7", "20,500,000"):
        assert text in said
    found = orch("show", job, "--json").json()
    assert [one["cause"] for one in found["attempts"]] == ["node_failure", "success"]
    assert found["result"]["metrics"] == GOOD and found["result"]["edges"] == [[0, 2], [3, 7]]
    assert [event["after"] for event in found["events"]] == ["queued", "submitted", "running"] * 2 + ["succeeded"]
    assert "there is no job 99" in orch("show", 99).refused()
    assert orch("show", "abc").code == 2


def test_show_reads_an_architecture_out_of_a_search(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit("search", values={"method": "A"})
    filled.dispatch(job)
    folder = filled.start(job)
    alpha = [[0.0] * 16 for _ in range(16)]
    keep_alpha(folder, 0, alpha, "A")
    alpha[0][5], alpha[2][9] = 2.0, 0.5
    keep_alpha(folder, 1, alpha, "A")
    found = orch("show", job, "--epoch", 1, "--json").json()
    assert found["edges"] == [[0, 5]] and found["tau"] == 0.7 and found["shortcuts"] == 1
    wider = orch("show", job, "--epoch", 1, "--tau", 0.6, "--json").json()
    assert tuple(map(tuple, wider["edges"])) == discretise(alpha, "A", 0.6).edges and wider["shortcuts"] == 2
    assert "0-5" in orch("show", job, "--epoch", 1).out
    assert "epochs 0 to 1" in orch("show", job, "--epoch", 9).refused()
    assert "tau must lie between" in orch("show", job, "--tau", 1.5).refused()
    (other,) = filled.submit()
    assert "random-baseline" in orch("show", other, "--epoch", 1).refused()


def test_explain_says_why_it_waits(orch: Orch, filled: Filled) -> None:
    failed, again, sent = filled.submit(seeds=range(3))
    filled.dispatch(failed)
    filled.start(failed)
    filled.end(failed, Cause.ERROR, JobState.FAILED, error="ValueError: x", evidence=["line of proof"], decision="x")
    (behind,) = filled.submit("evaluate", values={"architecture": "vgg19"}, needs=[failed])
    (after,) = filled.submit("evaluate", seeds=[1], values={"architecture": "vgg19"}, needs=[again])
    filled.dispatch(again)
    filled.start(again)
    filled.end(again, Cause.KILLED, JobState.QUEUED, not_before=now() + timedelta(hours=1), decision="killed: again")
    filled.dispatch(sent, backend="slurm", native_id="77", slot=None)
    with filled.store.write() as writer:
        number = attempts.of_job(writer.connection, sent)[-1].id
        attempts.observed(writer.connection, [(number, "pending", "jobs of higher priority come first", None, 0)])
    said = orch("explain", failed).out
    assert (
        "raised an error" in said and "line of proof" in said and f"orch retry {failed}" in said and str(behind) in said
    )
    assert f"job {failed} (random-baseline, seed 0) failed: ValueError: x" in orch("explain", behind).out
    assert f"it waits for 1 job: {again} (random-baseline, queued)" in orch("explain", after).out
    held = orch("explain", again).out
    assert "held back until" in held and "killed: again" in held and "no supervisor runs" in held
    assert "SLURM has it as job 77" in orch("explain", sent).out
    assert "jobs of higher priority come first" in orch("explain", sent).out
    found = orch("explain", failed, "--json").json()
    assert found["state"] == "failed" and found["evidence"] == ["line of proof"] and len(found["history"]) == 1


def test_explain_says_what_was_accepted_and_what_was_cancelled(orch: Orch, filled: Filled) -> None:
    done, gone = filled.submit(seeds=range(2))
    filled.succeed(done, GOOD)
    filled.cancel(gone)
    assert "on node1 succeeded" in orch("explain", done).out
    assert f"orch retry {gone}" in orch("explain", gone).out


def test_logs_begin_with_what_the_program_printed(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit()
    filled.dispatch(job)
    token = f"orch-{job:08x}{1:08x}"
    early = filled.store.layout.submission(token) / "submitit"
    early.mkdir(parents=True)
    (early / f"{token}_0_log.err").write_text("submitit INFO (2026-03-04) - Loading pickle\nbefore the worker\n")
    folder = filled.start(job, node="n3")
    (folder / "stdout").write_text("from stdout\n")
    (folder / "stderr").write_bytes(b"from stderr \xff\n")
    trace = 'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: bad\n'
    filled.end(job, Cause.ERROR, JobState.FAILED, error="ValueError: bad", traceback=trace)
    code = "from orchestrator.cli.main import run; run()"
    raw = subprocess.run([sys.executable, "-c", code, "logs", str(job)], capture_output=True, timeout=60).stdout
    assert raw.startswith(b"from stdout\n") and b"submitit INFO" not in raw
    assert raw.index(b"from stdout") < raw.index(b"from stderr \xff") < raw.index(b"before the worker")
    assert "submitit INFO" in orch("logs", job, "--raw").out
    assert b"ValueError: bad" in raw and b"on n3" in raw
    assert "from stderr" not in orch("logs", job, "--stdout").out
    only = orch("logs", job, "--stderr").out
    assert "before the worker" in only and "from stdout" not in only
    assert "it has only attempt 1" in orch("logs", job, "--attempt", 2).refused()


def test_logs_of_a_slurm_task_are_those_of_its_index(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit()
    filled.dispatch(job, backend="slurm", native_id="8", slot=None)
    folder = filled.store.layout.submission(f"orch-{job:08x}{1:08x}") / "submitit"
    folder.mkdir(parents=True)
    (folder / "8_0_log.out").write_text("mine\n")
    (folder / "88_0_log.out").write_text("another's\n")
    said = orch("logs", job).out
    assert "mine" in said and "another's" not in said


def test_logs_follow_until_the_job_ends(orch: Orch, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look that found something new is the sign for the job to go on."""
    from orchestrator.cli import logs

    (job,) = filled.submit()
    filled.dispatch(job)
    folder = filled.start(job)
    (folder / "stdout").write_text("first\n")

    def print_more() -> None:
        with (folder / "stdout").open("a") as handle:
            handle.write("second\n")

    goes_on = iter([print_more, lambda: filled.end(job, Cause.ERROR, JobState.FAILED, error="ValueError: over")])
    shown = logs.Printer.show

    def show(printer: logs.Printer, attempt: StoredAttempt) -> bool:
        new = shown(printer, attempt)
        if new:
            next(goes_on)()
        return new

    monkeypatch.setattr(logs.Printer, "show", show)
    monkeypatch.setattr(logs, "POLL_SECONDS", 0.01)
    said = orch("logs", job, "-f")
    assert said.code == 0 and said.out.count("first\n") == 1 and said.out.count("second\n") == 1
    assert f"job {job} is failed: ValueError: over" in said.err


def test_a_job_that_printed_nothing_says_so(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit()
    said = orch("logs", job)
    assert said.code == 0 and said.out == "" and f"orch explain {job}" in said.err
