"""Changes of mind about jobs that exist: cancel, retry, other terms, results taken out of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection

from db import canaries, columns, jobs
from db.bunches import ids
from db.changes import Change
from db.entries import Cancel, Drop, Entry, Keep, Retry, Set
from db.jobs import StoredJob
from db.store import Store
from jobs.errors import BadInput
from jobs.files import now
from jobs.records import Code
from jobs.words import FINAL, JobState
from orchestrator.code.snapshots import holding
from orchestrator.jobids import ranges
from orchestrator.settings import Settings
from orchestrator.submitting import known, program, reporting
from orchestrator.submitting.newterms import Given, check_environment, checked, give
from orchestrator.supervision.machines import choose
from orchestrator.tables.filters import select

LONGEST_REASON = 500
_PAST = {"cancel": "cancelled", "retry": "retried", "set": "changed", "drop": "dropped", "keep": "kept"}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which jobs a command means: ids, all of a study in certain states, or those that filters keep."""

    ids: Sequence[int] = ()
    study: str | None = None
    every: bool = False
    states: Sequence[JobState] = ()
    filters: Sequence[str] = ()


def chosen(
    connection: Connection,
    selection: Selection,
    allowed: Sequence[JobState],
    verb: str,
    hints: Mapping[JobState, str] | None = None,
) -> list[StoredJob]:
    """The jobs meant. Raises BadInput for an unknown id, or one in a state that the verb does not fit.

    With filters, jobs in other states are passed over. `hints`: state → what to do instead.
    """
    wanted = _wanted(connection, selection, verb)
    if selection.ids:
        found = [jobs.get(connection, job) for job in dict.fromkeys(selection.ids)]
        for job in found:
            if job.state not in allowed and wanted is None:
                hint = (hints or {}).get(job.state, f"only {', '.join(allowed)} jobs can be {_PAST[verb]}")
                raise BadInput(f"job {job.id} is {job.state}: {hint}")
        found = [job for job in found if job.state in allowed]
    else:
        states = allowed if selection.filters else selection.states or allowed
        found = jobs.select(connection, study=selection.study, states=states)
    return [job for job in found if wanted is None or job.id in wanted]


def chosen_ids(connection: Connection, selection: Selection, allowed: Sequence[JobState], verb: str) -> list[int]:
    """The same, where only their ids are asked for."""
    if selection.ids:
        return [job.id for job in chosen(connection, selection, allowed, verb)]
    wanted = _wanted(connection, selection, verb)
    states = allowed if selection.filters else selection.states or allowed
    return [job for job in jobs.ids(connection, selection.study, states) if wanted is None or job in wanted]


def _wanted(connection: Connection, selection: Selection, verb: str) -> set[int] | None:
    """The jobs that the filters keep; None without any. Raises BadInput where nobody says which jobs are meant."""
    if selection.ids and selection.every:
        raise BadInput(f"give job ids or --all to {verb}, not both")
    if not selection.ids and not selection.every and not selection.filters:
        raise BadInput(f"name the jobs to {verb} by id, or use --filter or --all")
    if not selection.filters:
        return None
    rows = columns.bunches(connection, selection.study or "", cancelled=True, dropped=True)
    return set(ids(select(rows, selection.filters)))


def _looked(store: Store, selection: Selection, allowed: Sequence[JobState], verb: str) -> Mapping[int, known.Written]:
    return known.look(store, lambda connection: chosen_ids(connection, selection, allowed, verb))


def cancel(store: Store, selection: Selection) -> list[int]:
    """Cancel jobs that have not ended: at once in the store; the machines follow. The ids."""
    allowed = [state for state in JobState if state not in FINAL]
    looked = _looked(store, selection, allowed, "cancel")
    with store.write() as writer:
        found = chosen_ids(writer.connection, selection, allowed, "cancel")
        if found:
            writer.decide([Cancel(jobs=tuple(found), known=known.of(writer, found, looked), at=now())])
    return found


