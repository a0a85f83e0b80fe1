"""How old a mirror is: noted beside the database after each round, and said by those who look."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jobs.errors import StoreError
from jobs.files import read_json, write_json
from jobs.records import Moment, Record
from orchestrator.amounts import size_text

NOTED, OVER = "mirrored.json", "overtaken.json"
LATE = 3
"""A mirror is late when its last complete round is so many intervals old."""


class StoreOver(StoreError):
    """Another store was rebuilt from this one's mirror and goes on in its place."""


class Noted(Record, frozen=True, kw_only=True):
    """`mirrored.json` in the store's folder."""

    place: str
    number: int = 0
    """Up to which journal file the last complete round goes; 0: there was none."""
    at: Moment | None = None
    """When it was complete, or last found to be complete still."""
    files: int = 0
    bytes: int = 0
    """What it copied."""
    seconds: float = 0.0
    contact_at: Moment | None = None
    """When the mirror last answered whether this store is still the one."""
    tried_at: Moment | None = None
    wrong: str = ""
    """What went wrong with the newest round."""
    under_way: bool = False


class Over(Record, frozen=True, kw_only=True):
    """`overtaken.json` in the store's folder: it is over."""

    sentence: str
    at: Moment


def noted(root: Path, place: object) -> Noted:
    """What was noted of that mirror; of another one, nothing."""
    found = read_json(root / NOTED, Noted)
    return found if found is not None and found.place == str(place) else Noted(place=str(place))


def note(root: Path, state: Noted) -> None:
    """Remember it; a full disk forgets it."""
    with contextlib.suppress(OSError):
        write_json(root / NOTED, state, durable=False)


def close(root: Path, sentence: str, at: datetime) -> None:
    """Let every later command know that this store is over."""
    with contextlib.suppress(OSError):
        write_json(root / OVER, Over(sentence=sentence, at=at))


def over(root: Path) -> str:
    """Why this store is over; empty where it is not, as far as is known here."""
    found = read_json(root / OVER, Over)
    return found.sentence if found else ""


@dataclass(frozen=True, kw_only=True)
class Age:
    """A store's mirror, as things stand."""

    place: str
    noted: Noted
    behind: int
    """Entries of the journal that the last complete round does not hold."""
    minutes: float
    """`[store] mirror_minutes`."""
    over: str = ""

    def warning(self, now: datetime) -> str | None:
        """What a person must hear; None where all is well."""
        if self.over:
            return self.over
        at, wrong = self.noted.at, self.noted.wrong
        if wrong:
            since = f"the last complete round was {ago(at, now)}" if at else "no round was complete yet"
            return f"mirror: {wrong} ({since})"
        if at is not None and self.behind and (now - at).total_seconds() > LATE * 60 * self.minutes:
            return (
                f"the mirror {self.place} is {ago(at, now, '')} old and lacks {self.behind} entries: "
                "'orch mirror --now' copies them"
            )
        return None

    def line(self, now: datetime) -> str:
        """'mirror tanuki:backup/orch (complete 2 min ago)'."""
        at = self.noted.at
        if at is None:
            return f"mirror {self.place} ({'its first round is under way' if self.noted.under_way else 'no round yet'})"
        what = f"complete {ago(at, now)}" + (f", {self.behind} entries behind" if self.behind else "")
        return f"mirror {self.place} ({what})"

    def copied(self) -> str:
        """What the newest round did."""
        return (
            f"complete to entry {self.noted.number}: {self.noted.files} new files, {size_text(self.noted.bytes)}, "
            f"in {self.noted.seconds:.1f} s"
        )

    def as_json(self, now: datetime) -> dict[str, object]:
        at = self.noted.at
        return {
            "place": self.place,
            "complete_at": at,
            "age_seconds": None if at is None else round(max(0.0, (now - at).total_seconds()), 1),
            "complete_to": self.noted.number,
            "behind": self.behind,
            "files": self.noted.files,
            "bytes": self.noted.bytes,
            "seconds": self.noted.seconds,
            "tried_at": self.noted.tried_at,
            "wrong": self.noted.wrong,
            "under_way": self.noted.under_way,
            "overtaken": self.over,
            "warning": self.warning(now),
        }


def ago(at: datetime, now: datetime, word: str = " ago") -> str:
    """'3 min ago', 'just now'."""
    seconds = max(0.0, (now - at).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}{word}"
    return "just now" if word else "0 s"


def check_open(root: Path) -> None:
    """Raises StoreOver where this store is known to be over."""
    sentence = over(root)
    if sentence:
        raise StoreOver(sentence)
