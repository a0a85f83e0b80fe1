"""GPUs of a lab that somebody uses outside of SLURM: a job waits, or goes back to the queue, and nobody is struck.

The driver is pretended by a module of NVML's name, whose processes a file tells. `make long` runs it, `make test` not.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.lab import record
from slurm.local.gpulocks import GpuLocks
from slurm.local.slots import Share
from tests.slurm.conftest import NewCluster
from tests.slurm.lab import Lab, lab

NVML = '''
"""One GPU a node; {used} tells which process computes on it."""
import json, os, pathlib
from types import SimpleNamespace
class NVMLError(Exception): pass
class NVMLError_LibraryNotFound(NVMLError): pass
class NVMLError_DriverNotLoaded(NVMLError): pass
class NVMLError_GpuIsLost(NVMLError): pass
class NVMLError_NotFound(NVMLError): pass
class NVMLError_NotSupported(NVMLError): pass
class NVMLError_NoPermission(NVMLError): pass
NVML_DEVICE_MIG_ENABLE = 1
NODE = os.environ.get("SLURMD_NODENAME", "")
UUID = "GPU-00000000-0000-0000-0000-%012d" % int(NODE[4:] or 0)
def nvmlInit(): pass
def nvmlDeviceGetCount(): return 1
def nvmlDeviceGetHandleByIndex(index): return 0
def nvmlDeviceGetHandleByUUID(uuid): return 0
def nvmlDeviceGetUUID(handle): return UUID
def nvmlDeviceGetName(handle): return "pretended"
def nvmlDeviceGetMigMode(handle): raise NVMLError_NotSupported
def nvmlDeviceGetMemoryInfo(handle): return SimpleNamespace(free=80 << 30, total=80 << 30, used=0)
def nvmlDeviceGetComputeRunningProcesses(handle):
    used = json.loads(pathlib.Path("{used}").read_text())
    return [SimpleNamespace(pid=used[NODE], usedGpuMemory=9 << 30)] if NODE in used else []
'''
UUID = "GPU-00000000-0000-0000-0000-00000000000{}"


def logs(orch: Lab) -> str:
    """What the scripts of all submissions printed before their workers began."""
    return "\n".join(path.read_text() for path in sorted(orch.layout.submissions.glob("*/submitit/*_log.out")))


def restarts(orch: Lab) -> list[int]:
    """How often SLURM requeued each job that it knows."""
    words = orch.cluster.run("squeue", "-h", "-t", "all", "-O", "RestartCnt").stdout.split()
    return [int(word) for word in words]


def as_a_lab(folder: Path) -> record.Lab:
    """A cluster is one of orch's own labs where its record lies beside slurm.conf."""
    me = socket.gethostname().partition(".")[0]
    member = record.Member(
        name=me,
        node="node1",
        hostname=me,
        address="127.0.0.1",
        cores=4,
        memory_mb=4000,
        slurm="22.05.8",
        system="debian",
    )
    return record.Lab(
        format=record.FORMAT, id="a1", folder=str(folder), user="me", uid=os.geteuid(), port=20000, members=(member,)
    )


TERMS = ("--gpus", "1", "--cpus", "1", "--mem", "300M", "--code", "live", "--no-canary")
WORK = ("--", "sh", "-c", 'echo "$SLURMD_NODENAME"')


@contextlib.contextmanager
def a_lab(new_cluster: NewCluster, folder: Path) -> Iterator[Lab]:
    """Two nodes with a GPU each; `folder`/used.json tells who computes on it, `folder`/locks holds the common holds."""
    module = folder / "module"
    module.mkdir()
    (module / "pynvml.py").write_text(NVML.replace("{used}", str(folder / "used.json")))
    (folder / "used.json").write_text("{}")
    paths = os.pathsep.join([str(module), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    with new_cluster(nodes=2, cpus=4, gpus=1, accounting=False) as cluster:
        record.save(as_a_lab(Path(cluster.env()["SLURM_CONF"]).parent))
        with lab(folder / "mai", cluster, ORCH_LOCK_DIR=str(folder / "locks"), PYTHONPATH=paths) as mai:
            yield mai


def unharmed(mai: Lab, jobs: int) -> None:
    """So many jobs, each by its one attempt, and nobody was struck."""
    mai.check_each_once(jobs)
    assert not mai.strikes()
    assert mai.query("SELECT DISTINCT ending, cause FROM execution") == [("success", "success")]
    assert mai.query("SELECT job_id, count(*) FROM attempt GROUP BY 1") == [(job, 1) for job in range(1, jobs + 1)]


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_gpu_on_which_somebody_computes_is_waited_for_and_then_left(new_cluster: NewCluster, tmp_path: Path) -> None:
    used = tmp_path / "used.json"
    stranger = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        with a_lab(new_cluster, tmp_path) as mai:
            used.write_text(json.dumps({"node1": stranger.pid, "node2": stranger.pid}))
            mai.orch("submit", "command", "--seeds", "2", *TERMS, *WORK)
            waits = f"in use outside of SLURM and it waits: used by root (pid {stranger.pid}: sleep 1000"
            mai.until(lambda: logs(mai).count(waits) == 2, 90, "both to wait")
            used.write_text(json.dumps({"node1": stranger.pid}))
            mai.until(lambda: mai.states()["succeeded"] == 1, 60, "the job of the GPU that is free again")
            mai.until(lambda: 1 in restarts(mai), 300, "the other to be requeued")
            assert mai.states()["succeeded"] == 1
            used.write_text("{}")
            mai.wait()
            unharmed(mai, 2)
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.long
def test_a_gpu_that_somebody_holds_by_orchs_common_lock_is_waited_for(new_cluster: NewCluster, tmp_path: Path) -> None:
    with a_lab(new_cluster, tmp_path) as mai:
        locks, share = GpuLocks(tmp_path / "locks"), Share(UUID.format(1), 0)
        held = [locks.acquire(UUID.format(node), share, "a person's own") for node in (1, 2)]
        mai.orch("submit", "command", "--seeds", "1", *TERMS, *WORK)
        mai.until(lambda: "in use outside of SLURM and it waits: held by root" in logs(mai), 90, "the job to wait")
        assert mai.states() == {"running": 1} or mai.states() == {"submitted": 1}
        for handle in held:
            os.close(handle)
        mai.wait()
        unharmed(mai, 1)
