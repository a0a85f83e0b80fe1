"""A journal that is not whole: doctor, the looks and every writing command say the same, and what they advise works."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from db.journal import path_of
from orchestrator.cli.main import run
from tests.helpers.cli import Orch

JOBS = 4


@dataclass
class Said:
    code: int
    out: str
    err: str


class Here:
    """The command, called in this process: each command of these tests takes a tenth of a second."""

    def __init__(self, orch: Orch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
        self.orch, self.capfd, self.caplog = orch, capfd, caplog
        self.journal = orch.layout.journal

    def __call__(self, *arguments: str) -> Said:
        self.caplog.clear()
        with pytest.raises(SystemExit) as ended:
            run(arguments)
        out, err = self.capfd.readouterr()
        assert "Traceback" not in err and ended.value.code != 70, err
        logged = "".join(f"{record.getMessage()}\n" for record in self.caplog.records)  # pytest keeps it from stderr
        return Said(int(ended.value.code or 0), out, err + logged)

    def submit(self, name: str) -> Said:
        return self("submit", "command", "--no-start", "--", "true", name)

    def file(self, number: int) -> Path:
        return path_of(self.journal, number)

    def doctor(self) -> dict[str, str]:
        """The finding on the journal."""
        found = json.loads(self("doctor", "--json").out)["findings"]
        (one,) = [item for item in found if item["subject"] == "journal"]
        assert isinstance(one, dict)
        return one

    def states(self) -> dict[int, str]:
        return {job["id"]: job["state"] for job in json.loads(self("status", "--json").out)["jobs"]}

    def lose_database(self) -> None:
        for path in self.orch.layout.root.glob("orch.db*"):
            path.unlink()

    def database(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.orch.layout.root.glob("orch.db*")}


@pytest.fixture
def here(
    orch: Orch, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Iterator[Here]:
    """Four jobs in four journal files."""
    monkeypatch.chdir(orch.folder)
    for name in os.environ:
        if name.startswith(("ORCH_", "SLURM_")):
            monkeypatch.delenv(name)
    for name, value in orch.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(orch.folder / "tmp"))
    made = Here(orch, capfd, caplog)
    for job in range(1, JOBS + 1):
        assert made.submit(f"job {job}").code == 0
    assert made.doctor() == {"level": "ok", "subject": "journal", "text": "4 files, all in the database", "mend": ""}
    yield made


def missing(path: Path) -> None:
    path.unlink()


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def wrong_shape(path: Path) -> None:
    path.write_bytes(b'{"entries":{"a":1}}')


def newer(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'{"entries"', b'{"format":99,"entries"', 1))


def edited(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"true", b"evil"))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def odd_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"true", b"tr\xffe"))


def deep(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2] + b',"more":' + b"[" * 50_000 + b"]" * 50_000 + b"}\n")


def duplicate(path: Path) -> None:
    """The file before it, under its number."""
    shutil.copy(path.with_name(f"{int(path.stem) - 1:09d}.json"), path)


DAMAGES: list[Callable[[Path], None]] = [
    missing, torn, empty, zeros, wrong_shape, newer, edited, folder, fifo, odd_byte, deep, duplicate,
]  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("damage", "number"),
    [*((damage, 2) for damage in DAMAGES), (missing, JOBS), (torn, JOBS), (edited, JOBS)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_damage_that_the_database_survives(here: Here, damage: Callable[[Path], None], number: int) -> None:
    """Everything goes on, everybody says so; a rebuild refuses, names what it would lose, and does as it is told."""
    kept = here.file(number).read_bytes()
    damage(here.file(number))
    name = here.file(number).name
    found = here.doctor()
    assert found["level"] == "failure" and name in found["text"] and "the database holds" in found["text"]
    assert "orch rebuild --accept-loss" in found["mend"]
    for arguments in (["status"], ["show", "1"], ["export"]):
        said = here(*arguments)
        assert said.code == 0 and name in said.err and "--accept-loss" in said.err
    assert "Warning" in here.submit("job 1").err and here("status").code == 0
    states = here.states()
    refused = here("rebuild")
    assert refused.code == 2 and name in refused.err and f"job {number}" in refused.err
    assert here.states() == states
    # the advice, literally
    done = here("rebuild", "--accept-loss")
    assert done.code == 0 and f"job {number}" in done.err and name in done.err
    assert here.doctor()["level"] == "ok" and here("status").err == ""
    assert here.states() == {job: state for job, state in states.items() if job != number}
    assert here("rebuild").code == 0, "what was accepted once is not asked again"
    assert here.states() == {job: state for job, state in states.items() if job != number}
    assert here.submit("another").code == 0 and max(here.states()) == JOBS + 1, "a lost id is not given again"
    assert here.doctor()["level"] == "ok"
    if damage is not missing:
        (aside,) = here.file(number).parent.glob(f"{name}.set-aside*")
        assert not aside.is_file() or aside.read_bytes() != kept


@pytest.mark.parametrize("damage", [missing, torn, wrong_shape], ids=lambda damage: damage.__name__)
def test_a_backup_mends_it(here: Here, damage: Callable[[Path], None]) -> None:
    kept = here.file(2).read_bytes()
    damage(here.file(2))
    assert here("rebuild").code == 2
    here.file(2).write_bytes(kept)
    assert here.doctor()["level"] == "ok"
    assert here("rebuild").code == 0 and len(here.states()) == JOBS


@pytest.mark.parametrize("damage", [torn, empty, zeros], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("mend", ["the next command", "rebuild"])
def test_a_torn_tail_that_was_never_counted(here: Here, damage: Callable[[Path], None], mend: str) -> None:
    """Its transaction did not commit: nobody was told that it was done, and nothing is lost."""
    shutil.copy(here.file(JOBS), here.file(JOBS + 1))
    damage(here.file(JOBS + 1))
    name = here.file(JOBS + 1).name
    found = here.doctor()
    assert found["level"] == "warning" and name in found["text"] and "never counted" in found["text"]
    assert "the next command that writes sets it aside" in found["mend"]
    assert name in here("status").err
    said = here.submit("job 5") if mend == "the next command" else here("rebuild")
    assert said.code == 0 and "set aside" in said.err and name in said.err
    assert here.doctor()["level"] == "ok"
    assert len(here.states()) == JOBS + (mend == "the next command")
    assert list(here.journal.rglob("*.set-aside"))
    assert here("rebuild").code == 0 and len(here.states()) == JOBS + (mend == "the next command")


@pytest.mark.parametrize("what", ["torn, with another after it", "of a wrong shape", "of another store", "a gap"])
def test_damage_ahead_of_the_database(here: Here, what: str) -> None:
    """The database does not hold what it decided: looking works, nothing can be changed, and the advice works."""
    old = here.database()
    for job in (5, 6):
        assert here.submit(f"job {job}").code == 0
    here.lose_database()
    for path, content in old.items():
        path.write_bytes(content)  # a backup of the database, older than the journal
    broken = here.file(5)
    if what == "of a wrong shape":
        here.file(6).unlink()
        broken.write_bytes(b"[1]")
    elif what == "of another store":
        here.file(6).unlink()
        shutil.copy(here.file(1), broken)
    elif what == "a gap":
        broken.unlink()
    else:
        torn(broken)
    assert here.doctor()["level"] == "failure"
    assert broken.name in here.doctor()["text"] and "nothing can be changed" in here.doctor()["text"]
    said = here("status")
    assert said.code == 0 and broken.name in said.err and "accept-loss" in said.err
    assert len(here.states()) == JOBS
    for arguments in (["cancel", "1"], ["submit", "command", "--no-start", "--", "false"]):
        said = here(*arguments)
        assert said.code == 2 and broken.name in said.err and "accept-loss" in said.err
        assert said.err.count("\n") == 1 and said.out == ""
    assert here("rebuild").code == 2
    assert here("rebuild", "--accept-loss").code == 0
    assert here.doctor()["level"] == "ok"
    assert set(here.states()) == {1, 2, 3, 4} | ({6} if here.file(6).exists() else set())
    assert here.submit("job 7").code == 0


def test_a_missing_last_file_without_a_database(here: Here) -> None:
    """Only the run folders know that there was more: a job of which nobody decided anything has run."""
    assert here("supervise", "--until-idle").code == 0
    last = max(int(path.stem) for path in here.journal.rglob("*.json"))
    for number in range(JOBS, last + 1):
        here.file(number).unlink()
    here.lose_database()
    said = here("rebuild")
    assert said.code == 2 and f"job {JOBS}" in said.err and "are missing" in said.err
    assert here("rebuild", "--accept-loss").code == 0
    assert set(here.states()) == {1, 2, 3} and here.doctor()["level"] == "ok"
    assert list((here.orch.layout.runs / "0").glob(f"{JOBS}.lost-*")), "nothing is deleted"
    assert here("rebuild").code == 0