@dataclass(frozen=True, kw_only=True)
class Again:
    """How `orch retry` runs jobs again."""

    resume: bool = False
    succeeded: bool = False
    """Finished jobs too: their results are superseded at once."""
    with_dependents: bool = False
    same_code: bool = False
    change: Change = field(default_factory=Change)


def retry(store: Store, settings: Settings, selection: Selection, again: Again) -> list[int]:
    """Begin the next generation of failed or cancelled jobs, or of finished ones. The ids. Raises BadInput.

    A program's code is taken as it is now, since one retries after a fix.
    """
    allowed = [JobState.FAILED, JobState.CANCELLED]
    hints = {JobState.SUCCEEDED: "'orch retry --succeeded' runs a finished job anew, and takes its number out at once"}
    if again.succeeded:
        allowed.append(JobState.SUCCEEDED)
    if again.change.backend is not None:
        choose(again.change.backend)
    with store.read() as connection:
        found = chosen(connection, selection, allowed, "retry", hints)
        found = _with_dependents(connection, selection, found, again)
    if not found:
        return []
    with holding(store.layout.code):  # a snapshot that is about to be named is not removed
        changes = _changes(store, settings, found, again)
        reporting.check_change(again.change, found)
        check_environment(again.change, found)
        siblings = _siblings(store, changes)
        with store.write() as writer:
            entries: list[Entry] = []
            begun: list[int] = []
            for change, these in changes:
                ids = tuple(
                    job.id for job in jobs.get_many(writer.connection, these) if job.state in allowed
                )  # somebody may have been quicker
                if ids:
                    entries.append(
                        Retry(
                            jobs=ids,
                            resume=again.resume,
                            succeeded=again.succeeded,
                            change=change,
                            known=known.of(writer, ids, {}),
                            at=now(),
                        )
                    )
                    begun += ids
            entries += [
                Set(jobs=ids, change=Change(code=code), in_place=True, at=now())
                for code, these in siblings
                if (ids := tuple(job for job in canaries.waited_for(writer.connection, these)))
            ]
            writer.decide(entries)
            if again.change != Change():  # what waits for a canary never ran: it is run as the canary is from now on
                give(
                    writer,
                    jobs.get_many(writer.connection, canaries.behind(writer.connection, begun)),
                    again.change,
                    now(),
                    {},
                )
    return sorted(begun)


def _siblings(store: Store, changes: Sequence[tuple[Change | None, list[int]]]) -> list[tuple[Code, list[int]]]:
    """(code, job ids): what waits for a canary whose code is renewed never ran, so it takes that code too."""
    found = []
    with store.read() as connection:
        for change, these in changes:
            if change is not None and change.code is not None:
                waiting = jobs.get_many(connection, canaries.behind(connection, these))
                kept = [job.id for job in waiting if job.launching.code is not None and job.launching.code.snapshot]
                found.append((change.code, kept))
    return found


def _with_dependents(
    connection: Connection, selection: Selection, found: list[StoredJob], again: Again
) -> list[StoredJob]:
    if selection.ids and (elsewhere := next((job for job in found if job.imported), None)):
        what = "failed elsewhere" if elsewhere.state is JobState.FAILED else "ran elsewhere ('orch drop' takes it out)"
        raise BadInput(f"job {elsewhere.id} was imported and {what}: submit it here to run it")
    found = [job for job in found if not job.imported]
    if not again.with_dependents:
        return found
    known = {job.id: job for job in found}
    waiting = list(known)
    while waiting:
        for job in jobs.get_many(connection, jobs.dependents_of(connection, waiting.pop())):
            if job.id not in known and job.state in FINAL and (again.succeeded or job.state is not JobState.SUCCEEDED):
                known[job.id] = job
                waiting.append(job.id)
    return [known[job] for job in sorted(known)]


