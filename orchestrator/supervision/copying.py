"""The rounds of the store's mirror beside the supervisor's cycles: when one begins, and what the supervisor waits for.

Nothing here waits. A round is a process of its own (mirroring/process.py) that ends with the supervisor.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime

from db.store import Store
from jobs.errors import BadInput
from jobs.files import now, open_private
from orchestrator.mirroring import rounds, state
from orchestrator.mirroring.place import Place
from orchestrator.settings import Settings
from orchestrator.supervision.cycle import Cycle

CONTACT_SECONDS = 10.0
"""A mirror that has not answered for so long is taken for unreachable: jobs are sent all the same."""
LAST_SECONDS = 60.0
"""How long a supervisor that has nothing else to do waits for the last round."""
LOG = "supervisor.log"


class Copying:
    """One supervisor's rounds; does nothing where the store has no mirror. Raises StoreOver where it is over."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        wake: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._wake = wake
        self._clock = clock
        self._every = settings.store.mirror_minutes * 60
        self._place: Place | None = None
        if settings.store.mirror is not None:
            state.check_open(store.root)
            with contextlib.suppress(BadInput):  # status says it
                self._place = rounds.place_of(store, settings)
        self._child: subprocess.Popen[bytes] | None = None
        self._due = float("-inf")
        self._news = True
        """Something happened since the newest round began."""
        self._settled = False
        """A round has ended, well or not, since anything happened."""
        self._began: datetime | None = None
        self._first: float | None = None
        self._cleared = self._place is None
        self._waits_since: float | None = None

    def look(self, cycle: Cycle | None = None) -> None:
        """Before the first cycle and after each: begin a round where one is due. Raises StoreError."""
        if self._place is None:
            return
        if self._child is not None and self._child.poll() is not None:
            self._let_go()
            self._settled = not self._news
            state.check_open(self._store.root)
        if cycle is not None and cycle.changed:
            self._news, self._settled = True, False
        idle = cycle is not None and cycle.idle
        due = self._news if idle else self._clock() >= self._due
        if self._child is None and due:
            self._begin(self._place)

    def cleared(self) -> bool:
        """Whether jobs may be sent: the mirror says that no other store goes on in this one's place, or is silent."""
        if self._cleared or self._place is None:
            return True
        noted = state.noted(self._store.root, self._place)
        answered = self._began is not None and noted.contact_at is not None and noted.contact_at >= self._began
        late = self._first is not None and self._clock() - self._first >= CONTACT_SECONDS
        over = self._first is not None and self._child is None
        if answered or late or over:
            state.check_open(self._store.root)
            self._cleared = True
        return self._cleared

    def holds(self, *, patient: bool) -> bool:
        """Whether the supervisor stays although nothing else is to be done; `patient`: as long as the round takes."""
        if self._place is None or self._settled or (self._child is None and not self._news):
            self._waits_since = None
            return False
        since = self._waits_since = self._clock() if self._waits_since is None else self._waits_since
        return patient or self._clock() - since < LAST_SECONDS

    def end(self) -> None:
        """The supervisor leaves: a round that is under way ends by itself."""
        if self._child is not None:
            self._let_go()

    def _begin(self, place: Place) -> None:
        self._news = False
        self._due = self._clock() + self._every
        self._first = self._clock() if self._first is None else self._first
        self._began = now()
        environment = {name: value for name, value in os.environ.items() if name != "ORCH_TOKEN"}
        with contextlib.suppress(OSError), os.fdopen(self._log(), "ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "orchestrator.mirroring.process", str(self._store.root), self._wake],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**environment, "PYTHONSAFEPATH": "1"},
                start_new_session=True,
            )

    def _log(self) -> int:
        return open_private(self._store.root / LOG, os.O_WRONLY | os.O_APPEND)

    def _let_go(self) -> None:
        if self._child is not None and self._child.stdin is not None:
            self._child.stdin.close()
        self._child = None
