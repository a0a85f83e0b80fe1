"""A supervisor that is stopped or hangs is named wherever one is spoken of, and is ended politely."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest

from db.text import stamp
from jobs.files import now
from tests.helpers.cli import Orch, alive, until


def freeze(orch: Orch, seconds: float = 80.0) -> int:
    """Stop it as by SIGSTOP so long ago; its pid."""
    pid = until(orch.supervisor, "a supervisor")
    with orch.store.write() as writer:  # so that it is not stopped in the middle of a write, which nobody could follow
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state_of(pid) == "T", "its stop")
        at = stamp(now() - timedelta(seconds=seconds))
        writer.connection.exec_driver_sql("UPDATE lease SET renewed_at = ?", (at,))
    return pid


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_frozen_supervisor_is_named_everywhere_and_ended_politely(orch: Orch) -> None:
    orch.submit_gate(3)
    until(lambda: orch.starts(0) and orch.starts(1), "both programs")
    pid = freeze(orch)
    sentence = f"the supervisor (pid {pid} on "
    assert sentence in flat(orch("status")) and "has not renewed its lease since" in flat(orch("status"))
    found = orch.json("status")["supervisor"]
    assert (found["pid"], found["alive"], found["late"]) == (pid, True, True) and found["renewed_at"]
    for job in ("1", "3"):  # one runs, one is queued
        said = flat(orch("explain", job))
        assert sentence in said and "'orch supervise --stop' ends it" in said
        assert "as soon as that has passed" not in said
    checks = json.loads(orch.call("doctor", "--json").stdout)
    assert sentence in json.dumps(checks)
    assert sentence in flat(orch.call("submit", "command", "--", "true").stderr)
    refused = orch.call("rebuild")
    assert refused.returncode == 2 and sentence in flat(refused.stderr)
    assert f"the supervisor (pid {pid}) has ended: the jobs go on" in orch("supervise", "--stop")
    assert not alive(pid) and orch.supervisor() is None
    assert all(alive(orch.starts(seed)[0]) for seed in (0, 1))
    orch.open_gate()
    orch.finish()
    assert orch.states() == ["succeeded"] * 4


def test_one_that_renews_is_not_called_late(orch: Orch) -> None:
    orch.submit_gate(1)
    until(orch.supervisor, "a supervisor")
    assert orch.json("status")["supervisor"]["late"] is False
    assert "renewed" not in orch("status")
    at = time.monotonic()
    orch("supervise", "--stop")
    assert time.monotonic() - at < 15 and orch.supervisor() is None


@pytest.mark.parametrize("arguments", [("--stop",), ("--stop", "--until-idle")])
def test_there_is_nothing_to_stop(orch: Orch, arguments: tuple[str, ...]) -> None:
    orch.submit_gate(1, "--no-start")
    done = orch.call("supervise", *arguments)
    assert done.returncode == 2 and ("no supervisor runs" in done.stderr or "give one of them" in done.stderr)
    assert "Traceback" not in done.stderr


def test_one_on_another_host_is_ended_there(orch: Orch) -> None:
    orch.submit_gate(1, "--no-start")
    with orch.store.write() as writer:
        writer.connection.exec_driver_sql(
            "UPDATE lease SET host = 'login7', pid = 12, process_start = '1', boot_id = 'b', renewed_at = ?",
            (stamp(now()),),
        )
    done = orch.call("supervise", "--stop")
    assert done.returncode == 2 and "runs on login7, not here: run 'orch supervise --stop' there" in flat(done.stderr)
    done = orch.call("rebuild")
    assert done.returncode == 2 and "'orch supervise --stop' on login7" in flat(done.stderr)


def test_rebuild_sees_a_supervisor_though_the_database_is_gone(orch: Orch) -> None:
    orch.submit_gate(1)
    pid = until(orch.supervisor, "a supervisor")
    until(lambda: orch.starts(0), "the program")
    for name in ("orch.db", "orch.db-wal", "orch.db-shm"):
        (orch.layout.root / name).unlink(missing_ok=True)
    done = orch.call("rebuild")
    assert done.returncode == 2 and f"a supervisor (pid {pid} on " in flat(done.stderr)
    assert f"(pid {pid}) has ended" in orch("supervise", "--stop")
    orch("rebuild")
    orch.open_gate()
    orch.finish()
    assert orch.states() == ["succeeded"]
