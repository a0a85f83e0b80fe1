"""What is known of resuming, said of a study, of a job and under a table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from db.seals import ANYWAY, VERIFIED, WRONG, Standing

NOT_REHEARSED = "not rehearsed"


def key(known: Standing | None) -> str:
    """`bit-identical`, `bit-identical, in part`, `wrong after resuming, with other arguments`, `not rehearsed`."""
    if known is None:
        return NOT_REHEARSED
    verdict = known.seal.verdict
    return graded(verdict, known.seal.whole) if known.own else f"{verdict}, with other arguments"


def graded(verdict: str, whole: bool) -> str:
    """A verdict; a good one says where it does not stand on a whole rehearsal."""
    return f"{verdict}, in part" if verdict in VERIFIED and not whole else verdict


def word(key: str) -> str:
    """Such a key as a footnote says it."""
    return f"resume verified: {key}" if key.partition(",")[0] in VERIFIED else key


def counted(found: Iterable[tuple[Standing | None, int]]) -> dict[str, int]:
    """Key → how many jobs."""
    counts: dict[str, int] = {}
    for known, count in found:
        counts[key(known)] = counts.get(key(known), 0) + count
    return counts


def line(counts: Mapping[str, int]) -> str:
    """`resume verified: bit-identical (12), not rehearsed (3)`; empty where nothing was ever rehearsed."""
    return ", ".join(f"{word(one)} ({count})" for one, count in sorted(counts.items()))


def basis(tried: Mapping[str, int], untried: Sequence[str]) -> str:
    """`tried: kill (5), term; not tried: write`: what a verdict stands on."""
    if not tried and not untried:
        return "what was tried was not kept"
    runs = [name + (f" ({many})" if many > 1 else "") for name, many in tried.items()]
    told = [f"tried: {', '.join(runs)}"] if runs else []
    return "; ".join([*told, *([f"not tried: {', '.join(untried)}"] if untried else [])])


def footnote(known: Standing | None) -> str:
    """What a table says of jobs; with what it stands on where that is not everything."""
    told = word(key(known))
    if known is None or not known.own or known.seal.whole or known.seal.verdict not in VERIFIED:
        return told
    return f"{told} ({basis(known.seal.tried, known.seal.untried)})"


def of_job(known: Standing | None, resume: object) -> str:
    """Of one job, with what follows from it."""
    if known is None:
        return NOT_REHEARSED
    seal = known.seal
    told = f"{word(key(known))} (rehearsed {seal.at:%Y-%m-%d}; {basis(seal.tried, seal.untried)})"
    told += f": {seal.reason}" if seal.reason else ""
    if seal.verdict == WRONG:
        goes_on = "it goes on from its checkpoints all the same" if resume == ANYWAY else "each execution begins anew"
        told += f"; {goes_on}"
    return told
