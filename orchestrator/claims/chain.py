"""Is the journal in a claim whole? Each file and entry that was changed, left out, repeated or moved, by name. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec

from db.entries import Entry, Import, Submit
from jobs.errors import BadInput
from jobs.files import Unreadable, decode
from orchestrator.claims.cells import EVERYTHING, Register, salted, study_cell
from orchestrator.claims.links import MARK, entries_of, entry_digest, links
from orchestrator.claims.records import Claim, File, Whole


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with the journal of a claim, in a sentence; `n`: in which file."""

    n: int
    text: str


def entries(claim: Claim) -> Iterator[tuple[int, Entry]]:
    """(file, entry) of those that it has in full, in order. Raises BadInput for one that this orch cannot read."""
    for file in claim.files:
        for one in entries_of(file):
            if isinstance(one, Whole):
                yield file.n, typed(one, file.n)


def typed(one: Whole, n: int) -> Entry:
    """The entry. Raises BadInput."""
    try:
        found: Entry = decode(bytes(one.entry), Entry)  # type: ignore[arg-type]
    except Unreadable:
        raise BadInput(
            f"it is no claim that this orch can read: an entry of journal file {n} is of no kind that it knows"
        ) from None
    if isinstance(found, Submit | Import):
        made = found.jobs if isinstance(found, Submit) else found.results
        if any(not 0 <= job.template < len(found.templates) for job in made):
            raise BadInput(f"it is no claim that can be read: an entry of journal file {n} makes jobs of nothing")
    return found


def faults(claim: Claim) -> list[Fault]:
    """All of them, by file."""
    found = [fault for file in claim.files for fault in _in_file(file)]
    odd = {fault.n for fault in found}
    found += _order(claim.files)
    for place, (file, one) in enumerate(zip(claim.files, links(claim.files), strict=True)):
        if one[:MARK] != file.mark and file.n not in odd and not (place and found):
            found.append(Fault(n=file.n, text="something in it was changed, left out, repeated or moved"))
    found += _bytes(claim.files)
    if claim.noted and claim.files and claim.noted != claim.files[-1].digest:
        found.append(Fault(n=claim.files[-1].n, text="it is not the one that the database knows: it was edited since"))
    last = links(claim.files)[-1] if claim.files else ""
    if last != claim.head and not found:
        found.append(Fault(n=len(claim.files), text="files after it are left out, or the head was changed"))
    return sorted(found, key=lambda fault: fault.n)


def hidden(claim: Claim, cells: Sequence[str]) -> list[Fault]:
    """Entries that are only hashes, though they concern a cell of the claim."""
    mine = [*cells, EVERYTHING, study_cell(claim.study)]
    found = []
    register = Register()
    for file in claim.files:
        told = {cell for one in file.bare.values() for cell in one.cells} | set(file.cells)
        if told and any(salted(cell, file.digest) in told for cell in mine):
            found.append(Fault(n=file.n, text="an entry that concerns this table is left out: only its hash is there"))
        for one in entries_of(file):
            if isinstance(one, Whole):
                concerned = register.concerned(typed(one, file.n))
                if any(salted(cell, file.digest) not in one.cells for cell in concerned):
                    found.append(Fault(n=file.n, text=f"its entry ({tag(one)}) is said to concern something else"))
    return found


def _in_file(file: File) -> Iterator[Fault]:
    marks: dict[str, int] = {}
    both = set(file.whole) & set(file.bare)
    for place, one in enumerate(entries_of(file)):
        if one is None:
            yield Fault(n=file.n, text=f"its entry {place + 1} is left out")
            continue
        mark = one.mark if isinstance(one, Whole) else one.digest[:MARK]
        if isinstance(one, Whole) and entry_digest(bytes(one.entry))[:MARK] != mark:
            yield Fault(n=file.n, text=f"its entry {place + 1} ({tag(one)}) was changed")
        if mark in marks:
            yield Fault(n=file.n, text=f"its entry {place + 1} repeats its entry {marks[mark] + 1}")
        marks[mark] = place
    if both or len(file.whole) + len(file.bare) > len(entries_of(file)):
        yield Fault(n=file.n, text="an entry stands in it twice, or has no place")


def tag(one: Whole) -> str:
    """What kind of entry it is: `cancel`."""
    try:
        found = decode(bytes(one.entry), dict[str, msgspec.Raw]).get("type", msgspec.Raw(b'"?"'))
        return decode(bytes(found), str)
    except Unreadable:
        return "nothing that can be read"


def _order(files: Sequence[File]) -> Iterator[Fault]:
    there: set[int] = set()
    expected = 1
    for file in files:
        if file.n in there:
            yield Fault(n=file.n, text="it is there twice")
        elif file.n > expected:
            missing = f"{expected} is" if file.n == expected + 1 else f"{expected} to {file.n - 1} are"
            yield Fault(n=expected, text=f"file {missing} left out or moved")
        elif file.n < expected:
            yield Fault(n=file.n, text="it stands behind a later one")
        there.add(file.n)
        expected = max(expected, file.n + 1)


def _bytes(files: Sequence[File]) -> Iterator[Fault]:
    """What files say of the bytes of those before them. Those of an earlier orch say nothing."""
    begun = False
    for before, file in pairwise(files):
        says = before.digest if file.previous is None else file.previous
        lost = any(
            isinstance(one, Whole) and tag(one) == "lost" for entry in (before, file) for one in entries_of(entry)
        )
        if says and says != before.digest and not lost:
            text = f"it is not the one that was there when file {file.n} was written: it was edited since"
            yield Fault(n=before.n, text=text)
        elif begun and not says and not lost:
            yield Fault(n=file.n, text="it does not say which file came before it, as those before it do")
        begun = begun or bool(says)
