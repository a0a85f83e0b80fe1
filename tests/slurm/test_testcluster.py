"""The test cluster itself: real jobs on it, its failures, and that nothing is left of it."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.errors import BadInput
from slurm.testcluster import Cluster, ClusterError

_SOURCE = Path(__file__).parents[2]


def mentioned_by(base: Path) -> list[str]:
    """The command lines of all live processes with `base` in their arguments or environment; uses no mark of ours."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                texts = [(folder / name).read_bytes() for name in ("cmdline", "environ")]
            except OSError:
                continue
            if any(str(base).encode() in text for text in texts):
                found.append(texts[0].replace(b"\0", b" ").decode())
    return found


def wait_until(ready: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.1)


def submit(cluster: Cluster, *options: str, command: str = "sleep 60") -> str:
    """The id of a new job of one task."""
    done = cluster.run("sbatch", "--parsable", "--output=/dev/null", "--mem=50", *options, f"--wrap={command}")
    return done.stdout.strip()


def job(cluster: Cluster, number: str) -> dict[str, str]:
    """The fields of `scontrol show job`."""
    words = cluster.run("scontrol", "show", "job", "--oneliner", number).stdout.split()
    return dict(word.split("=", 1) for word in words if "=" in word)


def wait_for_state(cluster: Cluster, number: str, state: str, timeout_s: float = 30) -> None:
    wait_until(lambda: job(cluster, number)["JobState"] == state, timeout_s)


