"""What is refused, is refused in one sentence that names the bad thing: exit 2, no traceback, nothing half-written."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.main import run
from tests.helpers.cli import Orch

TRAIN = ("submit", "random-baseline")
RUN = ("submit", "command")


def sentence(code: object, out: str, err: str) -> str:
    """The one sentence of a refusal."""
    assert code == 2, f"ended with {code}: {out}{err}"
    assert out == ""
    lines = [line for line in err.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("Usage: ", "Try ", "  "))]
    assert len(said) == 1 and said[0].startswith("Error: ") and "Traceback" not in err, err
    return said[0].removeprefix("Error: ")


def refused(orch: Orch, *arguments: str, **options: Any) -> str:
    done = orch.call(*arguments, **options)
    return sentence(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def here(orch: Orch, monkeypatch: pytest.MonkeyPatch) -> Orch:
    """The command's folder and environment, for calls of its entry point in this process: a tenth of a second each."""
    monkeypatch.chdir(orch.folder)
    for name in os.environ:
        if name.startswith(("ORCH_", "SLURM_")):
            monkeypatch.delenv(name)
    for name, value in orch.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(orch.folder / "tmp"))
    return orch


def call(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence with which the entry point refuses these arguments."""
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    return sentence(ended.value.code, *capfd.readouterr())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([*RUN, "--sbatch", "array=1-3", "--", "true"], "use --seeds or --grid"),
        ([*RUN, "--sbatch", "chdir=/tmp", "--", "true"], "runs in the folder that it was submitted from"),
        ([*RUN, "--sbatch", "-C fast", "--", "true"], "write --sbatch 'C=fast'"),
        ([*RUN, "--sbatch", "comment=a\n#SBATCH --uid=0", "--", "true"], "'comment' holds a line feed"),
        ([*RUN, "--partition", "a\nb", "--", "true"], "'partition' holds a line feed"),
        (
            [*RUN, "--gpus", "2", "--sbatch", "gres=gpu:v100:1", "--", "true"],
            "--gpus and --sbatch gres ask for the same",
        ),
        ([*RUN, "--gpus", "many:x", "--", "true"], "TYPE:NUMBER such as a100:1 (got 'many:x')"),
        ([*RUN, "--sbatch", "exlusive", "--", "true"], "did you mean 'exclusive'"),
        ([*TRAIN, "--seeds", "0"], "--seeds must be from 1 to 1000000 (got 0)"),
        ([*TRAIN, "--seeds", "-1"], "got -1"),
        ([*TRAIN, "--seeds", "abc"], "'abc' is not a valid integer"),
        ([*TRAIN, "--seed-list", "0,,3"], "got ''"),
        ([*TRAIN, "--seed-list", "0,3,3"], "names seed 3 twice"),
        ([*TRAIN, "--seed-list", "0,-3"], "got '-3'"),
        ([*TRAIN, "--seed-list", ""], "like 0,3,7"),
        ([*TRAIN, "--seeds", "2", "--seed-list", "0"], "exclude each other"),
        (["submit", "random-baselin"], "did you mean 'random-baseline'?"),
        (["submit", "nothing-like-it"], "known kinds: "),
        (["submitt", "random-baseline"], "did you mean 'submit'?"),
        ([*TRAIN, "--set", "epoch=3"], "did you mean 'epochs'?"),
        ([*TRAIN, "--set", "epochs"], "--set takes key=value (got 'epochs')"),
        ([*TRAIN, "--set", "epochs=many"], "'epochs'"),
        ([*TRAIN, "--set", "epochs=-3"], "'epochs'"),
        ([*TRAIN, "--set", "epochs=1", "--set", "epochs=2"], "twice"),
        ([*TRAIN, "--preset", "fast"], "unknown preset 'fast': use one of report, demo"),
        ([*TRAIN, "--dataset", "imagenet"], "imagenet"),
        ([*TRAIN, "--backend", "cloud"], "unknown backend 'cloud'"),
        ([*TRAIN, "--device", "tpu"], "unknown device 'tpu'"),
        ([*TRAIN, "--cpus", "0"], "cpus must be at least 1"),
        ([*TRAIN, "--gpus", "-1"], "--gpus must not be negative"),
        ([*TRAIN, "--gpus", "1", "--device", "cpu"], "exclude each other"),
        ([*TRAIN, "--mem", "much"], "--mem takes a size"),
        ([*TRAIN, "--time", "soon"], "--time takes minutes"),
        ([*TRAIN, "--time", "0"], "more than 0"),
        ([*TRAIN, "--checkpoint-every", "-5"], "--checkpoint-every"),
        ([*TRAIN, "--retry-oom-mem", "1"], "--retry-oom-mem"),
        ([*TRAIN, "--from-search", "all"], "no searches"),
        ([*TRAIN, "--from-search", "first"], "got 'first'"),
        ([*TRAIN, "--from-search", "7"], "no job 7"),
        ([*TRAIN, "--repeats", "0"], "--repeats"),
        ([*TRAIN, "--shortcuts", "106"], "'shortcuts'"),
        (["submit", "evaluate", "--architecture", "vgg11"], "vgg11"),
        (["submit", "search", "--method", "C"], "'method'"),
        (["submit", "table2", "--match", "depth"], "'match'"),
        ([*RUN, "--", "echo", "{size}"], "{size}"),
        ([*RUN, "--grid", "lr=", "--", "echo", "{lr}"], "--grid lr"),
        ([*RUN, "--grid", "1LR=1", "--", "echo", "{1LR}"], "a parameter's name is a word of letters"),
        ([*RUN], "ARGV"),
        ([*RUN, "--stop-signal", "KILL", "--", "echo"], "stop_signal"),
        (["status", "--json", "--watch"], "choose one"),
        (["cancel", "1"], "there is no store"),
        (["retry", "1"], "there is no store"),
        (["supervise"], "there is no store"),
        (["rebuild"], "there is no store"),
        (["table", "--out", "t.md"], "there is no store"),
        (["frobnicate"], "frobnicate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_first_command_that_is_refused_leaves_nothing(
    here: Orch, arguments: list[str], named: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(here.folder.iterdir())
    assert named in call(capfd, *arguments)
    assert sorted(here.folder.iterdir()) == before
    assert not list((here.folder / "tmp").iterdir())


@pytest.fixture
def filled(here: Orch, capfd: pytest.CaptureFixture[str]) -> Orch:
    """A store with one queued job and no supervisor."""
    with pytest.raises(SystemExit, match="0"):
        run([*RUN, "--no-start", "--", "true"])
    capfd.readouterr()
    return here


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["cancel"], "name the jobs to cancel"),
        (["cancel", "one"], "'one' is no job id"),
        (["cancel", "1", "--all"], "not both"),
        (["cancel", "7"], "there is no job 7"),
        (["cancel", "1", "7"], "there is no job 7"),
        (["retry", "1"], "job 1 is queued: only failed, cancelled jobs can be retried"),
        (["retry"], "name the jobs to retry"),
        (["retry", "99999999999999999999"], "99999999999999999999"),
        (["show", "7"], "there is no job 7"),
        (["explain", "7"], "there is no job 7"),
        (["logs", "7"], "there is no job 7"),
        (["status", "--study", "mine"], "'mine'"),
        (["table", "--study", "mine"], "'mine'"),
        (["table", "--out", "/proc/no/t.md"], "/proc/no"),
        (["table", "--out", "t.docx"], ".docx"),
        (["import", "none.csv"], "none.csv"),
        ([*RUN, "--seeds", "2", "--grid", "a=1,1", "--", "true"], "repeated"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_command_that_is_refused_changes_nothing(
    filled: Orch, arguments: list[str], named: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = everything(filled)
    assert named in call(capfd, *arguments)
    assert everything(filled) == before


def everything(orch: Orch) -> tuple[list[str], list[tuple[Any, ...]]]:
    files = sorted(str(path) for path in orch.folder.rglob("*") if not path.name.endswith(("-wal", "-shm")))
    return files, orch.rows("SELECT * FROM job") + orch.rows("SELECT * FROM event")


def test_a_store_of_a_newer_schema(filled: Orch, capfd: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(filled.layout.database) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    for arguments in (["status"], [*RUN, "--", "false"], ["cancel", "1"], ["table"], ["supervise"]):
        said = call(capfd, *arguments)
        assert "has schema 9999, newer than this orch knows" in said and "update orch" in said


@pytest.mark.parametrize("damage", ["no database", "cut", "overwritten", "empty", "missing"])
def test_a_damaged_database(filled: Orch, damage: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Every command names the mend; nothing takes the store for an empty one, and the mend works."""
    database = filled.layout.database
    for other in filled.layout.root.glob("orch.db-*"):
        other.unlink()
    content = database.read_bytes()
    if damage == "no database":
        database.write_bytes(b"this is no database at all" * 1000)
    elif damage == "cut":
        database.write_bytes(content[: len(content) // 2])
    elif damage == "overwritten":
        database.write_bytes(content[:4096] + os.urandom(len(content) - 4096))
    elif damage == "empty":
        database.write_bytes(b"")
    else:
        database.unlink()
    for arguments in (["status"], [*RUN, "--no-start", "--", "false"], ["cancel", "1"]):
        assert "orch rebuild" in call(capfd, *arguments)
    with pytest.raises(SystemExit, match="0"):
        run(["rebuild"])
    assert [(job.id, job.state) for job in filled.jobs()] == [(1, "queued")]


def test_a_store_of_somebody_else(filled: Orch, capfd: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root may give a folder to somebody else")
    os.chown(filled.layout.root, 12345, 12345)
    for arguments in (["status"], [*RUN, "--", "false"], ["rebuild"], ["supervise"]):
        assert "belongs to user id 12345, not to you" in call(capfd, *arguments)
    assert not list(filled.layout.root.glob("orch.db.before*"))


def test_a_store_that_cannot_be_made(here: Orch, capfd: pytest.CaptureFixture[str]) -> None:
    (here.folder / "file").write_text("no folder")
    assert "choose a folder with --store" in call(capfd, *RUN, "--store", "file/store", "--", "true")
    assert "cannot make the store /proc/store" in call(capfd, *RUN, "--store", "/proc/store", "--", "true")


def test_settings_that_are_wrong(
    here: Orch, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = here.folder / "orch.toml"
    monkeypatch.delenv("ORCH_PRESET")
    for text, named in (
        ("study = [", "orch.toml"),
        ("color = 'red'", "color"),
        ("preset = 'fast'", "unknown preset 'fast'"),
        ("[local]\njobs_per_gpu = 'many'", "local.jobs_per_gpu"),
    ):
        settings.write_text(text)
        assert named in call(capfd, *RUN, "--", "true")
    for data, named in (  # bytes that a reader of TOML stumbles over in ways of its own
        (b'study = "\xe4"', "no UTF-8 text at byte 9"),
        ("preset = 'demo'".encode("utf-16"), "no UTF-8 text at byte 0"),
        (b"study = " + b"[" * 100_000, "nested too deeply"),
        (b"study = " + b"9" * 5000, "Exceeds the limit (4300 digits)"),
        (b"#" * 1_000_001, "has more than 1 MB"),
        (b"a" + b".a" * 50_000 + b" = 1", "a key at line 1 has more than 64 parts"),
        (b'[slurm]\npartition = "a\\nb"', r"'a\nb' holds a control character"),
        (b'[slurm.sbatch]\n"a\\nb" = 1', r"'a\nb' holds a control character"),
        (b'[local]\n"cpu\\u001b" = 1', r"'cpu\x1b' holds a control character"),
    ):
        settings.write_bytes(data)
        for command in ((*RUN, "--", "true"), ("status",)):
            assert named in call(capfd, *command)
    settings.write_text("local = 5")
    monkeypatch.setenv("ORCH_CPU_SLOTS", "2")
    assert "'local' must be a table (got '5')" in call(capfd, *RUN, "--", "true")
    monkeypatch.delenv("ORCH_CPU_SLOTS")
    settings.unlink()
    monkeypatch.setenv("ORCH_BACKEND", "cloud")
    assert "unknown backend 'cloud'" in call(capfd, *RUN, "--", "true")
    assert not here.layout.root.exists()


@pytest.fixture
def nobodys(here: Orch, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store of an ordinary user, whom permissions bind."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root may become somebody else")
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="orch-test-") as folder:
        Path(folder).chmod(0o755)
        store = Path(folder) / "mine" / "store"
        for arguments in ([*RUN, "--no-start", "--", "true"], ["status"], [*RUN, "--no-start", "--", "true"]):
            with pytest.raises(SystemExit, match="0"):
                run([*arguments[:2], "--store", str(store), *arguments[2:]])  # everything is imported, as root
        capfd.readouterr()
        temporary = Path(folder) / "tmp"
        temporary.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        for path in [temporary, store.parent, store, *store.rglob("*")]:
            os.chown(path, 65534, 65534)
        yield store


def call_as_nobody(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence with which an ordinary user's command is refused: in a copy of this process."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            run(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return sentence(os.waitstatus_to_exitcode(status), *capfd.readouterr())


def test_a_store_whose_permissions_are_wrong(nobodys: Path, capfd: pytest.CaptureFixture[str]) -> None:
    submit = [*RUN, "--store", str(nobodys), "--no-start", "--", "false"]
    look = ["status", "--store", str(nobodys)]
    database = nobodys / "orch.db"
    database.chmod(0o400)
    nobodys.chmod(0o500)
    assert "mend its permissions" in call_as_nobody(capfd, *submit)
    nobodys.chmod(0)
    assert str(nobodys) in call_as_nobody(capfd, *look)
    assert str(nobodys) in call_as_nobody(capfd, *submit)
    nobodys.chmod(0o700)
    database.chmod(0)
    assert "mend its permissions" in call_as_nobody(capfd, *look)
    database.chmod(0o600)
    nobodys.parent.chmod(0o555)
    said = call_as_nobody(capfd, *RUN, "--store", str(nobodys.parent / "other"), "--", "true")
    assert "cannot make the store" in said and "Permission denied" in said
    nobodys.parents[1].joinpath("tmp").chmod(0)
    assert "TMPDIR" in call_as_nobody(capfd, *RUN, "--store", str(nobodys.parent / "other"), "--", "true")
