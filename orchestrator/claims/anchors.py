"""A claim against an anchor: an earlier claim, or a head that somebody noted. Only so a re-made journal is seen.

An anchor says what the journal was up to some file. The newer claim must give the same links up to there. Pure, but
for the reading.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from jobs.errors import BadInput
from orchestrator.claims import chain
from orchestrator.claims.findings import Finding
from orchestrator.claims.links import links
from orchestrator.claims.records import Claim, load

HEAD = re.compile(r"([0-9]{1,12}):([0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """`number` files of the journal gave the link `head`; `claim` where the anchor is one."""

    name: str
    number: int
    head: str
    claim: Claim | None = None


def read(text: str) -> Anchor:
    """A file that `orch claim` wrote, or the head that it printed. Raises BadInput."""
    match = HEAD.fullmatch(text.strip())
    if match is not None:
        return Anchor(name=f"the head {match[1]}:{match[2][:8]}…", number=int(match[1]), head=match[2])
    if not os.path.lexists(text):
        raise BadInput(
            f"'{text}' is neither a claim nor a head: give a file of 'orch claim', or NUMBER:HASH as it says"
        )
    claim, _ = load(Path(text))
    return Anchor(name=f"'{text}'", number=len(claim.files), head=claim.head, claim=claim)


def compare(claim: Claim, anchor: Anchor) -> list[Finding]:
    """What tells that the claim's journal does not go on from where the anchor was made; empty where it does.

    Raises BadInput where the anchor itself is not sound: it proves nothing then.
    """
    if anchor.claim is not None and (odd := chain.faults(anchor.claim)):
        raise BadInput(f"{anchor.name} is no anchor, since it is not whole: journal file {odd[0].n}: {odd[0].text}")
    now = links(claim.files)
    if len(now) < anchor.number:
        text = f"the journal has {len(now)} files, and {anchor.name} knows {anchor.number}: the end was cut off"
        return [Finding(what="cut", text=text, file=len(now) + 1), *_different(claim, anchor)]
    if not anchor.number or now[anchor.number - 1] == anchor.head:
        return []
    if anchor.claim is None:
        text = f"the journal up to file {anchor.number} is not the one of {anchor.name}: it was edited or made anew"
        return [Finding(what="forked", text=text, file=anchor.number)]
    return _different(claim, anchor)


def _different(claim: Claim, anchor: Anchor) -> list[Finding]:
    """The first file that is another one, and what its entries were."""
    if anchor.claim is None:
        return []
    pairs = zip(claim.files, anchor.claim.files, links(claim.files), links(anchor.claim.files), strict=False)
    for mine, old, one, other in pairs:
        if one != other:
            tags = [[chain.tag(entry) for entry in file.whole.values()] for file in (old, mine)]
            was, now = (f" ({', '.join(sorted(set(told)))})" if told else "" for told in tags)
            text = (
                f"journal file {mine.n}{now} is not the one{was} that {anchor.name} knows: it was edited, or the "
                "journal was made anew from there"
            )
            return [Finding(what="forked", text=text, file=mine.n), *_gone(claim, anchor.claim, anchor.name)]
    return _gone(claim, anchor.claim, anchor.name)


def _gone(claim: Claim, old: Claim, name: str) -> list[Finding]:
    """Jobs of the earlier claim that the later one does not have, or has with other numbers."""
    if claim.study != old.study:
        return []
    now = {row.get("job"): row for row in claim.rows}
    found = []
    for row in old.rows:
        mine = now.get(row.get("job"))
        numbers = row.get("metrics")
        if not numbers or (mine is not None and mine.get("metrics") == numbers):
            continue
        said = ", ".join(f"{key} {value}" for key, value in list(numbers.items())[:3])
        so = "is not in this claim" if mine is None else "has other numbers in this claim"
        found.append(
            Finding(
                what="gone",
                text=f"job {row.get('job')}, seed {row.get('seed')} ({said} in {name}) {so}",
                job=row.get("job"),
                seed=row.get("seed"),
            )
        )
    return found
