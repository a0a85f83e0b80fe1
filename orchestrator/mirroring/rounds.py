"""One round: what happened goes into the mirror first, then the journal that tells of it, last the marker.

Until the marker is there, the round before is what the mirror holds; nothing of it is removed or made older.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from db import audit, cleaning
from db.audit import Held
from db.entries import Named
from db.identity import Identity, identity, new_id
from db.journal import load, path_of
from db.mirrored import MirroredAttempt, mirrored_attempts
from db.store import Store
from jobs.errors import BadInput
from jobs.files import Unreadable, now, open_private
from orchestrator.amounts import size_bytes
from orchestrator.mirroring import control, listing, rsync, state
from orchestrator.mirroring.admission import Overtaken, check_history, check_over, is_new, takes_over
from orchestrator.mirroring.control import Begun, Complete, Control, Whose
from orchestrator.mirroring.place import Place, check_apart, parse
from orchestrator.mirroring.plan import Plan, kept
from orchestrator.mirroring.rsync import MirrorError, NoMirror
from orchestrator.mirroring.state import Noted
from orchestrator.settings import Settings

LOCK = "mirror.lock"
FULL_EVERY = timedelta(days=1)
"""So often a round looks at every file, and not only at what may be new."""
AGAIN = 3
"""Times that checkpoints are looked for anew which were pruned while they were copied."""
REMOVAL_SECONDS = 2.0
"""In that time a removal removes something more."""
SETTING = "[store] mirror in orch.toml"


class Busy(MirrorError):
    """Another round is under way."""


@dataclass(frozen=True, kw_only=True)
class Now:
    """The store as a round copies it, of one moment."""

    held: Held
    attempts: tuple[MirroredAttempt, ...]
    code: frozenset[str]

    @property
    def moves(self) -> bool:
        """Whether files may change without a new entry."""
        return any(one.ended_at is None or one.goes_on for one in self.attempts)


def place_of(store: Store, settings: Settings) -> Place:
    """The mirror of that store. Raises BadInput where it has none, or none that would help."""
    if settings.store.mirror is None:
        raise BadInput('this store has no mirror: name one in orch.toml, like [store] mirror = "tanuki:backup/orch"')
    place = parse(settings.store.mirror, store.root.parent, SETTING)
    check_apart(place, store.root, SETTING)
    return place


def named(store: Store) -> Identity:
    """Who this store is; where it has no id yet it gets one, which is an entry of the journal."""
    with store.read() as connection:
        found = identity(connection)
    if found.id:
        return found
    with store.write() as writer:
        if not identity(writer.connection).id:
            writer.decide([Named(store=new_id(), at=now())])
        return identity(writer.connection)


@contextmanager
def alone(store: Store, waits: Callable[[], None] | None = None) -> Iterator[None]:
    """Let nobody else do a round of this store meanwhile; with `waits`, which is called first, wait for its end.

    Raises Busy.
    """
    handle = open_private(store.root / LOCK, os.O_RDWR)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waits is None:
                raise Busy("another round is under way") from None
            waits()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class Round:
    """What one round does, and notes."""

    def __init__(
        self, store: Store, settings: Settings, place: Place, tell: Callable[[str], None] = lambda text: None
    ) -> None:
        self.store = store
        self.place = place
        self.tell = tell
        limit = settings.store.mirror_limit
        self.limit = size_bytes(limit, "[store] mirror_limit") if limit else None
        self._noted = state.noted(store.root, place)

    def go(self, *, full: bool = False, anew: bool = False) -> Noted:
        """Do it. `full`: look at every file; `anew`: begin a mirror again that is empty by now. Raises MirrorError."""
        begun, began = time.monotonic(), now()
        self._note(tried_at=began, under_way=True)
        try:
            self._go(began, full, anew, begun)
        except Overtaken as over:
            state.close(self.store.root, str(over), now())
            self._note(wrong=str(over), under_way=False)
            raise
        except MirrorError as error:
            self._note(wrong=str(error), under_way=False)
            raise
        except BaseException:
            self._note(under_way=False)
            raise
        return self._noted

    def _go(self, began: datetime, full: bool, anew: bool, begun: float) -> None:
        mine = named(self.store)
        there, new = self._look(mine, anew)
        self._note(contact_at=now())
        present = self._present()
        last = there.complete if there.complete and there.complete.store == mine.id else None
        check_history(there, self.place, mine, present.held, self._digest)
        over = takes_over(there, self.place, mine)
        full |= new or over or last is None or began - last.full_at > FULL_EVERY
        if last is not None and not full and last.number == present.held.number and not present.moves:
            self._note(at=now(), number=last.number, wrong="", under_way=False)
            return
        self._claim(mine, new, over)
        since = None if full or last is None else last.began
        before = {*(there.begun.checkpoints if there.begun else ()), *(last.checkpoints if last else ())}
        self.tell("what ran")
        plan, files, room = self._copy_runs(present, since, mine, before)
        stays = kept(before, plan.checkpoints, {one.job for one in present.attempts if one.goes_on})
        self.tell("the journal")
        after = 0 if full or last is None else last.number
        names = listing.journal(self.store.layout, after, present.held.number)
        more = rsync.push(self.store.root, self.place, names, limit=self.limit, must=True, safe=True)
        self._still_ours(mine)
        done = Complete(
            store=mine.id,
            number=present.held.number,
            digest=self._digest(present.held.number),
            round=(last.round if last else 0) + 1,
            checkpoints=tuple(sorted({*plan.checkpoints, *stays})),
            began=began,
            at=now(),
            full_at=began if full or last is None else last.full_at,
        )
        control.put(self.place, control.COMPLETE, done)
        self._note(
            number=done.number,
            at=done.at,
            files=files + more[0],
            bytes=room + more[1],
            seconds=round(time.monotonic() - begun, 3),
            wrong="",
            under_way=False,
        )
        self._remove(mine, plan, before - {*plan.checkpoints, *stays}, done)

    def _remove(self, mine: Identity, plan: Plan, over: set[str], done: Complete) -> None:
        """Remove checkpoints that newer ones have followed, and say so."""
        gone = sorted(path for path in over if not path.startswith(tuple(plan.folders)))
        if gone:
            rsync.remove(self.place, gone)
            control.put(self.place, control.BEGUN, Begun(store=mine.id, checkpoints=done.checkpoints, at=now()))

    def contact(self) -> Noted:
        """Ask only whether this store is still the one. Raises MirrorError, Overtaken."""
        with self.store.read() as connection:
            mine = identity(connection)
        try:
            self._look(mine, anew=True)
        except Overtaken as over:
            state.close(self.store.root, str(over), now())
            raise
        self._note(contact_at=now())
        return self._noted

    def check(self) -> None:
        """Ask whether a round could begin; nothing is noted. Raises MirrorError, Overtaken."""
        with self.store.read() as connection:
            mine, held = identity(connection), audit.held(connection)
        there, _ = self._look(mine, anew=False)
        check_history(there, self.place, mine, held, self._digest)
        takes_over(there, self.place, mine)

    def _look(self, mine: Identity, anew: bool) -> tuple[Control, bool]:
        """What the mirror says of itself, and whether it is yet to begin."""
        try:
            there = control.read(self.place)
            names = [name for _, name in rsync.listed(self.place)] if there.whose is None else []
        except NoMirror:
            if self.place.local is not None and not self.place.local.parent.is_dir():
                raise
            there, names = Control(), []
        check_over(there, self.place, mine.id)
        known = self._noted.number > 0 and not anew
        return there, is_new(there, self.place, names, known)

    def _present(self) -> Now:
        with self.store.read() as connection:
            return Now(
                held=audit.held(connection),
                attempts=tuple(mirrored_attempts(connection)),
                code=cleaning.code_in_use(connection),
            )

    def _digest(self, number: int) -> str:
        """The hash of a journal file; empty where it is not there or cannot be read."""
        try:
            return load(path_of(self.store.layout.journal, number))[1]
        except (OSError, Unreadable):
            return ""

    def _claim(self, mine: Identity, new: bool, over: bool) -> None:
        """Make the mirror's folder, and say whose it is. Raises MirrorError where somebody else was first."""
        whose = Whose(store=mine.id, host=socket.gethostname(), root=str(self.store.root), at=now())
        control.found(self.place, whose)
        if over:
            control.put(self.place, control.WHOSE, whose)
        if new:
            self._still_ours(mine)

    def _still_ours(self, mine: Identity) -> None:
        there = control.read(self.place)
        check_over(there, self.place, mine.id)
        if there.whose is None:
            raise MirrorError(
                f"the mirror {self.place} was emptied while it was written: the next round begins it anew"
            )
        if takes_over(there, self.place, mine):
            raise MirrorError(f"the mirror {self.place} was given back to {there.whose.root} while it was written")

    def _copy_runs(
        self, present: Now, since: datetime | None, mine: Identity, before: set[str]
    ) -> tuple[Plan, int, int]:
        """Everything but the journal. A checkpoint that was pruned on the way has a newer one after it."""
        layout = self.store.layout
        files = room = 0
        for _ in range(AGAIN):
            plan = listing.plan(layout, present.attempts, present.code, since)
            said = Begun(store=mine.id, checkpoints=tuple(sorted({*before, *plan.checkpoints})), at=now())
            control.put(self.place, control.BEGUN, said)
            names = [*plan.folders, *plan.checkpoints, *plan.records]
            copied = rsync.push(self.store.root, self.place, names, limit=self.limit)
            files, room = files + copied[0], room + copied[1]
            if all((self.store.root / name).exists() for name in plan.checkpoints):
                break
        self._check_whole(plan, present, since)
        return plan, files, room

    def _check_whole(self, plan: Plan, present: Now, since: datetime | None) -> None:
        """Refuse to call a round complete while somebody removes the store. Raises MirrorError.

        What was removed earlier, by a person, is gone: that does not change while we look.
        """
        layout = self.store.layout
        gone = listing.lacking(layout, plan, present.attempts, since)
        if not gone:
            return
        time.sleep(REMOVAL_SECONDS)
        if listing.lacking(layout, plan, present.attempts, since) != gone or not layout.database.exists():
            raise MirrorError(f"the store {self.store.root} is being removed, so its mirror stays as it was")

    def _note(self, **changes: object) -> None:
        self._noted = msgspec.structs.replace(self._noted, **changes)
        state.note(self.store.root, self._noted)
