"""The commands that look, called in this process or as a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

GOOD = {"test_accuracy": 91.25, "params": 20_500_000.0, "shortcuts": 1.0}


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    def refused(self) -> str:
        """The one sentence of a refusal."""
        assert self.code == 2 and self.out == "", (self.code, self.out)
        assert self.err.count("\n") == 1 and self.err.startswith("Error: "), self.err
        return self.err.removeprefix("Error: ").rstrip("\n")


Orch = Callable[..., Said]


def process(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, its output in a pipe."""
    code = "from orchestrator.cli.main import run; run()"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ORCH_", "NO_COLOR"))}
    inherited |= {"PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, env=inherited, capture_output=True, text=True, timeout=60
    )


def started_by(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    from orchestrator.supervision import starting

    found: list[Path] = []
    monkeypatch.setattr(starting, "ensure_supervisor", lambda store: found.append(store.root))
    return found
