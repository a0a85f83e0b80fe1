"""Slots and the host's GPU locks with real workers: never more than there is room for."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.errors import BackendError
from slurm.backend import LimitReached
from slurm.local import processes
from slurm.local.backend import LocalBackend
from slurm.local.gpulocks import GpuLocks
from slurm.local.slots import Share
from tests.helpers.localbench import Bench


def test_never_more_workers_than_slots(bench: Bench) -> None:
    bench.backend = LocalBackend(bench.layout, cpu_slots=2, locks=bench.backend.locks, environ={})
    queue = [bench.job(number) for number in range(1, 6)]
    batches = bench.backend.plan(queue, [], frozenset())
    assert [batch.slot for batch in batches] == ["cpu:0/2", "cpu:1/2"]
    live = [bench.attempt(b.jobs[0].job, f"x{n}", b.slot or "", None) for n, b in enumerate(batches)]
    assert bench.backend.plan(queue[2:], live, frozenset()) == []
    assert bench.backend.waiting(queue[2:], live, frozenset())[3] == "waits for a CPU slot: CPU: taken by 2 job(s)"
    assert [b.slot for b in bench.backend.plan(queue[2:], live[1:], frozenset())] == ["cpu:0/2"]


def test_a_slot_stays_taken_while_its_worker_runs_although_the_attempt_has_ended(bench: Bench) -> None:
    bench.settings["cpu_slots"] = 1
    bench.backend = bench.new_backend()
    attempt = bench.launch(bench.job())
    bench.said(attempt)
    del bench.live[attempt.token]
    assert bench.backend.plan([bench.job(2)], [], frozenset()) == []
    os.kill(int(attempt.native_id or 0), signal.SIGKILL)
    assert bench.backend.wait(20.0)
    bench.backend.observe([])
    assert len(bench.backend.plan([bench.job(2)], [], frozenset())) == 1
    assert bench.backend.workers == {}


def test_two_stores_share_the_gpus_of_the_host(bench: Bench, tmp_path: Path) -> None:
    other = Bench(tmp_path / "other", locks=bench.backend.locks, environ=bench.settings["environ"])
    attempt = bench.launch(bench.job(1, gpus=1), "gpu:2:0")
    bench.said(attempt)
    try:
        queue = [other.job(number, gpus=1) for number in (1, 2)]
        assert [batch.slot for batch in other.backend.plan(queue, [], frozenset())] == ["gpu:3:0"]
        with pytest.raises(LimitReached, match="GPU 2 was taken"):
            other.launch(queue[0], "gpu:2:0")
        with pytest.raises(LimitReached, match="GPU 2 was taken"):
            other.launch(queue[1], "gpu:2:1/2", token="half")
        bench.backend = bench.new_backend()  # the supervisor dies, the worker holds its lock
        assert other.backend.plan([other.job(1, gpus=2)], [], frozenset()) == []
        bench.backend.cancel([attempt])
        bench.ended(attempt)
        assert len(other.backend.plan(queue, [], frozenset())) == 2
    finally:
        other.close()


def test_locks_that_are_held_are_in_use_and_gone_ones_are_not(tmp_path: Path) -> None:
    locks = GpuLocks(tmp_path / "locks")
    held = locks.acquire("GPU-1", Share("0", 0, 2), "a")
    (tenant,) = locks.tenants("GPU-1")
    assert (tenant.share.index, tenant.share.parts) == (0, 2)
    assert tenant.holder is not None
    assert tenant.holder.token == "a"
    with pytest.raises(LimitReached):
        locks.acquire("GPU-1", Share("0", 0, 2), "b")
    with pytest.raises(LimitReached):
        locks.acquire("GPU-1", Share("0", 1, 1), "b")
    second = locks.acquire("GPU-1", Share("0", 1, 2), "b")
    os.close(held)
    assert [one.share.index for one in locks.tenants("GPU-1")] == [1]
    os.close(second)
    assert locks.tenants("GPU-1") == []
    assert (tmp_path / "locks").stat().st_mode & 0o7777 == 0o1777


def test_what_somebody_planted_holds_nothing_and_is_named(tmp_path: Path) -> None:
    victim = tmp_path / "precious"
    victim.write_text("keep me")
    folder = tmp_path / "locks"
    locks = GpuLocks(folder)
    os.close(locks.acquire("GPU-0", Share("0", 0), "a"))
    (own,) = folder.iterdir()
    (own / "GPU-1.0.x").symlink_to(victim)
    (own / "GPU-1.1.x").hardlink_to(victim)
    os.mkfifo(own / "GPU-1.2.x")
    (own / "GPU-1.3.x").write_bytes(b" " * 10_000)
    (own / "GPU-1.4.x").write_text("[" * 3000)
    (own / "GPU-1.5.x").mkdir()
    (folder / "orch-gpus-7").symlink_to(own)
    (folder / "orch-gpus-8").mkdir()
    (folder / "orch-gpus-8").chmod(0o777)
    (folder / "GPU-1.0").symlink_to(victim)
    os.mkfifo(folder / "GPU-1.1")
    assert locks.tenants("GPU-1") == []
    os.close(locks.acquire("GPU-1", Share("0", 0), "a"))
    assert victim.read_text() == "keep me"
    named = " ".join(locks.oddities)
    for odd in ("GPU-1.0.x", "GPU-1.1.x", "GPU-1.2.x", "GPU-1.3.x", "GPU-1.4.x", "orch-gpus-7", "orch-gpus-8"):
        assert odd in named
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(BackendError, match="ORCH_LOCK_DIR"):
        GpuLocks(tmp_path / "link").tenants("GPU-1")
    folder.chmod(0o777)
    with pytest.raises(BackendError, match="not sticky"):
        locks.tenants("GPU-1")


def test_a_hold_with_a_second_name_holds_all_the_same(tmp_path: Path) -> None:
    """Whoever can link another's file (fs.protected_hardlinks = 0) must not void the hold by it."""
    locks = GpuLocks(tmp_path / "locks")
    handle = locks.acquire("GPU-1", Share("0", 0), "a")
    (file,) = (tmp_path / "locks").glob("orch-gpus-*/GPU-1.*")
    (tmp_path / "second").hardlink_to(file)
    assert [one.share.parts for one in GpuLocks(tmp_path / "locks").tenants("GPU-1")] == [1]
    with pytest.raises(LimitReached):
        locks.acquire("GPU-1", Share("0", 0), "b")
    os.close(handle)
    assert locks.tenants("GPU-1") == [] and not file.exists()


