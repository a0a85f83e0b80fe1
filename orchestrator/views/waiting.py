"""`--wait`: progress until none of the jobs that were asked for can move without a person."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from rich.console import Console
from sqlalchemy import Connection

from db import canaries, executions, holdups, jobs, lease, registered
from db.limits import limited
from db.refusals import DiskRefuses
from db.store import Store
from jobs.kind import kind_named
from jobs.words import JobState
from orchestrator.supervision import notices
from orchestrator.supervision.standstill import STANDS_SECONDS, for_a_person
from orchestrator.supervision.starting import LOG, ensure_supervisor
from orchestrator.tables.varying import given, is_house
from orchestrator.views import restraints, waitline
from orchestrator.views.collect import varying_in
from orchestrator.views.drawing import Drawn
from orchestrator.views.tables import DataConsole
from orchestrator.views.words import listed, one_line, plural

T = TypeVar("T")
LOOK_SECONDS = 0.5
START_SECONDS = 5.0
"""How long a supervisor may take from its start to its lease."""
MOST_RESTARTS = 10
"""In a row, each found dead when it was looked for."""
DEFECT = 70
MOST_NAMED = 10
MOVING = (JobState.QUEUED, JobState.SUBMITTED, JobState.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the store says of the jobs that are waited for."""

    counts: dict[JobState, int]
    """Of the jobs that were asked for, and of those that they have spawned."""
    moving: dict[JobState, int]
    """The same, with all that they wait for: as long as one of these can move, the end is not reached."""
    reasons: dict[int, str]
    """Job → why SLURM lets it wait, or stand still."""
    in_vain: int
    """Queued ones that nothing sends before a person does something (db/holdups.py)."""
    standing: int
    """Queued ones that wait for what stands still."""
    suspended: int
    best: tuple[str, ...]
    """What the newest report says, in parts."""
    due: bool = False
    """The study's rule is about to be looked by: more seeds may follow."""

    @property
    def stuck(self) -> dict[int, str]:
        """Those that SLURM never starts by itself."""
        return {job: reason for job, reason in self.reasons.items() if for_a_person(reason)}


@dataclass(frozen=True, kw_only=True)
class Group:
    """The jobs that a command asked for, whether it made them or found them, and those that they spawn."""

    asked: tuple[int, ...]
    spawned: dict[str, int]
    """Kind of job that one of them spawns → the first that may: later ones of its study are taken for theirs."""

    @classmethod
    def of(cls, store: Store, asked: Sequence[int]) -> Group:
        spawned: dict[str, int] = {}
        with store.read() as connection:
            for job in jobs.get_many(connection, asked):
                for kind in kind_named(job.kind).spawns:
                    spawned.setdefault(kind, job.id)
        return cls(asked=tuple(asked), spawned=spawned)

    def members(self, connection: Connection) -> list[int]:
        born = [job for kind, first in self.spawned.items() for job in jobs.born_after(connection, first, kind)]
        return sorted({*self.asked, *born})


@dataclass
class Standing:
    """Since when each reason is seen, and which were said."""

    since: dict[str, float] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)

    def see(self, reasons: Sequence[str], at: float) -> None:
        """Reasons seen now; others are over."""
        self.since = {reason: self.since.get(reason, at) for reason in reasons}

    def stands(self, reason: str, at: float) -> bool:
        """Whether it has been seen for long enough to be no passing one."""
        return at - self.since.get(reason, at) >= STANDS_SECONDS


