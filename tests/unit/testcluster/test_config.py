"""The pure part of the test cluster: what it writes for SLURM, what it refuses, what it needs installed."""

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from jobs.errors import BadInput
from slurm.lab.packages import PROGRAMS_BY_PACKAGE, require_packages, search_path
from slurm.testcluster import Cluster, ClusterError, clean_environment, config, install_command, missing_packages
from slurm.testcluster import __main__ as command_line
from slurm.testcluster.config import Layout, Ports, Settings

_LAYOUT = Layout(Path("/tmp/lab"))
_PORTS = Ports(20000)


def parsed(settings: Settings) -> tuple[dict[str, str], list[str]]:
    """The keys of slurm.conf that are set once, and its lines of nodes and partitions."""
    lines = config.slurm_conf(settings, _LAYOUT, _PORTS, "me", "laptop").splitlines()
    blocks = [line for line in lines if line.startswith(("NodeName=", "PartitionName="))]
    pairs = [(key, value) for key, _, value in (line.partition("=") for line in lines if line not in blocks)]
    keys = [key.lower() for key, _ in pairs]
    assert len(keys) == len(set(keys)), "SLURM refuses a key that is given twice"
    return dict(pairs), blocks


def test_the_default_cluster() -> None:
    values, blocks = parsed(Settings())
    assert values["SlurmctldHost"] == "laptop(127.0.0.1)"
    assert values["SlurmUser"] == values["SlurmdUser"] == "me"
    assert (values["SlurmctldPort"], values["AccountingStoragePort"]) == ("20000", "20001")
    assert (values["SlurmdTimeout"], values["MessageTimeout"]) == ("5", "5")
    assert values["GresTypes"] == "gpu"
    assert values["AccountingStoragePass"] == "/tmp/lab/run/munge/munge.sock"
    assert "AccountingStoreFlags" not in values
    assert blocks[0] == (
        "NodeName=node[1-4] NodeHostname=laptop NodeAddr=127.0.0.1 Port=[20002-20005] "
        "CPUs=8 RealMemory=16000 Gres=gpu:4 State=UNKNOWN"
    )
    assert [block.split()[0] for block in blocks[1:]] == [f"PartitionName={name}" for name in config.PARTITIONS]
    assert sum("Default=YES" in block for block in blocks) == 1


def test_one_node_without_gpus_and_accounting() -> None:
    settings = Settings(nodes=1, gpus=0, accounting=False)
    values, blocks = parsed(settings)
    assert values["AccountingStorageType"] == "accounting_storage/none"
    assert not {"AccountingStorageHost", "AccountingStorageTRES", "GresTypes"} & values.keys()
    assert blocks[0].startswith("NodeName=node1 ")
    assert " Port=20002 " in blocks[0]
    assert "Gres" not in blocks[0]
    assert config.gres_conf(settings, _LAYOUT) == ""


def test_own_keys_replace_the_defaults_whatever_their_case() -> None:
    values, _ = parsed(Settings(extra_conf={"maxarraysize": 5, "AccountingStorageEnforce": "limits"}))
    assert values["MaxArraySize"] == "5"
    assert values["AccountingStorageEnforce"] == "limits"


def test_own_partitions_replace_the_defaults() -> None:
    _, blocks = parsed(Settings(partitions={"only": "Default=YES MaxTime=5"}))
    assert blocks[1:] == ["PartitionName=only Nodes=ALL State=UP Default=YES MaxTime=5"]


def test_job_comments_are_a_flag_of_accounting() -> None:
    values, _ = parsed(Settings(job_comment=True))
    assert values["AccountingStoreFlags"] == "job_comment"


@pytest.mark.parametrize(("gpus", "files"), [(1, "fakegpu0"), (4, "fakegpu[0-3]")])
def test_each_fake_gpu_has_a_device_file(gpus: int, files: str) -> None:
    text = config.gres_conf(Settings(nodes=2, gpus=gpus), _LAYOUT)
    assert text == f"NodeName=node[1-2] Name=gpu File=/tmp/lab/dev/{files}\n"


def test_the_password_of_the_database_is_the_same_on_both_sides() -> None:
    conf = config.slurmdbd_conf(_LAYOUT, _PORTS, "me", "s3cret")
    assert "StoragePass=s3cret" in conf.splitlines()
    assert "DbdPort=20001" in conf.splitlines()
    assert "IDENTIFIED BY 's3cret'" in config.database_sql("s3cret")


def test_every_daemon_has_a_port_of_its_own() -> None:
    settings = Settings(nodes=3)
    taken = [_PORTS.controller, _PORTS.accounting, *(_PORTS.node(index) for index in (1, 2, 3))]
    assert sorted(taken) == _PORTS.all(settings) == [20000, 20001, 20002, 20003, 20004]


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (lambda: Settings(nodes=0), "nodes is 0, and must be from 1 to 64."),
        (lambda: Settings(gpus=-1), "gpus is -1, and must be from 0 to 64."),
        (lambda: Settings(job_comment=True, accounting=False), "needs accounting"),
        (lambda: Settings(partitions={}), "at least one partition"),
        (lambda: Settings(extra_conf={"A B": "1"}), "'A B'"),
        (lambda: Settings(extra_conf={"A": "1\nB=2"}), "no single line"),
        (lambda: Settings(extra_conf={"nodename": "x"}), "nodename is set by nodes"),
        (lambda: Cluster(Path("relative")), "must be absolute"),
        (lambda: Cluster(Path("/tmp/with space")), "letters, digits"),
        (lambda: Cluster(Path("/tmp") / ("x" * 60)), "longer than 60 bytes"),
    ],
)
def test_what_slurm_could_not_use_is_refused_in_one_sentence(bad: object, sentence: str) -> None:
    assert callable(bad)
    with pytest.raises(BadInput, match=re.escape(sentence)) as caught:
        bad()
    assert "\n" not in str(caught.value)


