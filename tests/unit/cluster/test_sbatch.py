"""What is told to sbatch, and what its errors mean."""

from __future__ import annotations

import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.files import now
from jobs.records import Manifest, Task
from jobs.resources import Resources
from slurm import causes
from slurm.backend import Batch, LaunchRefused, LaunchUncertain, LimitReached, QueuedJob, Submission
from slurm.cluster import commands, sbatch
from slurm.cluster.refusals import of_sbatch
from slurm.cluster.sbatch import LaunchSettings
from tests.helpers.launching import native_id

GOLDEN = Path(__file__).parent / "golden"


def submission(
    folder: Path, count: int = 1, *, checkpoints: bool = True, minutes: int = 120, **options: Any
) -> Submission:
    asked = Resources(cpus=4, memory_mb=6000, gpus=1, minutes=minutes)
    tasks = tuple(Task(job=number, attempt=1, generation=1, resources=asked) for number in range(count))
    return Submission(
        token="o-abc",
        folder=folder,
        manifest=Manifest(token="o-abc", backend="slurm", tasks=tasks, created_at=now()),
        batch=Batch(
            jobs=tuple(
                QueuedJob(job=task.job, resources=asked, checkpoints=checkpoints, options=options) for task in tasks
            )
        ),
    )


def flags(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        if line.startswith("#SBATCH --"):
            name, _, value = line.removeprefix("#SBATCH --").partition("=")
            found[name] = value
    return found


@pytest.fixture
def with_srun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """submitit wants to see an srun, which is never called here."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "srun").write_text("#!/bin/sh\nexit 1\n")
    (folder / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.mark.usefixtures("with_srun")
def test_the_script_is_the_golden_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.__file__", "/opt/lib/site-packages/jobs/__init__.py")
    monkeypatch.setattr("sys.executable", "/opt/bin/python")
    wanted = submission(
        tmp_path / "s", 3, slurm={"partition": "gpu", "exclude": "n[1-2]", "qos": "long"}, setup=["module load cuda"]
    )
    text = sbatch.script(wanted, frozenset({"n7"}), LaunchSettings()).replace(str(tmp_path), "/store")
    assert text == (GOLDEN / "sbatch.sh").read_text()


@pytest.mark.usefixtures("with_srun")
def test_a_launcher_changes_nothing_of_the_script(tmp_path: Path) -> None:
    """The worker has the first node of the allocation, and starts a step of its own over all of them."""
    both = {"slurm": {"nodes": 2}}
    plain = sbatch.script(submission(tmp_path, **both), frozenset(), LaunchSettings())
    several = submission(tmp_path, launcher="torchrun", ranks_per_node=2, **both)
    assert sbatch.script(several, frozenset(), LaunchSettings()) == plain
    assert flags(plain)["nodes"] == "2"
    assert "srun" in plain and "--nodes=1 --ntasks=1" in plain


@pytest.mark.usefixtures("with_srun")
def test_free_parameters_stand_in_for_our_own(tmp_path: Path) -> None:
    asked = {"mem-per-cpu": "2G", "gres": "gpu:a100:1", "cpus_per_gpu": 8, "time": "1-00:00:00", "requeue": False}
    found = flags(sbatch.script(submission(tmp_path, slurm=asked), frozenset(), LaunchSettings()))
    assert found["mem-per-cpu"] == "2G" and found["gres"] == "gpu:a100:1" and found["cpus-per-gpu"] == "8"
    assert found["time"] == "1-00:00:00" and found["signal"] == "USR2@90"
    assert "no-requeue" in found
    assert not {"mem", "gpus-per-node", "cpus-per-task", "requeue", "wckey", "array"} & found.keys()


@pytest.mark.usefixtures("with_srun")
def test_only_jobs_that_checkpoint_pay_for_a_step(tmp_path: Path) -> None:
    for checkpoints in (True, False):
        text = sbatch.script(submission(tmp_path, checkpoints=checkpoints), frozenset(), LaunchSettings())
        assert ("\nsrun " in text) == checkpoints
        assert "-m submitit.core._submit" in text


def test_a_job_of_an_earlier_version_with_a_refused_parameter_is_refused_at_its_launch() -> None:
    with pytest.raises(LaunchRefused, match="'array' is set by orch itself"):
        sbatch.free_parameters({"slurm": {"array": "x"}})


@pytest.mark.usefixtures("with_srun")
def test_flags_stand_alone_and_another_device_is_no_gpu(tmp_path: Path) -> None:
    asked = {"exclusive": True, "gres": "lustre:1", "comment": "it's two #words", "export": "NONE"}
    text = sbatch.script(submission(tmp_path, slurm=asked), frozenset(), LaunchSettings())
    assert "\n#SBATCH --exclusive\n" in text
    assert flags(text)["gpus-per-node"] == "1"
    assert " --export=ALL " in text, "orch's own step has what the script has, whatever the job exports"


def test_a_bad_exclude_is_refused() -> None:
    job = QueuedJob(job=1, resources=Resources(), options={"slurm": {"exclude": "n[3-1]"}})
    with pytest.raises(LaunchRefused, match="bad value for 'exclude'"):
        sbatch.own_exclude(job)


@pytest.mark.parametrize(("minutes", "delay"), [(1, "10"), (2, "20"), (9, "90"), (600, "90")])
@pytest.mark.usefixtures("with_srun")
def test_the_signal_comes_late_enough_in_a_short_job(tmp_path: Path, minutes: int, delay: str) -> None:
    text = sbatch.script(submission(tmp_path, minutes=minutes), frozenset(), LaunchSettings())
    assert flags(text)["signal"] == f"USR2@{delay}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("10:30", 630), ("2:00:00", 7200), ("1-12:00", 129600), ("1-6", 108000), ("UNLIMITED", 86400)],
)
def test_time_limits_are_read(text: str, seconds: int) -> None:
    assert sbatch.seconds_of(text) == seconds


def test_a_failing_setup_line_ends_the_job_and_says_which(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    lines = sbatch.setup_lines(tmp_path / "s", ["true", "if false; then exit 9; fi", "test -d /no/such/mount"])
    script = "\n".join(["#!/bin/bash", *lines, "echo worker starts"])
    done = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": os.environ["PATH"], "SLURM_JOB_ID": "5"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "worker starts" not in done.stdout
    assert done.stderr.strip() == "orch: setup line failed: test -d /no/such/mount"
    assert (tmp_path / "s" / "5_submitted.pkl").is_symlink()


@pytest.mark.parametrize(
    ("own", "code", "said"),
    [
        (("set -u", 'echo "$NOPE"'), 1, 'orch: setup line failed: echo "$NOPE"'),
        (("if true; then",), 2, "orch: setup line failed: they are no shell lines"),
        (("set -e", ". ./strict"), 1, "orch: setup line failed: . ./strict"),
        (("mountpoint -q /nowhere || exit 3",), 3, None),  # their own word
        (("trap 'echo mine' EXIT", "true"), 0, None),
        (("set -eu", "false || true"), 0, None),
    ],
)
def test_setup_lines_that_end_the_shell_are_named_too(
    tmp_path: Path, own: tuple[str, ...], code: int, said: str | None
) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "strict").write_text("set -e\nfalse\n")
    script = tmp_path / "script"
    script.write_text("\n".join(["#!/bin/bash", *sbatch.setup_lines(tmp_path / "s", own), "echo worker starts"]))
    env = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "5"}
    done = subprocess.run(["bash", script], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "worker starts" in done.stdout) == (code, code == 0), done
    told = [line for line in done.stderr.splitlines() if line.startswith("orch:")]
    assert told == ([] if said is None else [said])
    assert said is None or causes.is_wrong_setup(said)
    assert ("mine" in done.stdout) == ("mine" in own[0]), "a trap of the user's own stays"


@pytest.mark.parametrize(("ends", "code"), [("true", 0), ("false", 1)])
def test_what_fails_inside_a_sourced_file_is_its_own_affair(tmp_path: Path, ends: str, code: int) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "inner").write_text("grep -q nothing /dev/null\n")
    (tmp_path / "env").write_text(f"false\nsource {tmp_path / 'inner'}\nf() {{ false; }}; f\n{ends}\n")
    script = tmp_path / "script"
    script.write_text(
        "\n".join(["#!/bin/bash", *sbatch.setup_lines(tmp_path / "s", [f". {tmp_path / 'env'}"]), "echo on"])
    )
    env = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "5"}
    done = subprocess.run(["bash", script], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, "\non\n" in done.stdout) == (code, code == 0), done
    assert done.stderr == ("" if code == 0 else f"orch: setup line failed: . {tmp_path / 'env'}\n")


@pytest.mark.parametrize(
    ("array", "name"), [({}, "7"), ({"SLURM_ARRAY_JOB_ID": "6", "SLURM_ARRAY_TASK_ID": "3"}, "6_3")]
)
def test_a_task_links_the_pickle_to_the_name_that_submitit_wants(
    tmp_path: Path, array: dict[str, str], name: str
) -> None:
    sbatch.ensure_pickle(tmp_path)
    sbatch.ensure_pickle(tmp_path)
    folder = sbatch.folder_of(tmp_path)
    env = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "7", "PYTHONPATH": "/mine", **array}
    script = "\n".join([*sbatch.setup_lines(folder, []), "echo $PYTHONSAFEPATH $PYTHONPATH"])
    for _ in range(2):  # a requeue runs the script again
        done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("1 /") and done.stdout.strip().endswith("/mine")
    loaded = pickle.loads((folder / f"{name}_submitted.pkl").read_bytes())
    assert loaded.function.folder == str(tmp_path)
    assert [path.name for path in folder.glob(".*")] == []


def test_nothing_of_a_surrounding_allocation_reaches_a_job(tmp_path: Path, with_srun: Path, monkeypatch: Any) -> None:
    (with_srun / "sbatch").write_text('#!/bin/sh\nenv > "$0.env"\necho Submitted batch job 41\n')
    (with_srun / "sbatch").chmod(0o755)
    for name in ("SLURM_JOB_ID", "SBATCH_PARTITION", "SRUN_DEBUG", "CUDA_VISIBLE_DEVICES", "PMI_RANK", "ORCH_INDEX"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SLURM_CONF", "/etc/mine.conf")
    wanted = submission(tmp_path / "s", 2)
    sbatch.ensure_pickle(wanted.folder)
    assert native_id(sbatch.begin(wanted, frozenset(), LaunchSettings())) == "41"
    seen = {line.partition("=")[0] for line in (with_srun / "sbatch.env").read_text().splitlines()}
    assert {name for name in seen if name.startswith(("SLURM", "SBATCH", "SRUN", "PMI", "CUDA", "ORCH_INDEX"))} == {
        "SLURM_CONF"
    }
    assert os.environ["SLURM_JOB_ID"] == "1"


def test_an_sbatch_that_hangs_is_uncertain(tmp_path: Path, with_srun: Path) -> None:
    (with_srun / "sbatch").write_text("#!/bin/sh\nexec sleep 20\n")
    (with_srun / "sbatch").chmod(0o755)
    wanted = submission(tmp_path / "s")
    sbatch.ensure_pickle(wanted.folder)
    with pytest.raises(LaunchUncertain):
        native_id(sbatch.begin(wanted, frozenset(), LaunchSettings(sbatch_timeout_s=0.2)))


def test_an_sbatch_that_says_nothing_of_use_is_uncertain(tmp_path: Path, with_srun: Path) -> None:
    (with_srun / "sbatch").write_text("#!/bin/sh\necho hello\n")
    (with_srun / "sbatch").chmod(0o755)
    wanted = submission(tmp_path / "s")
    sbatch.ensure_pickle(wanted.folder)
    with pytest.raises(LaunchUncertain, match="may exist or not"):
        native_id(sbatch.begin(wanted, frozenset(), LaunchSettings()))


def test_queries_use_nobodys_formats_and_filters() -> None:
    asked = commands.query_environment(
        {
            "SQUEUE_FORMAT": "%i",
            "SACCT_FORMAT": "x",
            "SLURM_CONF": "/c",
            "SLURM_CLUSTERS": "b",
            "LC_ALL": "de",
            "A": "1",
        }
    )
    assert (
        asked["SLURM_CONF"] == "/c" and asked["SLURM_BITSTR_LEN"] == "0" and asked["TZ"] == "UTC" and asked["A"] == "1"
    )
    assert not {"SQUEUE_FORMAT", "SACCT_FORMAT", "SLURM_CLUSTERS"} & asked.keys() and asked["LC_ALL"] == "C.UTF-8"


def test_commands_are_counted_and_limited_in_time() -> None:
    own = commands.Commands(timeout_s=0.2)
    with pytest.raises(commands.CommandFailed, match="did not answer in time"):
        own.ask(["sleep", "5"])
    with pytest.raises(commands.CommandFailed, match="`sh` ended with 3: worse"):
        own.ask(["sh", "-c", "echo bad >&2; echo worse >&2; exit 3"])
    with pytest.raises(commands.CommandFailed, match="no-such-command"):
        own.ask(["no-such-command"])
    assert own.run(["printf", "\\377"]).out == "\ufffd"
    assert own.counts == {"sleep": 1, "sh": 1, "no-such-command": 1, "printf": 1}


@pytest.mark.parametrize(
    "text",
    [
        "sbatch: error: invalid partition specified: nope\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified",
        "sbatch: error: Batch job submission failed: Requested node configuration is not available",
        "sbatch: error: Batch job submission failed: Invalid node name specified",
        "sbatch: error: Memory specification can not be satisfied",
        "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
        "sbatch: error: Batch job submission failed: Invalid qos specification",
        "sbatch: unrecognized option '--foo=1'",
        "sbatch: error: Invalid --time specification",
        "sbatch: error: QOSMaxCpuPerJobLimit\n"
        "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy",
        "sbatch: error: Batch job submission failed: Invalid job array specification",
        "sbatch: error: Batch job submission failed: User's group not permitted to use this partition",
        "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
    ],
)
def test_what_can_never_run_is_refused_in_slurms_own_words(text: str) -> None:
    error = of_sbatch(text, 1)
    assert isinstance(error, LaunchRefused)
    assert text.splitlines()[-1].removeprefix("sbatch: ").removeprefix("error: ") in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "sbatch: error: AssocMaxSubmitJobLimit\n"
        "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy"
        " (job submit limit, user's size and/or time limits)",
        "sbatch: error: QOSMaxSubmitJobPerUserLimit\n"
        "sbatch: error: Batch job submission failed: Job violates accounting/QOS",
        "sbatch: error: AssocGrpSubmitJobsLimit",
        "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n"
        "sbatch: error: Batch job submission failed: Resource temporarily unavailable",
        "sbatch: error: Batch job submission failed: Required node not available (down, drained or reserved)",
        "sbatch: error: Batch job submission failed: Rate limit exceeded, please retry momentarily",
    ],
)
def test_limits_mean_wait(text: str) -> None:
    assert isinstance(of_sbatch(text, 1), LimitReached)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", 1),
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", 1),
        ("sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received", 1),
        ("sbatch: error: Batch job submission failed: Unexpected message received", 1),
        ("sbatch: error: Batch job submission failed: Something never heard of", 1),
        ("sbatch: fatal: Could not establish a configuration source", 1),
        ("sbatch: error: ClusterName needs to be specified\nsbatch: fatal: Unable to process configuration file", 1),
        ("", 1),
        ("", None),
        ("sbatch: error: invalid partition specified: nope", 124),
    ],
)
def test_without_an_answer_the_job_may_exist(text: str, code: int | None) -> None:
    assert isinstance(of_sbatch(text, code), LaunchUncertain)


@given(st.text(), st.one_of(st.none(), st.integers(1, 255)))
def test_every_error_is_one_of_three(text: str, code: int | None) -> None:
    assert isinstance(of_sbatch(text, code), LaunchRefused | LimitReached | LaunchUncertain)
