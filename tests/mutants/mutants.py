"""The list of faults, and putting one of them into a copy of the tree."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).parent / "mutants.toml"
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".orch", "build", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", "out", "demo-run"
)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One fault: `old` in `file` becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    why: str
    """Why it is a fault."""
    survives: str = ""
    """Why no test of the fast part notices; empty for one that must be noticed."""

    def wrong(self, root: Path = ROOT) -> str | None:
        """Why it cannot be put into the tree; None where it can."""
        try:
            text = (root / self.file).read_text()
        except OSError as error:
            return f"{self.name}: {self.file}: {error.strerror}"
        if self.old == self.new:
            return f"{self.name}: it changes nothing"
        if text.count(self.old) != 1:
            times = text.count(self.old)
            return f"{self.name}: {self.file} has its text {times} times, not once: write it anew\n{self.old}"
        return None

    def put(self, root: Path) -> None:
        """Change the file below `root`."""
        path = root / self.file
        path.write_text(path.read_text().replace(self.old, self.new))


@dataclass(frozen=True, kw_only=True)
class Faults:
    """The whole list."""

    mutants: Sequence[Mutant]
    first: Mapping[str, Sequence[str]]

    def likely(self, mutant: Mutant) -> Sequence[str]:
        """The tests that are asked first."""
        return next((tests for beginning, tests in self.first.items() if mutant.file.startswith(beginning)), ())


def read(path: Path = LIST) -> Faults:
    """The list from its file. Raises ValueError where two have one name."""
    found = tomllib.loads(path.read_text())
    mutants = [Mutant(**one) for one in found["mutant"]]
    if len({mutant.name for mutant in mutants}) != len(mutants):
        raise ValueError(f"two mutants of {path.name} have one name")
    return Faults(mutants=mutants, first=found["first"])


def copy(folder: Path) -> Path:
    """A copy of the tree as it is now, without what is made from it."""
    return Path(shutil.copytree(ROOT, folder, ignore=LEFT_OUT, symlinks=True))
