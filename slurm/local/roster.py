"""Which workers of this host are known, and how one is found again that an earlier supervisor started."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence

from jobs.files import read_json, write_json
from jobs.layout import Layout
from jobs.records import Started
from slurm.backend import LiveAttempt, Submission
from slurm.local import processes
from slurm.local.record import LocalRecord, describe, record_path, time_limit
from slurm.local.worker import Worker

NO_START = 0
"""The start of a worker that has ended, where it is not known: no process of now has it."""


class Roster:
    """The workers by their submission's token."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.workers: dict[str, Worker] = {}

    def of(self, token: str) -> Worker | None:
        """The worker of that submission, by its record; None where it has none (yet)."""
        worker = self.workers.get(token)
        if worker is None:
            record = read_json(record_path(self.layout.submission(token)), LocalRecord)
            if record is not None and record.token == token:
                worker = self.adopt(record)
        return worker

    def adopt(self, record: LocalRecord) -> Worker:
        """Follow the worker of that record from now on."""
        return self.workers.setdefault(record.token, Worker(record, None))

    def find_unrecorded(self, live: Sequence[LiveAttempt]) -> None:
        """Adopt the workers of attempts that have no record, by their tokens."""
        unknown = [attempt for attempt in live if self.of(attempt.token) is None]
        leaders = processes.leaders(attempt.token for attempt in unknown)
        for attempt in unknown:
            leader = leaders.get(attempt.token)
            slot = attempt.slot or ""
            if leader is not None:
                self.adopt(describe(attempt.token, leader, slot))
            elif attempt.pid is not None and attempt.boot_id is not None:  # it had started, and runs no more
                self.adopt(
                    LocalRecord(
                        token=attempt.token,
                        host=attempt.node or socket.gethostname(),
                        boot_id=attempt.boot_id,
                        pid=attempt.pid,
                        start=NO_START,
                        slot=slot,
                    )
                )

    def find(self, intents: Sequence[Submission]) -> dict[str, str]:
        """By its record, else by its token in some environment (and then it is recorded), else by started.json."""
        found: dict[str, str] = {}
        unknown: list[Submission] = []
        for intent in intents:
            worker = self.of(intent.token)
            if worker is not None:
                found[intent.token] = str(worker.record.pid)
            else:
                unknown.append(intent)
        leaders = processes.leaders(intent.token for intent in unknown)
        for intent in unknown:
            leader = leaders.get(intent.token)
            if leader is not None:
                minutes = time_limit(intent.batch.jobs[0].options)
                record: LocalRecord | None = describe(intent.token, leader, intent.batch.slot or "", minutes=minutes)
            else:
                record = self._by_its_own_word(intent)
            if record is not None:
                self.adopt(record)
                with contextlib.suppress(OSError):  # a full disk: it is found again in the same way
                    write_json(record_path(intent.folder), record)
                found[intent.token] = str(record.pid)
        return found

    def _by_its_own_word(self, intent: Submission) -> LocalRecord | None:
        """From started.json, where a worker came that far and has ended since: nothing carries its token any more."""
        for task in intent.manifest.tasks:
            for folder in self.layout.executions(task.job, task.attempt):
                started = read_json(folder / "started.json", Started)
                if started is not None and started.token == intent.token:
                    return LocalRecord(
                        token=intent.token,
                        host=started.host,
                        boot_id=started.boot_id,
                        pid=started.pid,
                        start=NO_START,
                        slot=intent.batch.slot or "",
                    )
        return None