def wait(store: Store, study: str, *, quiet: bool, only: Sequence[int] | None = None) -> int:
    """0 where all succeeded or were cancelled; 1 where one failed, is blocked or is stuck (named). Ctrl-C: 130.

    `only`: the jobs that are waited for and judged; None: all of the study.
    """
    console = DataConsole(stderr=True, soft_wrap=True, markup=False, highlight=False)
    look_after = time.monotonic() + START_SECONDS
    restarts = 0
    standing = Standing()
    group = None if only is None else Group.of(store, only)
    try:
        with Drawn(console, quiet) as drawn:
            said = ""
            while True:
                look = _patiently(console, lambda: _look(store, study, group))
                counts, at = look.counts, time.monotonic()
                done = sum(counts[state] for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED))
                text = _text(look)
                drawn.show(done, sum(counts.values()), _states(look), look.best)
                if not (quiet or console.is_terminal) and text != said:
                    said = text
                    console.print(f"{done}/{sum(counts.values())}  {text}")
                moving = sum(look.moving[state] for state in MOVING) - look.in_vain + look.due
                if not moving:
                    break
                standing.see(list(look.reasons.values()), at)
                _say_reasons(console, look, standing, at, quiet=quiet)
                stuck = {job: reason for job, reason in look.stuck.items() if standing.stands(reason, at)}
                stopped = _stopped(store)
                halted = look.moving[JobState.QUEUED] - look.in_vain if stopped else 0
                behind = look.standing if len(stuck) == len(look.stuck) and not halted else 0
                if moving == len(stuck) + halted + behind:
                    if stopped and halted:
                        console.print(f"dispatch has stopped: {stopped}", style="red")
                    if stuck:
                        ids = " ".join(map(str, list(stuck)[:MOST_NAMED])) + (" …" if len(stuck) > MOST_NAMED else "")
                        console.print(f"SLURM keeps what waits: take it back with 'orch cancel {ids}'")
                    verdict(store, study, group)
                    return 1
                if at >= look_after:
                    restarts = restarts + 1 if _patiently(console, lambda: _restart_supervisor(store)) else 0
                    look_after = time.monotonic() + START_SECONDS
                    if restarts > MOST_RESTARTS:
                        console.print(f"every supervisor ends at once: see why in {store.root / LOG}", style="red")
                        return DEFECT
                time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        console.print("interrupted: the jobs go on; see them with 'orch status'")
        return 130
    return _patiently(console, lambda: verdict(store, study, group))


def _patiently(console: Console, look: Callable[[], T]) -> T:
    """What `look` finds, once the store's disk lets it: the jobs go on, and so does the wait."""
    said = False
    while True:
        try:
            return look()
        except DiskRefuses as error:
            if not said:
                console.print(f"{error} (the jobs go on, and this waits for them)", style="yellow")
                said = True
        time.sleep(LOOK_SECONDS)


def _look(store: Store, study: str, group: Group | None) -> Look:
    with store.read() as connection:
        if group is None:
            counts = moving = jobs.counts(connection, study)
            concerned = None
        else:
            mine = group.members(connection)
            concerned = jobs.with_needs(connection, mine)
            counts, moving = jobs.counts_of(connection, mine), jobs.counts_of(connection, concerned)
        held = holdups.held_up(connection)
        stands = {one.job for one in held if for_a_person(one.reason)}
        in_vain = holdups.in_vain(connection, study=None if group else study, only=concerned)
        behind = holdups.in_vain(connection, study=None if group else study, only=concerned, standing=stands) - in_vain
        best = _best(connection, study)
        due = group is None and any(one.rule.study == study for one in registered.due(connection))
    if concerned is not None:
        known = set(concerned)
        held = [one for one in held if one.job in known]
    return Look(
        counts=counts,
        moving=moving,
        reasons={one.job: one.reason for one in held},
        in_vain=in_vain,
        standing=behind,
        suspended=sum(one.phase == "suspended" for one in held),
        best=best,
        due=due,
    )


def _text(look: Look) -> str:
    """'1 running, 2 queued · job 3 epoch 7/150', whole."""
    return " · ".join([", ".join(_states(look)), *look.best])


