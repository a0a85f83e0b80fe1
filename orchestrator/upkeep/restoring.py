"""`orch rebuild --from`: a store is made of the last complete round of a mirror, on any machine.

It is made aside, the mirror is marked (the old store is over), and then it gets its name: what is cut off in between
can be repeated. What the journal of the round does not know is set aside, and new numbers begin above it.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from db import attempts, cleaning, executions, journal
from db.audit import Held, describe, examine
from db.entries import Rebuilt
from db.identity import identity, new_id
from db.place import locate
from db.rebuild import from_journal, move_in
from db.store import Store
from jobs import trust
from jobs.errors import BadInput, StoreError
from jobs.files import fsync_folder, make_folder, names, now, write_bytes
from jobs.layout import Layout
from jobs.words import AttemptState
from orchestrator.mirroring import control, rsync
from orchestrator.mirroring.control import Complete, Control, Overtaken, Successor, Whose
from orchestrator.mirroring.place import Place, parse
from orchestrator.mirroring.rsync import MirrorError, NoMirror
from orchestrator.supervision.machines import slurm_is_here
from orchestrator.upkeep.leftovers import ended, set_aside
from orchestrator.upkeep.rebuilding import STILL_LEAVING, ingest_everything
from slurm.cluster.strays import end_strays

FROM = "--from"


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was made."""

    store: Store
    complete: Complete
    aside: tuple[str, ...]
    """Folders of what came after the round, under other names."""
    again: int
    """Attempts that lived, and that are ended here: their jobs run again."""
    marked: str
    """Why the mirror could not be marked; empty where it was."""
    cancelled: tuple[str, ...]
    """SLURM's jobs of the old store that no entry of the round tells of: they were cancelled."""


def restore(
    explicit: Path | None,
    source: str,
    *,
    really: bool,
    progress: Callable[[int, int], None],
    tell: Callable[[str], None] = lambda text: None,
) -> Restored:
    """Make a store. `really`: though another one was made of the same mirror. Raises BadInput, StoreError."""
    place = parse(source, Path.cwd(), FROM)
    root = locate(explicit)
    _check_free(root)
    there, whose, last = _read(place, root, really)
    tell(f"fetching what {place} holds, complete to entry {last.number}")
    try:
        with tempfile.TemporaryDirectory(prefix=".orch-rebuild-", dir=_parent(root)) as folder:
            made = Path(folder) / "store"
            made.mkdir(mode=0o700)
            rsync.pull(place, made, (*control.FILES, rsync.INCOMING))
            found = _build(made, root, place, whose, last, progress)
            marked = _mark(place, there, root, found)
            made.rename(root)
            fsync_folder(root.parent)
    except OSError as error:
        raise StoreError(
            f"{error.filename or root} stands in the way of a rebuild: {error.strerror}; mend that, then repeat"
        ) from None
    strays = end_strays(whose.root, found.known) if slurm_is_here() else ()
    return Restored(
        store=Store(root),
        complete=last,
        aside=found.aside,
        again=found.again,
        marked=marked,
        cancelled=strays,
    )


def _check_free(root: Path) -> None:
    """Raises BadInput where something lies in the way."""
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        raise BadInput(f"{root} is in the way: remove it, or name another folder with --store")
    if names(root):
        raise BadInput(f"there is something in {root} already: move it away, or name a new folder with --store")


def _parent(root: Path) -> Path:
    if not root.parent.is_dir():
        raise BadInput(f"there is no folder {root.parent}: make it, or name another one with --store")
    return root.parent


def _read(place: Place, root: Path, really: bool) -> tuple[Control, Whose, Complete]:
    """What the mirror says, once it can be trusted and used. Raises BadInput, StoreError."""
    if place.local is not None and place.local.is_dir():
        trust.check_folder(place.local, place.local.stat().st_uid)
    try:
        there = control.read(place)
    except NoMirror as error:
        raise BadInput(str(error)) from None
    if there.whose is None:
        raise BadInput(f"{place} is no mirror of a store: name the folder that [store] mirror named")
    if there.complete is None or there.complete.store not in (there.whose.store, *_all(there)):
        raise BadInput(f"the mirror {place} holds no complete round, so no store can be made of it")
    by = there.successor(there.complete.store)
    here = by is not None and (by.host, by.root) == (socket.gethostname(), str(root))
    if by is not None and not here and not really:
        raise BadInput(
            f"a store was rebuilt from {place} already and goes on: {by}; work there, or, where it is lost too, "
            "add --really"
        )
    return there, there.whose, there.complete


def _all(there: Control) -> tuple[str, ...]:
    return tuple(there.overtaken.by) if there.overtaken else ()


@dataclass(frozen=True, kw_only=True)
class _Built:
    id: str
    was: str
    known: frozenset[str]
    """Tokens."""
    aside: tuple[str, ...]
    again: int


def _build(
    made: Path, root: Path, place: Place, whose: Whose, last: Complete, progress: Callable[[int, int], None]
) -> _Built:
    """Make the fetched folder a store. Raises StoreError where the round's journal is not whole."""
    layout = Layout(made)
    trust.tighten(made, group=False)
    make_folder(layout.submissions)
    _cut(layout, place, last)
    with tempfile.TemporaryDirectory(prefix="orch-rebuild-", dir=made.parent) as alone:
        told = from_journal(layout, Path(alone) / "store")
        left = set_aside(layout, told, f"{now():%Y%m%dT%H%M%S}")
        store = move_in(told, layout)
    ingest_everything(store, progress)
    with store.read() as connection:
        was = identity(connection).id
        live = [one for one in attempts.live(connection) if one.state is not AttemptState.ENDED]
    same = str(root) == whose.root
    gone = ended(layout, live, left, same=same, slurm=slurm_is_here(), source=str(place), at=now())
    rebuilt = Rebuilt(
        source=str(place),
        store=new_id(),
        was=was,
        complete=last.number,
        attempts=left.attempts,
        jobs=left.jobs,
        at=now(),
    )
    with store.write() as writer:
        writer.decide([*gone, rebuilt])
        attempts.undoom_old(writer.connection, STILL_LEAVING)
        executions.left_behind(writer.connection)
    for token in left.tokens:  # should one of them start after all, it ends at once
        make_folder(layout.submission(token))
        write_bytes(layout.given_up(token), b"")
    with store.read() as connection:
        known = cleaning.tokens(connection)
    store.close()
    return _Built(id=rebuilt.store, was=was, known=known, aside=left.paths, again=len(gone))


def _cut(layout: Layout, place: Place, last: Complete) -> None:
    """Leave the journal of the round alone. Raises StoreError where it is not whole."""
    there, strays = journal.numbers(layout.journal)
    for path in [*strays, *(journal.path_of(layout.journal, number) for number in there if number > last.number)]:
        path.unlink()
    found = examine(layout.journal, Held(number=last.number, digest=last.digest))
    if found.losses:
        raise StoreError(
            f"the mirror {place} is damaged: {describe(Path(str(place)) / 'runs' / 'journal', found.losses)}; "
            "restore that file in the mirror, then repeat"
        )


def _mark(place: Place, there: Control, root: Path, made: _Built) -> str:
    """Let the mirror say that the old store is over, and all that were made of it before. Why not, where it cannot."""
    successor = Successor(store=made.id, host=socket.gethostname(), root=str(root), at=now())
    before = there.overtaken.by if there.overtaken else {}
    over = {made.was, *before, *(one.store for one in before.values())} - {made.id}
    try:
        control.put(place, control.OVERTAKEN, Overtaken(by=dict.fromkeys(sorted(over), successor)))
    except MirrorError as error:
        return str(error)
    return ""
