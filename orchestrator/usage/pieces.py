"""What the time of a job's executions was good for: each is one piece of one class, or two. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from db.usage import History, Run, Try
from jobs.words import Cause, JobState
from orchestrator.usage import spans
from orchestrator.usage.chain import Link, furthest, links
from orchestrator.usage.spans import Spent

REQUEUED = "requeued"
"""Where a cause stands: SLURM took it away and began it again, and left no outcome."""


class Use(StrEnum):
    """What time was good for. The order is that of the table."""

    USEFUL = "useful"
    """Some result rests on it."""
    OPEN = "open"
    """Of jobs that go on: a result may come to rest on it."""
    REPEATED = "repeated"
    """After the last checkpoint before a failure: it was, or will be, done again."""
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    """Another execution's result counts, or a later generation's."""
    DROPPED = "dropped"
    UNKNOWN = "unknown"
    """Useful or repeated: it does not tell when its checkpoints were."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """An execution's time, or a part of it."""

    run: tuple[int, int, str]
    """Job, attempt, name."""
    use: Use
    cause: str
    """Why it was repeated or failed; empty of the others."""
    spent: Spent


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """An execution that is in no class, for its times cannot be."""

    run: tuple[int, int, str]
    why: str


@dataclass(frozen=True)
class _Ran:
    attempt: Try
    run: Run
    following: Run | None
    """The next one of its attempt."""

    @property
    def over(self) -> bool:
        return spans.ended(self.run, self.attempt, self.following)

    @property
    def cause(self) -> str:
        """Why it ended: as its attempt did, or as its outcome says."""
        last = self.attempt.cause
        if self.following is None and last is not None and last is not Cause.SUCCESS:
            return str(last)
        return str(self.run.cause or REQUEUED)


def pieces(history: History, now: datetime) -> Iterator[Piece | LeftOut]:
    """Of all executions of a job."""
    ran = [
        _Ran(attempt, run, attempt.runs[place + 1] if place + 1 < len(attempt.runs) else None)
        for attempt in history.tries
        for place, run in enumerate(attempt.runs)
    ]
    chain = _chain(history, ran)
    for place, one in enumerate(ran):
        name = (history.job, one.attempt.number, one.run.name)
        end = spans.until(one.run, one.attempt, one.following, now)
        if why := spans.absurd(one.run, one.attempt, end, now):
            yield LeftOut(run=name, why=why)
            continue
        spent = spans.spent(one.run, one.attempt, end)
        before = spans.kept(one.run, one.attempt, end)
        for use, cause, part in _split(history, one, chain.get(place), spent, before):
            yield Piece(run=name, use=use, cause=cause, spent=part)


def _chain(history: History, ran: Sequence[_Ran]) -> dict[int, Link]:
    """What was kept of those executions that the accepted one, or the next one, goes on from."""
    runs = [one.run for one in ran]
    if history.state in (JobState.FAILED, JobState.CANCELLED):
        return {}
    if history.state is JobState.SUCCEEDED:
        for place, run in enumerate(runs):
            if run.accepted:
                return links(runs[:place], None if run.usage is None else run.usage.resumed_step)
        return {}
    if ran and not ran[-1].over and ran[-1].run.ready and (usage := ran[-1].run.usage) is not None:
        return links(runs[:-1], usage.resumed_step)
    # Whoever goes on takes the newest checkpoint of its generation.
    own = [furthest(one.run) for one in ran if one.attempt.generation == history.generation]
    return links(runs, max(own, default=-1))


def _split(
    history: History, one: _Ran, link: Link | None, spent: Spent, before: Spent | None
) -> list[tuple[Use, str, Spent]]:
    """An execution's time by class: all of it in one, or what it had kept in one and the rest in another."""
    whole = _whole(history, one, link)
    if whole is not None:
        return [(*whole, spent)]
    good = Use.USEFUL if history.state is JobState.SUCCEEDED else Use.OPEN
    lost = (Use.REPEATED, one.cause)
    if link is None:
        return [(*lost, spent)]
    if link is Link.UNKNOWN or before is None:
        return [(Use.UNKNOWN, "", spent)]
    rest = spent.less(before)
    if link is Link.MORE:
        return [(good, "", before), (Use.UNKNOWN, "", rest)]
    return [(good if link is Link.WHOLE else Use.UNKNOWN, "", before), (*lost, rest)]


def _whole(history: History, one: _Ran, link: Link | None) -> tuple[Use, str] | None:
    """The one class of an execution; None where its checkpoints decide."""
    run, generation = one.run, one.attempt.generation
    if run.superseded or (run.cause is Cause.SUCCESS and not run.accepted and generation not in history.earlier):
        return Use.SUPERSEDED, ""
    if generation < history.generation and link is None:
        return _earlier(history, generation)
    if history.dropped:
        return Use.DROPPED, ""
    if history.state is JobState.CANCELLED:
        return Use.CANCELLED, ""
    if history.state is JobState.FAILED:
        return Use.FAILED, str(history.cause or one.cause)
    if run.accepted:
        return Use.USEFUL, ""
    if not one.over:
        return (Use.SUPERSEDED if history.state is JobState.SUCCEEDED else Use.OPEN), ""
    return None


def _earlier(history: History, generation: int) -> tuple[Use, str]:
    """Of a generation that a person had run anew."""
    if generation in history.earlier:
        return Use.SUPERSEDED, ""
    last = [one for one in history.tries if one.generation == generation][-1]
    if last.cause is Cause.CANCELLED:
        return Use.CANCELLED, ""
    return Use.FAILED, str(last.cause or Cause.LOST)