def runs(cluster: Cluster, number: str) -> list[str]:
    """`state node` of every run of a job that sacct knows."""
    done = cluster.run("sacct", "-X", "-n", "-P", "--duplicates", "-j", number, "-o", "state,nodelist")
    return [line.replace("|", " ") for line in done.stdout.splitlines()]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for a cluster that another process starts, stopped and deleted afterwards whatever the test did."""
    base = Path(tempfile.mkdtemp(prefix="orch-slurm-", dir="/tmp"))
    yield base
    if (base / "cluster.json").exists():
        Cluster.load(base).remove()
    shutil.rmtree(base, ignore_errors=True)


def test_a_job_sees_its_node_and_its_fake_gpus(cluster: Cluster) -> None:
    script = "echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES"
    done = cluster.run("srun", "--gpus=2", "--nodelist=node3", "sh", "-c", script)
    assert done.stdout.split() == ["node3", "0,1"]


def test_jobs_share_the_gpus_of_a_node_without_overlap(cluster: Cluster, tmp_path: Path) -> None:
    gpus = tmp_path / "gpus"
    submit(
        cluster, "--array=0-3", "--gpus=1", "--nodelist=node1", command=f"echo $CUDA_VISIBLE_DEVICES >> {gpus}; sleep 9"
    )
    wait_until(lambda: gpus.exists() and len(gpus.read_text().split()) == 4)
    assert sorted(gpus.read_text().split()) == ["0", "1", "2", "3"]


def test_sacct_keeps_the_end_of_a_job_with_its_gpus(cluster: Cluster) -> None:
    number = submit(cluster, "--gpus=1", "--wait", command="true")

    def record() -> str:
        return cluster.run("sacct", "-X", "-n", "-P", "-j", number, "-o", "state,exitcode,alloctres").stdout.strip()

    wait_until(lambda: record().startswith("COMPLETED|0:0|"))
    assert "gres/gpu=1" in record()


def test_a_killed_node_fails_its_job_which_is_requeued_elsewhere(cluster: Cluster) -> None:
    number = submit(cluster, "--requeue", "--nodelist=node1", command="srun sleep 60")
    wait_until(lambda: len(cluster.steps("node1")) == 2)
    cluster.kill_node("node1")
    assert cluster.steps("node1") == []
    assert cluster.job_processes("node1") == []
    wait_until(lambda: "NODE_FAIL node1" in runs(cluster, number), 40)
    cluster.run("scontrol", "update", f"jobid={number}", "nodelist=", "starttime=now")
    wait_until(lambda: job(cluster, number)["JobState"] == "RUNNING")
    assert job(cluster, number)["NodeList"] != "node1"
    assert job(cluster, number)["Restarts"] == "1"
    assert cluster.nodes()["node1"].startswith("down")
    cluster.start_node("node1")
    wait_until(lambda: cluster.nodes()["node1"] == "idle")


def test_without_its_slurmd_a_job_carries_on_until_the_reset(cluster: Cluster, tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    number = submit(cluster, "--nodelist=node2", command=f"while :; do echo >> {beat}; sleep 0.1; done")
    wait_for_state(cluster, number, "RUNNING")
    wait_until(beat.exists)
    cluster.kill_node("node2", jobs=False)
    assert "node2" in cluster.missing_daemons()
    size = beat.stat().st_size
    wait_until(lambda: beat.stat().st_size > size + 5)
    assert len(cluster.steps("node2")) == 1
    assert cluster.job_processes("node2")
    # Until SLURM has given the job up, so that its processes are nobody's.
    wait_until(lambda: cluster.nodes()["node2"].startswith("down"))
    cluster.reset()
    assert cluster.missing_daemons() == []
    assert cluster.steps("node2") == []
    assert cluster.job_processes("node2") == []


def test_killed_steps_leave_their_job_processes_as_orphans(cluster: Cluster) -> None:
    submit(cluster, "--nodelist=node4")
    wait_until(lambda: bool(cluster.job_processes("node4")))
    others = cluster.job_processes("node3")
    cluster.kill_steps("node4")
    assert cluster.steps("node4") == []
    assert cluster.job_processes("node4")
    assert others == []


def test_a_node_that_is_set_down_fails_its_job_at_once(cluster: Cluster) -> None:
    number = submit(cluster, "--no-requeue", "--nodelist=node1")
    wait_for_state(cluster, number, "RUNNING")
    cluster.set_node_down("node1", "tested")
    wait_for_state(cluster, number, "NODE_FAIL", 5)
    assert cluster.nodes()["node1"] == "down"
    cluster.resume_node("node1")
    wait_until(lambda: cluster.nodes()["node1"] == "idle")


def test_a_drained_node_takes_no_job(cluster: Cluster) -> None:
    cluster.drain_node("node1", "tested")
    number = submit(cluster, "--nodelist=node1")
    wait_until(lambda: "DRAIN" in job(cluster, number)["Reason"] or "NotAvail" in job(cluster, number)["Reason"])
    assert job(cluster, number)["JobState"] == "PENDING"
    cluster.resume_node("node1")
    wait_for_state(cluster, number, "RUNNING")


def test_a_job_outlives_a_killed_and_a_stopped_controller(cluster: Cluster) -> None:
    number = submit(cluster)
    wait_for_state(cluster, number, "RUNNING")
    cluster.wait_for_saved_state()
    for end in (cluster.kill_controller, cluster.stop_controller):
        end()
        assert cluster.missing_daemons() == ["slurmctld"]
        with pytest.raises(ClusterError, match="squeue"):
            cluster.run("squeue", timeout=50)
        cluster.start_controller()
        assert job(cluster, number)["JobState"] == "RUNNING"


def test_sacct_fails_while_accounting_is_stopped(cluster: Cluster) -> None:
    cluster.stop_accounting()
    with pytest.raises(ClusterError, match="sacct"):
        cluster.run("sacct")
    cluster.start_accounting()
    assert cluster.run("sacct", "-n").returncode == 0


def test_the_callers_own_slurm_settings_do_not_leak_in(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "SBATCH_PARTITION", "SQUEUE_FORMAT", "SLURMD_NODENAME"):
        monkeypatch.setenv(name, "nonsense")
    number = submit(cluster, command="true")
    assert job(cluster, number)["Partition"] == "main"


def test_unknown_nodes_are_refused_in_one_sentence(cluster: Cluster) -> None:
    with pytest.raises(BadInput, match=r"no node 'node9': the nodes are node1 to node4\.$"):
        cluster.kill_node("node9")


def test_a_second_cluster_without_accounting(cluster: Cluster, new_cluster: Callable[..., Cluster]) -> None:
    second = new_cluster(accounting=False, nodes=1, gpus=0, extra_conf={"MaxArraySize": 5})
    began = time.monotonic()
    with second:
        assert time.monotonic() - began < 15
        assert second.nodes() == {"node1": "idle"}
        assert set(cluster.nodes()) == {"node1", "node2", "node3", "node4"}
        assert second.run("srun", "printenv", "SLURM_CONF").stdout.strip() == f"{second.base}/slurm.conf"
        with pytest.raises(ClusterError, match="sbatch"):
            submit(second, "--array=0-5")
        with pytest.raises(ClusterError, match="disabled"):
            second.run("sacct")
        with pytest.raises(BadInput, match="without accounting"):
            second.stop_accounting()
        submit(second)
        wait_until(lambda: bool(second.job_processes("node1")))
        # A job of one cluster is none of the other's, though their nodes share a name.
        assert cluster.job_processes("node1") == []
    assert not second.base.exists()
    assert mentioned_by(second.base) == []
    assert cluster.missing_daemons() == []


def test_limits_comments_and_an_own_partition(new_cluster: Callable[..., Cluster]) -> None:
    with new_cluster(
        nodes=1,
        job_comment=True,
        extra_conf={"AccountingStorageEnforce": "associations,limits"},
        partitions={"only": "Default=YES MaxTime=5"},
    ) as cluster:
        user = pwd.getpwuid(os.geteuid()).pw_name
        cluster.run("sacctmgr", "-i", "modify", "user", user, "set", "MaxSubmitJobs=1")
        number = submit(cluster, "--comment=a remark", "--wait", command="true")
        submit(cluster, "--hold")
        assert job(cluster, number)["Partition"] == "only"
        with pytest.raises(ClusterError, match=r"sbatch.*[Jj]ob violates"):
            submit(cluster)
        wait_until(lambda: "a remark" in cluster.run("sacct", "-X", "-n", "-P", "-o", "comment").stdout)
        # The history outlives the daemons.
        cluster.down()
        assert mentioned_by(cluster.base) == []
        cluster.up()
        assert number in cluster.run("sacct", "-X", "-n", "-P", "-o", "jobid").stdout.split()


def test_a_setting_that_slurm_refuses_is_named(new_cluster: Callable[..., Cluster]) -> None:
    broken = new_cluster(accounting=False, nodes=1, extra_conf={"SelectType": "select/nonsense"})
    with pytest.raises(ClusterError, match="select/nonsense"):
        broken.up()
    assert mentioned_by(broken.base) == []


def command_line(base: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m slurm.testcluster --dir BASE …`."""
    argv = [sys.executable, "-m", "slurm.testcluster", "--dir", str(base), *words]
    return subprocess.run(argv, cwd=_SOURCE, capture_output=True, text=True, timeout=120)


