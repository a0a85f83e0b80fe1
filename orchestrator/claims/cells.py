"""Which cell of a table a job belongs to, whatever study it was submitted to, and which cells an entry concerns. Pure.

A cell is kind, version, data set and settings, without the seed and without what tells replicates apart (the search
that an architecture came from, the repeat): whoever asks for the same again in another study asks for the same cell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from db.entries import Entry, Import, Lost, Submit
from db.launching import Template

REPLICATES = frozenset({"search", "repeat", "seed"})
"""Settings that tell replicates of a cell apart."""
EVERYTHING = "everything"
"""The cell of what concerns all of them: a file that is lost."""


def cell_of(kind: str, version: int, dataset: str, config: Mapping[str, Any]) -> str:
    """32 hex digits that name a cell."""
    own = {name: value for name, value in config.items() if name not in REPLICATES}
    text = msgspec.json.encode([kind, version, dataset, own], order="sorted")
    return hashlib.sha256(text).hexdigest()[:32]


def of_template(template: Template) -> str:
    """The cell of the jobs of a template."""
    return cell_of(template.kind, template.kind_version, template.dataset, template.config)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a job belongs."""

    study: str
    cell: str


@dataclass
class Register:
    """The jobs that entries made so far, and what each entry concerns."""

    jobs: dict[int, Place] = field(default_factory=dict)

    def concerned(self, entry: Entry) -> frozenset[str]:
        """The cells of the jobs that an entry names; the entry's own jobs are noted. Of a study: its name's."""
        if isinstance(entry, Lost):
            return frozenset({EVERYTHING})
        found = set()
        if isinstance(entry, Submit | Import):
            cells = [of_template(one) for one in entry.templates]
            for job in entry.jobs if isinstance(entry, Submit) else entry.results:
                self.jobs[job.id] = Place(study=entry.study, cell=cells[job.template])
                found.add(cells[job.template])
        else:
            found |= {self.jobs[job].cell for job in named(entry) if job in self.jobs}
        study = getattr(entry, "study", None)
        if isinstance(study, str):
            found.add(study_cell(study))
        return frozenset(found)


def study_cell(study: str) -> str:
    """What stands for a study as a whole among cells."""
    return f"study {study}"


def named(entry: Entry) -> set[int]:
    """The ids of the jobs that an entry names, whichever kind of entry it is."""
    found: set[int] = set()
    for name in ("job", "canary", "jobs", "tasks", "results", "attempts"):
        value = getattr(entry, name, None)
        items: Iterable[Any] = value if isinstance(value, tuple) else (value,)
        for item in items:
            one = item[0] if isinstance(item, tuple) and item else getattr(item, "job", getattr(item, "id", item))
            if isinstance(one, int):
                found.add(one)
    return found


def salted(cell: str, salt: str) -> str:
    """A cell in a file of that hash: the same cell looks different in every file."""
    return hashlib.sha256(f"{salt}/{cell}".encode()).hexdigest()[:16]
