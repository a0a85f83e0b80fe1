"""Whether a store may copy itself into a mirror, by what the mirror says of itself. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection

from db.audit import Held
from db.identity import Identity
from orchestrator.mirroring.control import Control, Successor
from orchestrator.mirroring.place import Place
from orchestrator.mirroring.rsync import INCOMING, MirrorError

OF_A_DISK = frozenset({".", INCOMING, "lost+found"})
"""What may lie in a folder that is new to us."""


class Overtaken(MirrorError):
    """This store is over: another one was rebuilt from its mirror."""

    def __init__(self, place: object, by: Successor) -> None:
        super().__init__(
            f"this store was overtaken: {by.root} on {by.host} was rebuilt from its mirror {place} "
            f"({by.at:%Y-%m-%d %H:%M:%S} UTC) and goes on in its place, so nothing is changed here; "
            "work there, and move this folder away"
        )
        self.by = by


def check_over(control: Control, place: object, store: str) -> None:
    """Raises Overtaken where the mirror says that this store is over."""
    by = control.successor(store)
    if by is not None:
        raise Overtaken(place, by)


def is_new(control: Control, place: Place, names: Collection[str], known: bool) -> bool:
    """Whether the mirror is yet to begin. `names`: what lies in its folder; `known`: rounds were complete there once.

    Raises MirrorError where something else lies there, or nothing any more.
    """
    if control.whose is not None:
        return False
    others = sorted(set(names) - OF_A_DISK)
    if others:
        raise MirrorError(
            f"{place} is no mirror and not empty ('{others[0]}' lies there), so nothing is copied into it: "
            "name a new folder"
        )
    if known:
        raise MirrorError(
            f"the mirror {place} is empty, though rounds were complete there: mount its disk, or begin it anew with "
            "'orch mirror --now'"
        )
    return True


def takes_over(control: Control, place: Place, mine: Identity) -> bool:
    """Whether it is the mirror of the store that this one was rebuilt from, and becomes ours with this round.

    Raises MirrorError where it is another store's.
    """
    whose = control.whose
    if whose is None or whose.store == mine.id:
        return False
    if whose.store in mine.before:
        return True
    raise MirrorError(
        f"{place} is the mirror of another store ({whose.root} on {whose.host}), so nothing is copied into it: "
        f"name another folder, or make a store of it with 'orch rebuild --from {place}'"
    )


def check_history(control: Control, place: Place, mine: Identity, held: Held, digest: Callable[[int], str]) -> None:
    """Refuse a mirror that holds what this store never decided: the store is an old copy. `digest`: of a journal file.

    Raises MirrorError.
    """
    last = control.complete
    if last is None or last.store != mine.id:
        return
    if last.number > held.number or digest(last.number) != last.digest:
        raise MirrorError(
            f"the mirror {place} holds entry {last.number} of this store, which is not in the journal here "
            f"(the last one is {held.number}): this is an older copy of the store, so nothing is copied; "
            f"'orch rebuild --from {place}' makes the newer one"
        )