def _changes(
    store: Store, settings: Settings, found: Sequence[StoredJob], again: Again
) -> list[tuple[Change | None, list[int]]]:
    """(what changes, job ids): one group per program and folder, whose code is taken once."""
    groups: dict[tuple[bytes, tuple[str, ...]], list[StoredJob]] = {}
    changes: dict[int, Change] = {}
    alike: dict[tuple[Any, ...], tuple[Change, bytes]] = {}  # many jobs are launched alike, by the very same object
    for job in found:
        code = job.launching.code
        name = id(job.launching), job.kind, job.preset, job.memory_mb
        if name not in alike:
            change = checked(job, again.change)
            alike[name] = change, msgspec.json.encode(change)
        mine, told = alike[name]
        changes[job.id] = mine
        renew = code is not None and bool(code.snapshot or code.package) and not again.same_code
        key: tuple[str, ...] = ()
        if renew:
            is_program = job.kind == program.KIND
            key = (str(job.config.get("folder", "")), str(job.config["argv"][0])) if is_program else (job.kind,)
        groups.setdefault((told, key), []).append(job)
    made = []
    for (_, key), these in groups.items():
        change = changes[these[0].id]
        if key:
            change = msgspec.structs.replace(change, code=program.code_now(store, settings, these[0]))
        made.append((change if change != Change() else None, [job.id for job in these]))
    return made


def set_terms(store: Store, selection: Selection, change: Change, *, at_once: bool = False) -> Given:
    """Change how jobs are run, from their next attempt on; `at_once`: those that run are stopped. Raises BadInput."""
    if change == Change():
        raise BadInput("say what to change: --time, --mem, --cpus, --gpus, --partition, … (see 'orch set --help')")
    allowed = [state for state in JobState if state not in FINAL]
    hints = {
        JobState.SUCCEEDED: "what is finished is not run again ('orch retry --succeeded' takes the same options)",
        JobState.FAILED: "'orch retry' takes the same options",
        JobState.CANCELLED: "'orch retry' takes the same options",
    }
    looked = _looked(store, selection, allowed, "set")
    with store.write() as writer:
        found = chosen(writer.connection, selection, allowed, "set", hints)
        return give(writer, found, change, now(), looked, at_once=at_once)


def drop(store: Store, selection: Selection, because: str) -> dict[int, str | None]:
    """Take jobs out of every table, plot and statistic; they stay shown. Raises BadInput.

    Job → the reason for which it was dropped before; None where it was not.
    """
    reason = because.strip()
    if not reason or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise BadInput(f"--because takes a reason of one line, up to {LONGEST_REASON} characters")
    looked = _looked(store, selection, _shown(), "drop")
    with store.write() as writer:
        found = chosen(writer.connection, selection, _shown(), "drop")
        if found:
            ids = tuple(job.id for job in found)
            writer.decide([Drop(jobs=ids, because=reason, known=known.of(writer, ids, looked), at=now())])
    return {job.id: job.dropped for job in found}


def keep(store: Store, selection: Selection) -> list[int]:
    """Take a drop back. The ids. Raises BadInput for a job that was not dropped."""
    looked = _looked(store, selection, list(JobState), "keep")
    with store.write() as writer:
        found = chosen(writer.connection, selection, list(JobState), "keep")
        wrong = [job.id for job in found if job.dropped is None]
        if wrong and selection.ids:
            several = len(wrong) > 1
            raise BadInput(
                f"job{'s' * several} {ranges(wrong)} {'were' if several else 'was'} not dropped: "
                f"{'they count' if several else 'it counts'} already"
            )
        found = [job for job in found if job.dropped is not None]
        if found:
            ids = tuple(job.id for job in found)
            writer.decide([Keep(jobs=ids, known=known.of(writer, ids, looked), at=now())])
    return [job.id for job in found]


def _shown() -> list[JobState]:
    return [state for state in JobState if state is not JobState.CANCELLED]
