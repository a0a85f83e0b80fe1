"""Results whose numbers an older rule took: read again from their run folders, once, by a journaled entry.

By rule 0 a program's metric that ended as NaN counted with an older epoch's value, by rule 1 one whose newest line has
no epoch that can be placed (jobs/metrics.py). Nothing is edited: the entry keeps what was accepted beside what the
folder says, and `orch correct --undo` gives it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from db import corrections, executions
from db.corrections import Unchecked
from db.entries import Correct, CorrectedResult
from db.store import Store
from jobs.errors import BadInput
from jobs.files import now
from jobs.layout import Layout
from jobs.metrics import RULE
from jobs.node.recount import PROGRAMS, again, newest_lines
from jobs.records import MetricLine
from orchestrator.views.words import listed, number, plural

FIRST_FEW = 5
CORRECTED, UNCHECKED = "corrected", "unchecked"
"""Remarks of a result, shown wherever its numbers are."""
GONE = "its run folder is gone, so nobody can tell whether its numbers are of its last epoch"
DOUBTFUL = (
    "its newest line of {} has no epoch and was left out, and nobody can tell whether a result file gave the number"
)


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What looking again at old results has found."""

    checked: int = 0
    corrected: Mapping[int, str] = field(default_factory=dict)
    """Job → what was wrong."""
    gone: Sequence[int] = ()
    doubtful: Sequence[int] = ()
    """Jobs of whose numbers nobody can tell which way gave them."""

    def sentences(self) -> list[str]:
        """What a person is told; nothing where all was right."""
        found = []
        if self.corrected:
            wrong = plural(len(self.corrected), "was", "were")
            told = "; ".join(f"job {job}: {text}" for job, text in list(self.corrected.items())[:FIRST_FEW])
            more = f"; and {len(self.corrected) - FIRST_FEW} more" if len(self.corrected) > FIRST_FEW else ""
            found.append(
                "an earlier orch counted an older value where the newest was not finite or had no epoch: "
                f"of {plural(self.checked, 'result')} {wrong} corrected ({told}{more}); "
                "'orch correct' lists them and 'orch correct --undo' takes that back"
            )
        if self.gone:
            found.append(
                f"{plural(len(self.gone), 'result')} could not be checked, since the run folders are gone "
                f"(job{'s' if len(self.gone) > 1 else ''} {listed(self.gone)}); the tables say so"
            )
        if self.doubtful:
            found.append(
                f"{plural(len(self.doubtful), 'result')} could not be checked, since a result file may have given what "
                "a line without an epoch names last "
                f"(job{'s' if len(self.doubtful) > 1 else ''} {listed(self.doubtful)}); the tables say so"
            )
        return found


def look_again(store: Store) -> Looked:
    """Check every result that was accepted by an older rule, once; what was wrong is corrected in one entry."""
    looked: dict[int, CorrectedResult | None] = {}
    told: dict[int, str] = {}
    gone: list[int] = []
    doubtful: list[int] = []
    newest: dict[int, list[MetricLine]] = {}
    while True:
        with store.read() as connection:
            waiting = [one for one in corrections.unchecked(connection) if one.job not in looked]
        for one in waiting:
            looked[one.job] = _look_at(store.layout, one, told, gone, doubtful)
            if one.rule == 0:  # it kept no order of lines
                newest[one.row] = newest_lines(store.layout.attempt(one.job, one.attempt) / one.execution)
        with store.write() as writer:
            left = [one for one in corrections.unchecked(writer.connection) if one.job not in looked]
            if left:
                continue  # accepted meanwhile, by an orch that does not know the rule
            wrong = tuple(one for one in looked.values() if one is not None)
            for row, lines in newest.items():
                executions.ordered(writer.connection, row, lines)
            if looked:
                writer.decide([Correct(results=wrong, rule=RULE, at=now())])
        return Looked(checked=len(looked), corrected=told, gone=gone, doubtful=doubtful)


def _look_at(
    layout: Layout, one: Unchecked, told: dict[int, str], gone: list[int], doubtful: list[int]
) -> CorrectedResult | None:
    if one.kind not in PROGRAMS or UNCHECKED in one.flags:
        return None
    found = again(layout.attempt(one.job, one.attempt) / one.execution, one.metrics, one.rule, files=one.files)
    if found is None:
        gone.append(one.job)
        return CorrectedResult(one.job, dict(one.metrics), {**one.flags, UNCHECKED: GONE})
    flags = dict(one.flags)
    if found.doubtful:
        doubtful.append(one.job)
        flags[UNCHECKED] = DOUBTFUL.format(", ".join(found.doubtful))
    if found.values != one.metrics:
        told[one.job] = difference(one.metrics, found.values)
        flags[CORRECTED] = told[one.job]
    return None if flags == one.flags else CorrectedResult(one.job, found.values, flags)


def difference(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> str:
    """'loss was 0.52, not finite at its last epoch': what a correction changes."""
    parts = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if name in before and name in after and old == new:
            continue
        was = f"was {number(old)}" if name in before else "was left out"
        parts.append(f"{name} {was}, {'not finite at its last epoch' if new is None else f'is {number(new)}'}")
    return "; ".join(parts)


def undo(store: Store, jobs: Sequence[int]) -> list[int]:
    """Give back what was accepted, of those jobs or of all that were corrected. Raises BadInput."""
    with store.write() as writer:
        there = {one.job: one for one in corrections.corrected(writer.connection)}
        for job in jobs:
            if job not in there:
                raise BadInput(f"job {job} has no corrected result: 'orch correct' lists those that have")
        chosen = [there[job] for job in (jobs or there)]
        results = tuple(
            CorrectedResult(
                one.job, dict(one.before), {name: text for name, text in one.flags.items() if name != CORRECTED}
            )
            for one in chosen
        )
        if results:
            writer.decide([Correct(results=results, at=now())])
    return [one.job for one in results]
