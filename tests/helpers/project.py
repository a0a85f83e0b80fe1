"""A program's folder, with a store in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from jobs.node import worktree
from orchestrator.code.snapshots import Taken, holding, take
from orchestrator.code.tree import Limits


def git(folder: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always", *words],
        cwd=folder,
        check=True,
        capture_output=True,
    )


class Project:
    """A program's folder, with a store in it."""

    def __init__(self, folder: Path, *, with_git: bool) -> None:
        self.folder = folder
        self.code = folder / ".orch" / "code"
        (folder / ".orch").mkdir(parents=True)
        if with_git:
            git(folder, "init", "-q")

    def write(self, **files: str) -> None:
        for name, text in files.items():
            self.file(name.replace("__", "/").replace("_py", ".py"), text)

    def file(self, name: str, text: str = "") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def take(self, **limits: float) -> Taken:
        with holding(self.code):
            return take(self.code, self.folder, ".", Limits(**limits), self.folder / ".orch")  # type: ignore[arg-type]

    def tree(self, taken: Taken, name: str = "work") -> worktree.Worktree:
        return worktree.make(
            self.code, taken.snapshot.hash, self.folder, self.folder.parent / name, origin=taken.origin_name
        )
