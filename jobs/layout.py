"""Where everything lies in a store's folder: the only module that builds paths."""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from jobs.files import make_folder, names, open_private

EXECUTION = re.compile(r"^e([0-9]{1,9})-[0-9a-f]{6}\Z")
LEDGER = re.compile(r"^r([0-9]{1,9})-[0-9a-f]{6}\.jsonl\Z")
TURN = re.compile(r"^turn-([0-9]{1,9})\Z")
"""The number of a piece of an attempt: whoever makes the file has it."""
NUMBER = re.compile(r"^[1-9][0-9]{0,8}\Z")
"""Of a job or an attempt, as a folder's name; others are none of ours."""


@dataclass(frozen=True)
class Layout:
    """Paths below a store's root folder (`.orch/`)."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "orch.db"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def journal(self) -> Path:
        return self.runs / "journal"

    @property
    def submissions(self) -> Path:
        return self.runs / "submissions"

    @property
    def code(self) -> Path:
        """Code snapshots (jobs/snapshots.py)."""
        return self.root / "code"

    def submission(self, token: str) -> Path:
        return self.submissions / token

    def manifest(self, token: str) -> Path:
        return self.submission(token) / "manifest.json"

    def changes(self, token: str) -> Path:
        """What was changed in the machines' queue of its attempts, a line each: the manifest is never rewritten."""
        return self.submission(token) / "changes.jsonl"

    def given_up(self, token: str) -> Path:
        """Written where a submission is taken for never launched: should it start after all, it ends at once."""
        return self.submission(token) / "given_up"

    def bundle(self, token: str, index: int) -> Path:
        """What the runners of one task of a bundled submission write, and what they are told (jobs/bundles.py)."""
        return self.submission(token) / "bundles" / str(index)

    def cancel_mark(self, token: str, index: int, job: int, attempt: int) -> Path:
        """Written where one job of a bundle is cancelled: its runner ends that one alone."""
        return self.bundle(token, index) / f"cancel-{job}-{attempt}"

    def ledgers(self, token: str, index: int) -> list[tuple[int, Path]]:
        """(restart count, file) of every start of a task's runner."""
        folder = self.bundle(token, index)
        found = ((LEDGER.match(name), name) for name in names(folder))
        return [(int(match[1]), folder / name) for match, name in found if match]

    def new_ledger(self, token: str, index: int, restart: int) -> tuple[Path, int]:
        """A file of its own for a runner, made exclusively: its path and a descriptor to append to. Raises OSError."""
        folder = self.bundle(token, index)
        make_folder(folder)
        while True:
            path = folder / f"r{restart}-{secrets.token_hex(3)}.jsonl"
            try:
                return path, open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
            except FileExistsError:
                continue

    def job(self, job: int) -> Path:
        return self.runs / str(job // 1000) / str(job)

    def jobs(self) -> list[int]:
        """The jobs that have a folder, in order."""
        found = (
            int(name)
            for thousand in names(self.runs)
            if thousand.isascii() and thousand.isdigit()
            for name in names(self.runs / thousand)
            if NUMBER.match(name) and str(int(name) // 1000) == thousand
        )
        return sorted(found)

    def attempt(self, job: int, attempt: int) -> Path:
        return self.job(job) / str(attempt)

    def attempts(self, job: int) -> list[int]:
        """The attempts of a job that have a folder, in order."""
        return sorted(int(name) for name in names(self.job(job)) if NUMBER.match(name))

    def executions(self, job: int, attempt: int) -> list[Path]:
        """The execution folders of an attempt, by name (found by listing)."""
        folder = self.attempt(job, attempt)
        return [folder / name for name in names(folder) if EXECUTION.match(name)]

    def execution(self, job: int, attempt: int, name: str) -> Path | None:
        """The folder of that execution, where there is one."""
        path = self.attempt(job, attempt) / name
        return path if EXECUTION.match(name) and path.is_dir() else None

    def new_execution(self, job: int, attempt: int, restart: int) -> Path:
        """A fresh execution folder of its own, made with an exclusive mkdir. Raises OSError."""
        folder = self.attempt(job, attempt)
        make_folder(folder)
        while True:
            path = folder / f"e{restart}-{secrets.token_hex(3)}"
            try:
                make_folder(path, exist_ok=False)
            except FileExistsError:
                continue
            return path

    def new_turn(self, job: int, attempt: int) -> int:
        """The next number of an attempt that is run in pieces, from 0 on: no two get the same. Raises OSError."""
        folder = self.attempt(job, attempt)
        make_folder(folder)
        taken = [int(match[1]) for name in names(folder) if (match := TURN.match(name))]
        turn = max(taken, default=-1) + 1
        while True:
            try:
                os.close(open_private(folder / f"turn-{turn}", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            except FileExistsError:  # a twin was quicker, or a shared folder shows it late
                turn += 1
            else:
                return turn

    def relative(self, path: Path) -> str:
        """A path below `runs/` as the text that manifests and the database keep."""
        return path.relative_to(self.runs).as_posix()


def restart_of(execution: str) -> int:
    """The restart count in an execution's name ('e2-0af31c' → 2). It repeats after a controller crash: no identity."""
    match = EXECUTION.match(execution)
    if match is None:
        raise ValueError(f"'{execution}' is no execution folder")
    return int(match.group(1))
