"""Telling people: one message for all that happened within a while, and none twice."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable

from db import news as facts
from db.store import Store
from jobs.files import read_json, write_json
from orchestrator.settings import Notify
from orchestrator.supervision import news
from orchestrator.supervision.cycle import Cycle
from orchestrator.supervision.messenger import Message, send
from orchestrator.supervision.news import Told

NAME = "told.json"


class Notifier:
    """Looks at what changed and sends messages. `clock`: monotonic seconds."""

    def __init__(self, store: Store, settings: Notify, clock: Callable[[], float] = time.monotonic) -> None:
        self.store = store
        self.settings = settings
        self.clock = clock
        self._since: float | None = None
        self._messengers: list[subprocess.Popen[bytes]] = []
        self._told = read_json(store.root / NAME, Told) if self.on else None

    @property
    def on(self) -> bool:
        """Whether anybody wants to be told."""
        return bool(self.settings.command or self.settings.urls)

    def look(self, cycle: Cycle, *, leaving: bool = False) -> None:
        """After a cycle: send what is new, once nothing more comes for a while, a study is done, or at the end."""
        if not self.on:
            return
        self._messengers = [child for child in self._messengers if child.poll() is None]
        with self.store.read() as connection:
            failures = facts.failures(connection)
            after = news.now(failures, facts.studies(connection), cycle.stopped, idle=cycle.idle)
        if self._told is None:  # what was before anybody asked to be told is no news
            self._keep(after)
            return
        said = news.lines(self._told, after, failures)
        if not said:
            self._since = None
            if after != self._told:
                self._keep(after)
            return
        self._since = self.clock() if self._since is None else self._since
        waited = self.clock() - self._since >= self.settings.quiet_seconds
        if waited or leaving or news.is_urgent(self._told, after):
            self._since = None
            self._keep(after)  # first: a message that is lost is better than one that comes every cycle
            self._send(said)

    def _send(self, said: list[str]) -> None:
        message = Message(
            subject=news.subject(said),
            body="\n".join(said),
            command=self.settings.argv(),
            urls=tuple(self.settings.urls),
        )
        with contextlib.suppress(OSError):
            self._messengers.append(send(message, self.store.root))

    def _keep(self, told: Told) -> None:
        self._told = told
        with contextlib.suppress(OSError):
            write_json(self.store.root / NAME, told, durable=False)