def test_a_hold_ends_with_its_worker_and_a_new_process_of_that_number_has_none(tmp_path: Path) -> None:
    locks = GpuLocks(tmp_path / "locks")
    handle = locks.acquire("GPU-1", Share("0", 0), "a")
    worker = subprocess.Popen(["sleep", "60"], start_new_session=True)
    found = processes.process(worker.pid)
    assert found is not None
    locks.started(handle, Share("0", 0), "a", worker.pid, found.start)
    os.close(handle)
    (tenant,) = GpuLocks(tmp_path / "locks").tenants("GPU-1")
    assert tenant.holder is not None and tenant.holder.pid == worker.pid
    assert "root" in tenant.who or str(worker.pid) in tenant.who
    (file,) = (tmp_path / "locks").glob("orch-gpus-*/GPU-1.*")
    text = file.read_text()
    file.write_text(text.replace(f'"start":{found.start}', f'"start":{found.start - 1}'))  # that number, given anew
    assert locks.tenants("GPU-1") == [] and not file.exists()
    file.write_text(text)
    file.chmod(0o644)
    assert len(locks.tenants("GPU-1")) == 1
    worker.kill()
    worker.wait()
    assert locks.tenants("GPU-1") == [] and not file.exists()


def test_locks_of_workers_of_the_version_before_still_count(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    folder.mkdir()
    folder.chmod(0o1777)
    old = folder / "GPU-1.1"
    old.write_text('{"token":"t","parts":2,"uid":0,"boot_id":"b","namespace":1,"pid":7,"start":1}')
    locks = GpuLocks(folder)
    assert locks.tenants("GPU-1") == []
    with old.open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        (tenant,) = locks.tenants("GPU-1")
        assert (tenant.share.index, tenant.share.parts) == (1, 2)
        with pytest.raises(LimitReached, match="GPU 0 was taken"):
            locks.acquire("GPU-1", Share("0", 0), "a")
        os.close(locks.acquire("GPU-1", Share("0", 0, 2), "a"))
    os.close(locks.acquire("GPU-1", Share("0", 0), "a"))


def test_two_launchers_at_once_never_both_get_a_gpu(tmp_path: Path) -> None:
    script = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from pathlib import Path
from slurm.backend import LimitReached
from slurm.local.gpulocks import GpuLocks
from slurm.local.slots import Share
parts = int(sys.argv[1])
got = 0
sys.stdin.readline()
for turn in range(40 * parts):
    try:
        GpuLocks(Path({str(tmp_path / "locks")!r})).acquire("GPU-1", Share("0", turn % parts, parts), "t")
        got += 1
    except LimitReached:
        time.sleep(0.01)  # who gave way to a lower ticket, which may give way itself, asks again, as a supervisor does
print(got, flush=True)
sys.stdin.readline()
"""
    command = [sys.executable, "-c", script]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [subprocess.Popen([*command, parts], **pipes) for parts in ("2", "2", "1")]
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    halves = [int(racer.stdout.readline()) for racer in racers]
    for racer in racers:
        racer.communicate("end\n")
    assert halves[0] + halves[1] == (0 if halves[2] else 2)
    assert halves[2] <= 1
    assert GpuLocks(tmp_path / "locks").tenants("GPU-1") == []
