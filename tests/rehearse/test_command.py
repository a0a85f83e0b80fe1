"""`orch rehearse` as typed: what it refuses, and what it leaves behind."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from jobs.errors import BadInput
from orchestrator.cli import rehearse
from tests.helpers.cli import PYTHON, Orch, script
from tests.helpers.smalldisk import why_not
from tests.helpers.zoo import HOME


@pytest.fixture
def orch(tmp_path: Path) -> Iterator[Orch]:
    """The command in an empty folder."""
    made = Orch(tmp_path)
    yield made
    made.kill_everything()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--only", "kil", "--", "true"], "--only knows no 'kil'"),
        (["--only", "requeue,node", "--", "true"], "--only requeue,node disturbs nothing there: add --backend slurm"),
        (["--backend", "slurm", "--only", "disk", "--", "true"], "--only disk disturbs nothing there: leave"),
        (["--backend", "cluster", "--", "true"], "unknown backend 'cluster'"),
        (["--budget", "soon", "--", "true"], "--budget takes a time like 10m"),
        (["--epochs-flag", "--epochs=3", "--", "true"], "there is no --epochs with a value"),
        (["nothing.toml"], "nothing.toml"),
        (["--set", "epochs=3", "--", "true", "x"], "--set is for a job kind"),
        (["--preset", "demo", "--set", "epoch=3", "random-baseline"], "did you mean 'epochs'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    """In this process, since a command costs a second: what it raises is a sentence, and exit code 2 (cli/main.py)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    with pytest.raises((BadInput, click.UsageError)) as refused:
        rehearse.command.main(words, standalone_mode=False)
    assert told in str(refused.value) and "\n" not in str(refused.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_program_that_fails_undisturbed_cannot_be_rehearsed(orch: Orch) -> None:
    script(orch, "bad.py", "raise ValueError('no such data')")
    done = orch.call("rehearse", "--", PYTHON, "bad.py")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "the program ends undisturbed with" in done.stderr and "ValueError: no such data" in done.stderr
    assert list((orch.folder / ".orch" / "rehearsals").iterdir()) == [] and not orch.layout.database.exists()
    assert list(orch.processes()) == []


@pytest.mark.timeout(900)  # five executions, one after the other, on a host that may have much else to do
def test_a_program_goes_on_after_its_disk_was_full(orch: Orch) -> None:
    """All of it: the disk of its own, the supervisor that lives with it, and what is said."""
    if why := why_not(orch.folder):
        pytest.skip(f"!!! full disks were NOT tried: {why}")
    for name in ("common", "right"):
        shutil.copy(HOME / "zoo" / f"{name}.py", orch.folder)
    said = orch.json("rehearse", "--only", "disk", "--", PYTHON, "right.py", timeout=600)
    (found,) = said["rehearsed"]
    (run,) = [one for one in found["runs"] if one["run"] == "disk"]
    assert (found["verdict"], found["tried"], found["remarks"]) == ("bit-identical", {"disk": 1}, []), found
    assert run["resumed_at"] > 1 and "its program ended" in run["how"], run
    assert list((orch.folder / ".orch" / "rehearsals").iterdir()) == []
    assert not any(str(orch.folder) in line for line in Path("/proc/self/mounts").read_text().splitlines())