def _states(look: Look) -> list[str]:
    """['1 running', '2 queued']; what SLURM suspended does not run."""
    counts = dict(look.counts)
    counts[JobState.RUNNING] -= min(look.suspended, counts[JobState.RUNNING])
    parts = [f"{n} {state}" for state, n in counts.items() if n]
    if look.suspended:
        parts.append(f"{look.suspended} suspended")
    return parts


def _say_reasons(console: Console, look: Look, standing: Standing, at: float, *, quiet: bool) -> None:
    """Each reason once, when it stands; quiet: only those that need a person."""
    for reason in dict.fromkeys(look.reasons.values()):
        stuck = for_a_person(reason)
        if reason in standing.said or not standing.stands(reason, at) or (quiet and not stuck):
            continue
        standing.said.add(reason)
        who = _named([job for job, other in look.reasons.items() if other == reason])
        if stuck:
            console.print(f"{who} cannot start without you: {one_line(reason)}", style="red")
        else:
            console.print(f"{who}: {one_line(reason)}")


def _named(waiting: Sequence[int]) -> str:
    return f"job {waiting[0]}" if len(waiting) == 1 else f"{plural(len(waiting), 'job')} ({listed(waiting)})"


def _best(connection: Connection, study: str) -> tuple[str, ...]:
    """The newest numbers that a running job reported, to see that it learns."""
    newest = executions.newest_report(connection, study)
    if newest is None:
        return ()
    states = [state for state in JobState if state is not JobState.CANCELLED]
    names = () if is_house(newest.kind) else varying_in(connection, study, newest.kind, states)
    latest = msgspec.json.decode(newest.latest) if newest.latest else {}
    told = given(msgspec.json.decode(newest.config))
    return tuple(waitline.report(newest.job, newest.kind, newest.epoch, newest.epochs, latest, told, names))


def _stopped(store: Store) -> str:
    found = notices.read(store)
    return found.halted() if found else ""


def _restart_supervisor(store: Store) -> bool:
    """Start a supervisor where the last one died under us; True where that was so."""
    with store.read() as connection:
        holder = lease.holder(connection)
    return (holder is None or not holder.alive()) and ensure_supervisor(store)


def verdict(store: Store, study: str | None, group: Group | None = None) -> int:
    """Name what failed or is blocked: 1, else 0. `study` None: in all studies; `group`: of these jobs alone."""
    console = DataConsole(stderr=True, soft_wrap=True, markup=False, highlight=False)
    with store.read() as connection:
        if group is None:
            failed = [job for job in jobs.select(connection, study=study, states=[JobState.FAILED]) if not job.imported]
            blocked = jobs.blocked(connection, study)
        else:
            mine = set(group.members(connection))
            failed = [job for job in jobs.get_many(connection, sorted(mine)) if job.state is JobState.FAILED]
            blocked = {job: roots for job, roots in jobs.blocked(connection).items() if job in mine}
        flocks = [one for one in canaries.opened(connection, study) if one.failed]
        stops = [one for one in limited(connection, study) if one.stopped]
        vain = holdups.in_vain(connection, study=study, only=None if group is None else sorted(mine))
    for job in failed[:MOST_NAMED]:
        console.print(f"job {job.id} ({job.kind}, seed {job.seed}) failed: {job.error or job.cause}", style="red")
    if len(failed) > MOST_NAMED:
        console.print(f"… and {len(failed) - MOST_NAMED} more failed: orch status", style="red")
    for canary in flocks:
        many = [job for job, roots in blocked.items() if roots == [canary.job]]
        if many:
            console.print(restraints.flock_verdict(canary, len(many)), style="red")
            blocked = {job: roots for job, roots in blocked.items() if job not in many}
    if vain:
        for limits in stops:
            console.print(f"{restraints.of_study(limits)}; {restraints.how_on(limits)}", style="red")
    if blocked:
        first, roots = next(iter(blocked.items()))
        console.print(f"{len(blocked)} jobs are blocked, job {first} behind job {roots[0]}", style="red")
    return 1 if failed or blocked or vain else 0
