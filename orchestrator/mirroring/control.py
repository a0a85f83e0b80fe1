"""What a mirror says of itself, in four small files of its own folder.

`mirror.json`: whose it is. `begun.json`: what a round puts there that goes again. `complete.json`: the marker of the
last complete round, written last and by rename. `overtaken.json`: which stores were rebuilt from it, and so are over.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from db.admission import MIRROR
from jobs.files import Unreadable, load_json, write_json
from jobs.records import Moment, Name, Number, Record
from orchestrator.mirroring import rsync
from orchestrator.mirroring.place import Place
from orchestrator.mirroring.rsync import MirrorError

WHOSE, BEGUN, COMPLETE, OVERTAKEN = MIRROR, "begun.json", "complete.json", "overtaken.json"
FILES = (WHOSE, BEGUN, COMPLETE, OVERTAKEN)


class Whose(Record, frozen=True, kw_only=True):
    """`mirror.json`."""

    store: Name
    host: str
    root: str
    """The store's folder there."""
    at: Moment


class Begun(Record, frozen=True, kw_only=True):
    """`begun.json`: the checkpoint files that a round is about to put there."""

    store: Name
    checkpoints: tuple[str, ...] = ()
    at: Moment


class Complete(Record, frozen=True, kw_only=True):
    """`complete.json`: everything up to journal file `number` is there."""

    store: Name
    number: Number
    digest: str
    """The hash of that journal file."""
    round: Number
    checkpoints: tuple[str, ...] = ()
    began: Moment
    at: Moment
    full_at: Moment
    """When a round last looked at every file, and not only at what was new."""


class Successor(msgspec.Struct, frozen=True, kw_only=True):
    """A store that was rebuilt from the mirror."""

    store: str
    """Its id."""
    host: str
    root: str
    at: Moment

    def __str__(self) -> str:
        return f"{self.root} on {self.host}, {self.at:%Y-%m-%d %H:%M:%S} UTC"


class Overtaken(Record, frozen=True, kw_only=True):
    """`overtaken.json`: id of a store that is over → the one that goes on in its place."""

    by: dict[str, Successor]


@dataclass(frozen=True, kw_only=True)
class Control:
    """What was found; None for what is not there."""

    whose: Whose | None = None
    begun: Begun | None = None
    complete: Complete | None = None
    overtaken: Overtaken | None = None

    def successor(self, store: str) -> Successor | None:
        """The store that goes on in the place of that one."""
        return self.overtaken.by.get(store) if self.overtaken else None


def read(place: Place) -> Control:
    """Fetch and read them. Raises NoMirror, Unreachable, MirrorError."""
    with tempfile.TemporaryDirectory(prefix="orch-mirror-") as folder:
        rsync.pull_top(place, FILES, Path(folder))
        return of_folder(Path(folder), place)


def of_folder(folder: Path, place: Place) -> Control:
    """From a folder that holds them. Raises MirrorError where one is damaged."""
    try:
        return Control(
            whose=load_json(folder / WHOSE, Whose),
            begun=load_json(folder / BEGUN, Begun),
            complete=load_json(folder / COMPLETE, Complete),
            overtaken=load_json(folder / OVERTAKEN, Overtaken),
        )
    except Unreadable as error:
        raise MirrorError(
            f"what the mirror {place} says of itself cannot be read ({error}): name another folder, or empty this one"
        ) from None


def found(place: Place, whose: Whose) -> None:
    """Begin a mirror: its folder, and whose it is unless that is said there already."""
    with tempfile.TemporaryDirectory(prefix="orch-mirror-") as folder:
        write_json(Path(folder) / WHOSE, whose, durable=False)
        rsync.begin(Path(folder), place)


def put(place: Place, name: str, record: Record) -> None:
    """Write one of them, by rename."""
    with tempfile.TemporaryDirectory(prefix="orch-mirror-") as folder:
        write_json(Path(folder) / name, record, durable=False)
        rsync.push(Path(folder), place, [name], must=True, safe=True)
