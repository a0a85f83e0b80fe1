"""What `orch usage`, `status` and `show` tell of a store, before and after a rebuild, and of odd files."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from db import details, results, usage
from db.launching import Launching
from db.shares import gpu_parts
from jobs import files
from jobs.resources import Resources
from jobs.usage import FILE, Curve, Sums, Usage, UsageFile
from jobs.words import Cause, JobState
from orchestrator.cli.main import run
from orchestrator.upkeep.rebuilding import rebuild_all
from orchestrator.usage import text
from orchestrator.usage.gathering import account
from orchestrator.views.job import used
from tests.helpers.filled import Filled

Said = Callable[..., tuple[int, str, str]]


def tell(filled: Filled, folder: Path, seconds: float, **more: Any) -> None:
    """Let an execution have told what it used, one GPU busy half of the time."""
    sums = Sums(seconds=seconds, cpu_seconds=seconds / 4, busy_seconds=seconds / 2, joules=300 * seconds)
    given = {"sums": sums, "gpus": 1, "due": 15.0, "at": filled.at, "memory_mb": 900.0, **more}
    curve = Curve(span=seconds / 4, points=((0.1, 500.0, 0.0, 10.0, 60.0), (1.0, 900.0, None, 20.0, 300.0)))
    files.write_json(folder / FILE, UsageFile(usage=Usage(**given), curve=curve))
    with filled.store.write() as writer:  # as ingestion does, beside the outcome
        usage.keep(writer.connection, filled.row(writer.connection, folder), Usage(**given))


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Filled:
    monkeypatch.chdir(tmp_path)
    for name in ("ORCH_STORE", "ORCH_STUDY", "ORCH_PRESET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ORCH_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("COLUMNS", "110")
    filled = Filled.make(tmp_path / ".orch")
    filled.at -= timedelta(hours=2)
    return filled


def on_gpu(filled: Filled, seeds: int, **values: Any) -> list[int]:
    launching = Launching(backend="local", resources=Resources(cpus=2, gpus=1), device="cuda")
    return filled.submit(seeds=range(seeds), launching=launching, values=values)


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Said:
    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            run(arguments)
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def lived(filled: Filled) -> tuple[int, int, int]:
    """One job that was killed after a checkpoint and then succeeded, one that failed, one that waits to go on."""
    first, failed, waits = on_gpu(filled, 3)
    filled.dispatch(first, slot="gpu:0:0")
    folder = filled.start(first)
    filled.tick(100)
    half = Sums(seconds=60.0, cpu_seconds=15.0, busy_seconds=30.0, joules=18_000.0)
    tell(filled, folder, 98.0, kept=half, saved_step=7)
    (folder / "checkpoints").mkdir()
    files.write_json(folder / "checkpoints" / "step-7.json", {"step": 7, "bytes": 1, "sha256": ""})
    filled.end(first, Cause.KILLED, JobState.QUEUED)
    folder = filled.succeed(first, {"test_accuracy": 90.0})
    tell(filled, folder, 2.0, resumed_step=7)
    filled.dispatch(failed, slot="gpu:0:0")
    folder = filled.start(failed)
    filled.tick(50)
    tell(filled, folder, 52.0)
    filled.end(failed, Cause.ERROR, JobState.FAILED, error="ValueError: no")
    filled.dispatch(waits, slot="gpu:0:0")
    filled.start(waits)  # it told nothing
    filled.tick(10)
    filled.end(waits, Cause.PREEMPTED, JobState.QUEUED)
    return first, failed, waits


def account_of(filled: Filled, by: str = "") -> Any:
    with filled.store.read() as connection:
        return text.as_json(account(connection, "default", by, (), filled.at + timedelta(hours=1)))


def test_classes_before_and_after_a_rebuild(filled: Filled, said: Said) -> None:
    lived(filled)
    code, out, err = said("usage", "--json")
    assert (code, err) == (0, "")
    found = {(one["class"], one["cause"]): one for one in json.loads(out)["classes"]}
    assert list(found) == [("useful", None), ("repeated", "killed"), ("repeated", "preempted"), ("failed", "error")]
    assert found["useful", None]["seconds"] == pytest.approx(60 + 2, abs=0.1)
    killed = found["repeated", "killed"]
    assert (killed["gpu_busy_seconds"], killed["joules"]) == (19.0, 11_400.0)
    preempted = found["repeated", "preempted"]
    assert (preempted["gpu_seconds"], preempted["gpu_busy_seconds"], preempted["joules"]) == (None, None, None)
    whole = json.loads(out)["total"]
    assert whole["seconds"] == pytest.approx(sum(one["seconds"] for one in found.values()), abs=1e-5)
    assert whole["executions"] == 4 and found["useful", None]["executions"] == 2
    before = [account_of(filled, by) for by in ("", "cause", "seed")]
    rebuild_all(filled.store.root, lambda done, of: None)
    assert [account_of(filled, by) for by in ("", "cause", "seed")] == before


def test_the_table_shows_what_is_not_known_as_a_dash(filled: Filled, said: Said) -> None:
    lived(filled)
    code, out, _ = said("usage")
    assert code == 0
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith("  ")}
    assert " ".join(lines["useful"]) == "useful 2 1m02 0.03 12 % 0.02 50 % 0.01 kWh"
    assert " ".join(lines["total"]) == "total 4 2m48 0.09 12 % ≥ 0.04 49 % ≥ 0.01 kWh", "of what is known"
    assert lines["preempted"][-3:] == ["-", "-", "-"]
    assert "nobody knows whether executions of" in out
    _, out, _ = said("usage", "--by", "seed")
    assert [line.split()[0] for line in out.splitlines() if line.startswith("  ")] == ["seed", "0", "1", "2"]
    code, _, err = said("usage", "--by", "sede")
    assert (code, err.count("\n")) == (2, 1) and "did you mean 'seed'?" in err
    code, out, _ = said("usage", "--filter", "seed=1", "--json")
    assert code == 0 and [one["class"] for one in json.loads(out)["classes"]] == ["failed"]


def test_nothing_has_run_yet(filled: Filled, said: Said) -> None:
    on_gpu(filled, 1)
    code, out, _ = said("usage")
    assert code == 0 and out.startswith("study default  0 executions of 1 job\nwaited: ")


HOSTILE = [
    b"",
    b"{",
    b"[" * 100_000,
    b'{"usage": {"at": "2026-01-01T00:00:00Z", "sums": {"seconds": 1e400}}}',
    b'{"usage": {"at": "2026-01-01T00:00:00Z", "gpus": 1, "sums": {"seconds": 5.0, "busy_seconds": 1e9}}}',
    b'{"format": 99, "usage": {"at": "2026-01-01T00:00:00Z"}}',
]


@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: data[:20].decode())
def test_an_odd_file_is_passed_over_and_named(filled: Filled, said: Said, data: bytes) -> None:
    (job,) = on_gpu(filled, 1)
    filled.dispatch(job)
    folder = filled.start(job)
    (folder / FILE).write_bytes(data)
    code, out, err = said("status", "--json")
    assert code == 0 and f"{FILE} is passed over" in err
    assert json.loads(out)["jobs"][0]["gpu_idle_seconds"] is None
    code, out, _ = said("show", str(job))
    assert code == 0 and "GPUs  " not in out
    assert said("usage")[0] == 0


def test_a_file_that_is_none_is_not_waited_for(filled: Filled, said: Said) -> None:
    import os

    (job,) = on_gpu(filled, 1)
    filled.dispatch(job)
    os.mkfifo(filled.start(job) / FILE)
    assert said("usage")[0] == 0 and said("show", str(job))[0] == 0


def test_idle_gpus_are_told_until_their_worker_falls_silent(filled: Filled, said: Said) -> None:
    lazy, busy, silent = on_gpu(filled, 3)
    for job, idle, at in ((lazy, 2400.0, 0), (busy, 30.0, 0), (silent, 2400.0, 600)):
        filled.dispatch(job)
        tell(filled, filled.start(job), 7200.0, idle=(idle,), at=files.now() - timedelta(seconds=at))
    code, out, _ = said("status")
    assert code == 0 and f"1 running job holds GPUs that do nothing: {lazy} (GPU idle for 40 min)" in out
    assert out.count("idle for") == 2, "in its line and in the note"
    _, out, _ = said("status", "--json")
    assert [one["gpu_idle_seconds"] for one in json.loads(out)["jobs"]] == [[2400.0], [30.0], None]
    _, out, _ = said("show", str(lazy))
    (line,) = [line for line in out.splitlines() if line.startswith("  GPUs ")]
    assert line.split(maxsplit=1)[1] == "▁· 50 % of the time, memory -, energy 0.600 kWh, GPU idle for 40 min"
    _, out, _ = said("show", str(lazy), "--json")
    (told,) = json.loads(out)["usage"]
    assert told["curve"]["gpu_percent"] == [0.0, None] and told["gpu_memory_mb"] is None


def test_a_quarter_of_a_gpu_for_four_hours_is_one_gpu_hour_everywhere(filled: Filled) -> None:
    filled.at -= timedelta(hours=5)
    (job,) = on_gpu(filled, 1)
    filled.dispatch(job, slot="gpu:MIG-GPU-1/2/0:1/4,gpu:3:0/4")
    folder = filled.start(job)
    filled.tick(4 * 3600 - 1)
    tell(filled, folder, 4 * 3600.0)
    filled.end(job, Cause.ERROR, JobState.FAILED, error="ValueError: no")
    with filled.store.write() as writer:  # as an outcome says it: workers know nothing of shares
        writer.connection.exec_driver_sql(
            "UPDATE execution SET ending = 'failure', gpu_seconds = 14400, wall_seconds = 14400"
        )
    with filled.store.read() as connection:
        (row,) = results.rows(connection, "default")
        detail = details.get(connection, job)
    (failed,) = account_of(filled)["classes"]
    assert row.gpu_seconds == used(detail)[0] == 3600.0
    assert failed["gpu_seconds"] == pytest.approx(3600.0, abs=1.0)


@pytest.mark.parametrize(
    ("slot", "parts"), [(None, 1), ("cpu:1/4", 1), ("gpu:0:0", 1), ("gpu:0:1/3", 3), ("gpu:MIG-GPU-1/2/0:0", 1)]
)
def test_how_many_share_a_gpu(slot: str | None, parts: int) -> None:
    assert gpu_parts(slot) == parts
