"""Every test here calls commands that look, in this process, on a small store that it fills by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.cli.main import run
from tests.helpers.filled import Filled
from tests.helpers.look import Orch, Said


@pytest.fixture
def orch(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Orch:
    """Call a command in this process, in a folder of its own."""
    for name in [name for name in os.environ if name.startswith("ORCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Said:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    return call


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return Filled.make(tmp_path / ".orch")
