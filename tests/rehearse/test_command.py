"""`orch rehearse` as typed: what it refuses, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
def test_what_makes_no_sense_is_refused_in_a_sentence(orch: Orch, words: list[str], told: str) -> None:
    done = orch.call("rehearse", *words)
    assert (done.returncode, done.stdout.count("Traceback")) == (2, 0)
    assert told in done.stderr and "Traceback" not in done.stderr
    assert not orch.layout.database.exists()


def test_a_program_that_fails_undisturbed_cannot_be_rehearsed(orch: Orch) -> None:
    script(orch, "bad.py", "raise ValueError('no such data')")
    done = orch.call("rehearse", "--", PYTHON, "bad.py")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "the program ends undisturbed with" in done.stderr and "ValueError: no such data" in done.stderr
    assert list((orch.folder / ".orch" / "rehearsals").iterdir()) == [] and not orch.layout.database.exists()
    assert list(orch.processes()) == []
