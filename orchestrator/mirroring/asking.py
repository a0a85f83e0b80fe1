"""Before a store is changed: is it still the one, or does another one go on in its place?"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from db.store import Store
from jobs.errors import OrchError
from jobs.files import now
from jobs.layout import Layout
from orchestrator.mirroring import state
from orchestrator.mirroring.admission import Overtaken
from orchestrator.mirroring.rounds import Round, place_of
from orchestrator.settings import Settings, load


def settings_of(root: Path) -> Settings:
    """The settings of a store that is to be changed. Raises BadInput, StoreOver."""
    settings = load(root)
    check_open(root, settings)
    return settings


def check_open(root: Path, settings: Settings) -> None:
    """Before something is changed: whether the store is still the one. Raises StoreOver where another goes on for it.

    A mirror that answered lately is not asked again: a disk that returns is asked about by its first command, one that
    is in use by its supervisor.
    """
    state.check_open(root)
    if settings.store.mirror is None or not Layout(root).database.exists():
        return
    try:
        store = Store(root, looking=True)
        place = place_of(store, settings)
        asked = state.noted(root, place).contact_at
        if asked is None or not timedelta(0) <= now() - asked < timedelta(minutes=settings.store.mirror_minutes):
            Round(store, settings, place).contact()
    except Overtaken:
        state.check_open(root)
    except (OrchError, OSError):
        return  # it cannot be reached now, or what is wrong with the store is said by who opens it