def test_the_longest_socket_below_the_longest_folder_fits() -> None:
    layout = Layout(Path("/" + "x" * (config.MAX_BASE_LENGTH - 1)))
    # slurmstepd's own; 4294967294 is the step of the batch script.
    longest = layout.spool("node64") / "node64_1000000.4294967294"
    assert max(len(str(path)) for path in (longest, layout.munge_socket, layout.database_socket)) <= 107


def test_missing_packages_are_named_with_the_command_that_helps(tmp_path: Path) -> None:
    assert missing_packages(path=str(tmp_path)) == list(PROGRAMS_BY_PACKAGE)
    assert missing_packages(accounting=False, path=str(tmp_path)) == ["slurm-wlm", "munge"]
    with pytest.raises(ClusterError, match=re.escape(install_command(["slurm-wlm", "munge"]))):
        require_packages(accounting=False, path=str(tmp_path))
    for program in ("munged", *PROGRAMS_BY_PACKAGE["slurm-wlm"]):
        (tmp_path / program).touch(mode=0o755)
    assert missing_packages(accounting=False, path=str(tmp_path)) == []
    require_packages(accounting=False, path=str(tmp_path))


def test_the_daemons_are_looked_for_beyond_an_ordinary_users_path() -> None:
    assert search_path("/usr/bin:/usr/sbin").split(":") == ["/usr/bin", "/usr/sbin", "/usr/local/sbin", "/sbin"]


def test_a_clean_environment_keeps_all_but_slurms_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "SLURMD_NODENAME", "SBATCH_QOS", "SQUEUE_FORMAT", "SACCT_FORMAT", "MYSQL_UNIX_PORT"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("HARMLESS", "kept")
    clean = clean_environment()
    assert clean["HARMLESS"] == "kept"
    assert not [name for name in clean if name.startswith(("S", "M")) and clean[name] == "x"]
    assert os.environ["SLURM_JOB_ID"] == "x"


def test_a_folder_without_or_with_a_damaged_cluster(tmp_path: Path) -> None:
    base = Path("/tmp") / tmp_path.name
    with pytest.raises(ClusterError, match="There is no pretend cluster in"):
        Cluster.load(base)
    (tmp_path / "cluster.json").write_text('{"no')
    with pytest.raises(ClusterError, match="damaged"):
        Cluster.load(tmp_path)
    (tmp_path / "cluster.json").write_text('{"unknown": 1}')
    with pytest.raises(ClusterError, match="damaged"):
        Cluster.load(tmp_path)


def test_nothing_of_a_cluster_that_is_not_up_is_started(tmp_path: Path) -> None:
    cluster = Cluster(Path("/tmp") / tmp_path.name, nodes=1)
    assert cluster.daemons() == {}
    assert cluster.missing_daemons() == ["munged", "node1", "mariadbd", "slurmdbd", "slurmctld"]
    for start in (partial(cluster.start_node, "node1"), cluster.start_controller, cluster.start_accounting):
        with pytest.raises(ClusterError, match="is not up"):
            start()
    cluster.down()
    assert not cluster.base.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["up", "--set", "MaxArraySize"], "--set takes KEY=VALUE as in slurm.conf, not 'MaxArraySize'."),
        (["up", "--nodes", "0"], "nodes is 0, and must be from 1 to 64."),
        (["up", "--nodes", "many"], "'many' is not a valid integer."),
        (["kill-node"], "Missing argument 'NODE'."),
        (["kill-node", "node1"], "There is no pretend cluster in"),
        (["status"], "There is no pretend cluster in"),
        (["down"], "There is no pretend cluster in"),
    ],
)
def test_bad_commands_end_with_2_and_one_sentence(
    words: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["testcluster", "--dir", f"/tmp/none-{os.getpid()}", *words])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)


NO_SLURM = "import slurm.testcluster as t; t.missing_packages = lambda: ['munge']"
NO_ROOT = "import tests.helpers.servers.room as t; t.why_not = lambda: 'that needs root'"


@pytest.mark.parametrize(("require", "code"), [("0", 0), ("1", 4)])
@pytest.mark.parametrize(
    ("without", "tests", "words"),
    [
        (NO_SLURM, "tests/slurm/test_testcluster.py", "apt-get install -y --no-install-recommends munge"),
        (NO_ROOT, "tests/lab/test_servers.py", "tests on pretend servers were NOT RUN: that needs root"),
    ],
)
def test_what_this_host_cannot_run_is_skipped_loudly_or_refused(
    without: str, tests: str, words: str, require: str, code: int, tmp_path: Path
) -> None:
    (tmp_path / "poor_host.py").write_text(without)
    source = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "poor_host", tests, "-k", "gpus or ssh"],
        cwd=source,
        env=dict(os.environ) | {"ORCH_REQUIRE_SLURM": require, "PYTHONPATH": f"{tmp_path}{os.pathsep}{source}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    lines = [line for line in said.splitlines() if "NOT RUN" in line]
    assert len(lines) == 1
    assert words in lines[0]
