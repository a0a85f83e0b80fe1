"""How old a store's mirror is, for those who look: nothing is copied, and no other machine is asked."""

from __future__ import annotations

from db import audit
from db.identity import identity
from db.store import Store
from jobs.errors import BadInput
from orchestrator.mirroring import control, rounds, state
from orchestrator.mirroring.place import Place
from orchestrator.mirroring.rsync import MirrorError
from orchestrator.mirroring.state import Age
from orchestrator.settings import Settings


def of_store(store: Store, settings: Settings) -> Age | None:
    """The age of its mirror; None where it has none."""
    if settings.store.mirror is None:
        return None
    try:
        return of_place(store, settings, rounds.place_of(store, settings))
    except BadInput as error:
        noted = state.Noted(place=settings.store.mirror, wrong=str(error))
        return Age(place=settings.store.mirror, noted=noted, behind=0, minutes=settings.store.mirror_minutes)


def of_place(store: Store, settings: Settings, place: Place) -> Age:
    """The same of a mirror that makes sense."""
    noted = state.noted(store.root, place)
    with store.read() as connection:
        held, mine = audit.held(connection), identity(connection)
    over = state.over(store.root)
    if not over and place.local is not None and mine.id:
        over = _over(place, mine.id)
    behind = max(0, held.number - noted.number)
    return Age(place=str(place), noted=noted, behind=behind, minutes=settings.store.mirror_minutes, over=over)


def _over(place: Place, store: str) -> str:
    """What a mirror on this machine says, as far as can be told at once."""
    from orchestrator.mirroring.admission import Overtaken

    try:
        by = control.of_folder(place.local, place).successor(store) if place.local is not None else None
    except (MirrorError, OSError):
        return ""
    return "" if by is None else str(Overtaken(place, by))
