"""A store of a rehearsal's own: real jobs, a real supervisor, real slots, and nothing of it in anybody's results."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from db import jobs, lease, results
from db.jobs import StoredJob
from db.store import Store
from jobs.errors import StoreError
from jobs.files import make_folder, write_bytes
from jobs.layout import Layout
from jobs.words import FINAL
from orchestrator.settings import Settings, load
from orchestrator.submitting import changing, enqueueing
from orchestrator.submitting.changing import Selection
from orchestrator.submitting.request import Request
from orchestrator.supervision.process import wake
from orchestrator.supervision.starting import ensure_supervisor

FOLDER = "rehearsals"
"""Below the project's store."""
LEAVES_SECONDS = 20.0
STARTS_SECONDS = 15.0
"""How long a supervisor may take from its start to its lease, on a loaded host."""


class Scratch:
    """The store of one rehearsal, below the project's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layout = Layout(folder / ".orch")
        self.seen = self.layout
        """Where the folders of runs are seen from here."""
        self.settings = load(self.layout.root)
        self._started = float("-inf")

    @classmethod
    def made(cls, root: Path, settings: Settings) -> Scratch:
        """A fresh one, with the project's settings but for what a rehearsal needs. Raises StoreError."""
        return cls(cls.new_folder(root, settings))

    @staticmethod
    def new_folder(root: Path, settings: Settings) -> Path:
        """A folder for one, with its settings. Raises StoreError."""
        folder = root / FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        try:
            for one in (folder.parent, folder):
                make_folder(one)
            write_bytes(folder / "orch.toml", settings_text(settings).encode(), durable=False)
        except OSError as error:
            raise StoreError(
                f"no rehearsal can be kept in {folder}: {error.strerror}; make room or mend that"
            ) from None
        return folder

    @property
    def store(self) -> Store:
        return Store(self.layout.root)

    def submit(self, request: Request, study: str, seed: int) -> int:
        """One run, as a study of its own: its job. Raises BadInput, DataError, StoreError."""
        one = replace(request, study=study, seeds=[seed], canary=False, max_running=None, max_fails=None, priority=None)
        done = enqueueing.submit(self.layout.root, self.settings, one)
        (job,) = done.ensured.ids
        self.prepare(job)
        self.supervised(new=True)
        return job

    def prepare(self, job: int) -> None:
        """What is to be done with a job before it is sent."""

    def ensure(self) -> None:
        """Wake its supervisor, or start one."""
        ensure_supervisor(self.store)

    def jobs(self, ids: Sequence[int]) -> dict[int, StoredJob]:
        """These jobs as they are now."""
        with self.store.read() as connection:
            return {job.id: job for job in jobs.get_many(connection, ids)}

    def result(self, job: int) -> dict[str, float]:
        """The numbers of a job that succeeded."""
        with self.store.read() as connection:
            accepted = results.accepted_execution(connection, job)
        if accepted is None:
            return {}
        from jobs.files import read_json
        from jobs.records import Outcome

        outcome = read_json(self.seen.attempt(job, accepted[0]) / accepted[1] / "outcome.json", Outcome)
        return {name: value for name, value in (outcome.result if outcome else {}).items() if value is not None}

    def supervised(self, *, new: bool = False) -> None:
        """Make sure that a supervisor is there, or on its way; wake it where there is something `new`."""
        if new:
            wake(self.store)
        if time.monotonic() - self._started < STARTS_SECONDS:
            return
        with self.store.read() as connection:
            holder = lease.holder(connection)
        if holder is None or not holder.alive():
            self._started = time.monotonic()
            self.ensure()

    def end(self, *, keep: bool) -> None:
        """Cancel what is left, wait for the machines, end the supervisor and remove the folder."""
        if self.layout.database.exists():
            with contextlib.suppress(StoreError):
                if changing.cancel(self.store, Selection(every=True)):
                    self.ensure()
            self._wait_for_supervisor()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _wait_for_supervisor(self) -> None:
        """It gives its lease up a moment before it is gone."""
        end, last = time.monotonic() + LEAVES_SECONDS, None
        while time.monotonic() < end:
            with contextlib.suppress(StoreError), self.store.read() as connection:
                holder = lease.holder(connection)
                busy = any(job.state not in FINAL for job in jobs.select(connection)) or _living(connection)
                if not busy and holder is not None and holder.alive():
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(holder.pid, signal.SIGTERM)
                last = holder or last
                if last is None or not last.alive():
                    return
            time.sleep(0.05)


def _living(connection: Any) -> bool:
    from db import attempts

    return bool(attempts.any_live(connection) or attempts.doomed(connection))


def settings_text(settings: Settings) -> str:
    """An orch.toml with what a rehearsal takes over of the project's: code, environment, machines. Pure."""
    code = msgspec.structs.replace(settings.code, ignore=(*settings.code.ignore, ".orch/"))
    sections = {
        "local": settings.local,
        "slurm": settings.slurm,
        "code": code,
        "env": settings.env,
    }
    parts = [_lines("", {"study": "rehearsal", "preset": settings.preset, **_named(settings)})]
    parts += [_lines(name, msgspec.to_builtins(one)) for name, one in sections.items()]
    parts.append(_lines("supervisor", {"poll_seconds": 1.0, "poll_most_seconds": 5.0, "idle_minutes": 0.5}))
    budgets = dict.fromkeys(("killed", "preempted", "node_failure", "lost", "launch_failure"), 50)
    parts.append(_lines("resubmission", {"backoff_seconds": 0.05, "backoff_most_seconds": 1.0, "budgets": budgets}))
    parts.append(_lines("nodes", {"strikes": 1000}))
    return "\n".join(parts)


def _named(settings: Settings) -> dict[str, Any]:
    return {
        name: value
        for name, value in (("data_dir", settings.data_dir), ("dataset", settings.dataset))
        if value is not None
    }


def _lines(section: str, values: Mapping[str, Any]) -> str:
    """A table of TOML: text, numbers and lists are written as JSON writes them, which TOML reads alike."""
    lines = [f"[{section}]"] if section else []
    inner = []
    for name, value in values.items():
        if isinstance(value, dict):
            inner.append(_lines(f"{section}.{name}", value)) if value else None
        elif value is not None:
            lines.append(f"{json.dumps(name)} = {json.dumps(value)}")
    return "\n".join([*lines, "", *inner])
