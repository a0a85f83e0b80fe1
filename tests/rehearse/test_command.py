"""`orch rehearse` as typed: what it refuses, and what it leaves behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from jobs.errors import BadInput
from orchestrator.cli import rehearse
from tests.helpers.cli import PYTHON, Orch, script


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
