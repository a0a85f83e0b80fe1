"""`orch mirror --check`: is in the mirror what its last round said? Every byte is read, on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from db import audit, cleaning
from db.identity import identity
from db.mirrored import mirrored_attempts
from db.store import Store
from orchestrator.mirroring import control, listing, rsync
from orchestrator.mirroring.admission import check_over
from orchestrator.mirroring.control import Complete
from orchestrator.mirroring.place import Place
from orchestrator.mirroring.rsync import MirrorError

SHOWN = 5
BEFORE = timedelta(seconds=5)
"""What ended so shortly before a round began may have been read after it."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was compared, and which files are missing in the mirror or other there."""

    place: str
    complete: Complete
    files: int
    wrong: tuple[str, ...]

    @property
    def sound(self) -> bool:
        return not self.wrong

    def text(self) -> str:
        if self.sound:
            return (
                f"the mirror {self.place} is sound: complete to entry {self.complete.number}, "
                f"{self.complete.at:%Y-%m-%d %H:%M:%S} UTC; {self.files} paths were compared byte by byte"
            )
        shown = ", ".join(self.wrong[:SHOWN]) + (f" and {len(self.wrong) - SHOWN} more" if self.wrong[SHOWN:] else "")
        return f"the mirror {self.place} lacks or has otherwise: {shown}; 'orch mirror --now' copies them again"

    def as_json(self) -> dict[str, object]:
        return {
            "place": self.place,
            "sound": self.sound,
            "complete_to": self.complete.number,
            "complete_at": self.complete.at,
            "compared": self.files,
            "wrong": list(self.wrong),
        }


def check(store: Store, place: Place) -> Checked:
    """Compare what the last complete round holds and nothing changes any more. Raises MirrorError."""
    there = control.read(place)
    with store.read() as connection:
        mine = identity(connection)
        held = audit.held(connection)
        attempts = mirrored_attempts(connection)
        code = cleaning.code_in_use(connection)
    check_over(there, place, mine.id)
    last = there.complete
    if last is None or last.store != mine.id or not mine.id:
        raise MirrorError(f"the mirror {place} holds no complete round of this store: 'orch mirror --now' makes one")
    if last.number > held.number:
        raise MirrorError(f"the mirror {place} is complete to entry {last.number}, and the journal here ends before it")
    over = [one for one in attempts if _is_settled(one.ended_at, last.began)]
    plan = listing.plan(store.layout, over, code)
    names = [*plan.folders, *plan.records, *listing.journal(store.layout, 0, last.number)]
    names = [name for name in names if (store.root / name).exists()]
    wrong = rsync.differing(store.root, place, names)
    return Checked(place=str(place), complete=last, files=len(names), wrong=tuple(wrong))


def _is_settled(ended: datetime | None, began: datetime) -> bool:
    return ended is not None and ended < began - BEFORE
