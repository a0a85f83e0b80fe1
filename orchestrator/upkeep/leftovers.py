"""What a mirror holds beyond its last complete round, and what of the old store still runs somewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from db import checks, cleaning
from db.attempts import StoredAttempt, keys
from db.entries import Ended
from db.store import Store
from jobs.files import names, read_json
from jobs.layout import Layout
from jobs.records import Manifest, Outcome
from jobs.words import BackendName, Cause, JobState
from slurm.local.record import LocalRecord, record_path


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """What the round's journal does not tell of."""

    paths: tuple[str, ...] = ()
    """Folders below the store's, under their new names."""
    attempts: dict[int, int]
    """Known job → the highest number of an attempt that was seen."""
    jobs: int = 0
    """The highest id of a job that was seen."""
    tokens: frozenset[str] = frozenset()


def set_aside(layout: Layout, told: Store, stamp: str) -> Leftovers:
    """Rename the folders of jobs, attempts and submissions that the journal does not tell of. Raises OSError."""
    with told.read() as connection:
        jobs, attempts, tokens = checks.jobs(connection), keys(connection), cleaning.tokens(connection)
    aside, seen, unknown = [], dict[int, int](), set[str]()
    there = layout.jobs()
    for job in there:
        if job not in jobs:
            aside.append(layout.job(job))
            continue
        for number in layout.attempts(job):
            if (job, number) not in attempts:
                seen[job] = max(seen.get(job, 0), number)
                aside.append(layout.attempt(job, number))
    for token in names(layout.submissions):
        if token in tokens or not layout.submission(token).is_dir():
            continue
        unknown.add(token)
        manifest = read_json(layout.manifest(token), Manifest)
        for task in manifest.tasks if manifest is not None else ():
            if task.job in jobs:
                seen[task.job] = max(seen.get(task.job, 0), task.attempt)
        aside.append(layout.submission(token))
    moved = [path.rename(path.with_name(f"{path.name}.aside-{stamp}")) for path in aside]
    return Leftovers(
        paths=tuple(path.relative_to(layout.root).as_posix() for path in moved),
        attempts=seen,
        jobs=max(there, default=0),
        tokens=frozenset(unknown),
    )


def ended(
    layout: Layout,
    live: Sequence[StoredAttempt],
    left: Leftovers,
    *,
    same: bool,
    slurm: bool,
    source: str,
    at: datetime,
) -> list[Ended]:
    """The attempts that lived at the round and cannot go on here: their jobs run again, from their checkpoints.

    One that had succeeded is left to the supervisor. `same`: the new store lies where the old one did, so what SLURM
    (`slurm`: it is here), or this very host, still runs of it writes into the new one, and is found by its token.
    """
    gone = []
    for one in live:
        record = read_json(record_path(layout.submission(one.token)), LocalRecord)
        here = one.backend == BackendName.SLURM or record is None or record.is_here
        followed = left.attempts.get(one.job, 0) > one.number
        if _succeeded(layout, one) or (same and here and not followed):
            continue
        gone.append(
            Ended(
                job=one.job,
                attempt=one.number,
                cause=Cause.NODE_FAILURE,
                then=JobState.QUEUED.value,
                evidence=(f"the store that it wrote into is lost; this one was rebuilt from {source}",),
                decision="the store was rebuilt from its mirror: queued again",
                node=one.node,
                checkpoint_step=one.checkpoint_step,
                launched=slurm or one.backend == BackendName.LOCAL,
                at=at,
            )
        )
    return gone


def _succeeded(layout: Layout, attempt: StoredAttempt) -> bool:
    found = (read_json(path / "outcome.json", Outcome) for path in layout.executions(attempt.job, attempt.number))
    return any(one is not None and one.ending == "success" for one in found)