def test_the_command_line_leaves_a_cluster_running_until_down(short_folder: Path) -> None:
    base = short_folder
    done = command_line(base, "up", "--nodes", "2", "--no-accounting")
    assert done.returncode == 0, done.stderr
    assert f"--dir {base} env" in done.stdout
    status = command_line(base, "status")
    assert status.returncode == 0
    assert "slurmd of node2" in status.stdout
    export = command_line(base, "env").stdout
    shell = subprocess.run(["bash", "-c", f"{export}\nsinfo -h -N -p main -o %N"], capture_output=True, text=True)
    assert shell.stdout.split() == ["node1", "node2"]

    again = command_line(base, "up")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "is up already" in again.stderr

    assert command_line(base, "kill-node", "node2").returncode == 0
    status = command_line(base, "status")
    assert status.returncode == 1
    assert "slurmd of node2    not running" in status.stdout
    assert command_line(base, "start-node", "node2").returncode == 0
    assert command_line(base, "down-node", "node1", "--reason", "tried").returncode == 0
    assert Cluster.load(base).nodes()["node1"] == "down"

    assert command_line(base, "down").returncode == 0
    assert not base.exists()
    assert mentioned_by(base) == []
    gone = command_line(base, "status")
    assert (gone.returncode, gone.stderr.count("\n")) == (2, 1)


_OWNER = """
import sys, time
from pathlib import Path
from slurm.testcluster import Cluster
cluster = Cluster(Path(sys.argv[1]), nodes=2).up()
cluster.run("sbatch", "--output=/dev/null", "--wrap=setsid sleep 300")
print("up", flush=True)
time.sleep(300)
"""


@pytest.mark.parametrize("moment", ["early", "database", "up"])
def test_a_killed_owner_leaves_no_process_and_no_folder(short_folder: Path, moment: str) -> None:
    base = short_folder
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(base)], cwd=_SOURCE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert owner.stdout is not None
    try:
        if moment == "up":
            assert owner.stdout.readline() == b"up\n"
            wait_until(lambda: bool(Cluster.load(base).job_processes("node1")))
            assert len(mentioned_by(base)) > 8
        else:
            noted = "watchdog" if moment == "early" else "node2"
            wait_until(lambda: (base / "run" / "pids" / f"{noted}.json").exists())
    finally:
        os.killpg(owner.pid, signal.SIGKILL)
        owner.communicate()
    wait_until(lambda: not base.exists())
    wait_until(lambda: mentioned_by(base) == [], 2)


_ORDINARY_USER = """
import os, sys
from pathlib import Path
from slurm.testcluster import Cluster
assert os.geteuid() != 0
with Cluster(Path(sys.argv[1]), nodes=2) as cluster:
    print(cluster.run("srun", "--gpus=1", "sh", "-c", "id -u; echo $CUDA_VISIBLE_DEVICES").stdout)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="every test here ran as an ordinary user already")
def test_an_ordinary_user_can_have_one_too() -> None:
    user = pwd.getpwnam("daemon")
    become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    # Root's own Python may lie where nobody else may look, and so may these sources. It has to start a second one, as
    # setpriv may pass on root's rights until its exec.
    modern = (
        "import subprocess, sys; subprocess.check_call([sys.executable, '-c', '']); assert sys.version_info >= (3, 11)"
    )
    pythons = [
        python
        for python in (sys.executable, "/usr/bin/python3")
        if subprocess.run([*become, python, "-c", modern], cwd="/", capture_output=True).returncode == 0
    ]
    assert pythons, "this test needs a Python >= 3.11 that an ordinary user may run: install python3"
    place = Path(tempfile.mkdtemp(prefix="orch-user-", dir="/tmp"))
    base = place / "lab"
    try:
        for package in ("slurm/testcluster", "slurm/lab", "jobs"):
            shutil.copytree(_SOURCE / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
        for folder, _, files in os.walk(place):
            Path(folder).chmod(0o755)
            for name in files:
                (Path(folder) / name).chmod(0o644)
        base.mkdir()
        os.chown(base, user.pw_uid, user.pw_gid)
        done = subprocess.run(
            [*become, pythons[0], "-c", _ORDINARY_USER, str(base)],
            cwd=place,
            env=dict(os.environ) | {"PYTHONPATH": str(place), "USER": "root", "LOGNAME": "root"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.stdout.split() == [str(user.pw_uid), "0"], done.stderr
        assert mentioned_by(base) == []
    finally:
        if (base / "cluster.json").exists():
            Cluster.load(base).down()
        shutil.rmtree(place)
