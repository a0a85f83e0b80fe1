"""Step 1, resolve: submissions whose launch is unclear are looked up by their token.

Found: adopted. Not found by two good queries a minute apart: the launch never happened, and the jobs are queued again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from db import attempts
from db.attempts import StoredAttempt
from db.entries import Ended, Entry
from db.store import Store
from db.submissions import Intent, any_unended, launched, missed, never_ran, open_intents, slot_of
from jobs.errors import StoreError
from jobs.files import names, read_json, write_bytes
from jobs.layout import Layout
from jobs.records import Manifest, Started
from jobs.words import AttemptState, BackendName, Cause, JobState
from orchestrator.supervision.backends import Backends
from orchestrator.supervision.cycle import Cycle
from orchestrator.supervision.launches import Launches
from orchestrator.supervision.tenure import Tenure
from slurm.backend import Backend, Batch, ObservationFailed, QueuedJob, Submission

SPAWN_SECONDS = 5.0
"""From the look at the lease to the begin of a launch: who takes longer finds its launch given up by a mark."""
MISSES_NEEDED = 2
MISS_SPACING = timedelta(seconds=60)
"""A launch is believed not to have happened after two good queries this far apart."""


def resolve(
    tenure: Tenure, backends: Backends, launches: Launches, observe: Sequence[BackendName], cycle: Cycle
) -> list[StoredAttempt]:
    """Find out what became of unclear launches; the attempts that live afterwards."""
    with tenure.store.read() as connection:
        live = tenure.live(connection)
        intents = open_intents(connection)
    if not intents:
        return live
    for name in {BackendName(intent.backend) for intent in intents} & set(observe):
        with backends.asking(name, cycle) as backend:
            mine = [intent for intent in intents if intent.backend == name]
            countable = {intent.token for intent in mine if launch_is_over(intent, launches, tenure, backend)}
            cycle.changed |= _resolve(tenure, backend, mine, countable)
    with tenure.store.read() as connection:
        return tenure.live(connection)


def launch_is_over(intent: Intent, launches: Launches, tenure: Tenure, backend: Backend) -> bool:
    """Whether its launch cannot happen any more, so that a query which does not find it says something.

    Ours: where we saw its end. An earlier supervisor's: once every launch that it can have begun has met its limit.
    """
    if launches.is_open(intent.token):
        return False
    if launches.is_over(intent.token):
        return True
    return backend.launch_seconds == 0 or tenure.age() >= backend.launch_seconds + SPAWN_SECONDS


def is_gone(intent: Intent, at: datetime) -> bool:
    """Whether a further good query that does not find it proves that it was never launched. Pure."""
    if intent.backend == BackendName.LOCAL:  # a spawn is there at once, or never
        return True
    spaced = intent.missed_at is not None and at - intent.missed_at >= MISS_SPACING
    return intent.misses + 1 >= MISSES_NEEDED and spaced


def _resolve(tenure: Tenure, backend: Backend, intents: Sequence[Intent], countable: Collection[str]) -> bool:
    """True where anything became clear; `countable`: whose launch is over. Raises ObservationFailed."""
    layout = tenure.store.layout
    try:
        submissions = {intent.token: _read_submission(tenure.store, intent.token) for intent in intents}
        ids = {token: _id_by_files(layout, submission) for token, submission in submissions.items()}
    except OSError as error:
        raise ObservationFailed(f"the store's files cannot be read now: {error}") from None
    found = backend.find([submission for submission in submissions.values() if submission is not None])
    at = tenure.clock.now()
    gone = []
    with tenure.write() as writer:
        for intent in intents:
            native = found.get(intent.token) or ids[intent.token]
            if native is not None:
                if any_unended(writer.connection, intent.token):
                    layout.given_up(intent.token).unlink(missing_ok=True)  # by one that died before it said so
                launched(writer.connection, intent.token, native)
                continue
            if intent.token not in countable:
                continue
            missed(writer.connection, intent.token, at)
            if is_gone(intent, at):
                gone.append(intent.token)
        if gone:
            _give_up(layout, gone)
            writer.decide(_never_launched(writer.connection, gone, at))
            never_ran(writer.connection, gone)
    return bool(found or any(ids.values()) or gone)


def _read_submission(store: Store, token: str) -> Submission | None:
    manifest = read_json(store.layout.manifest(token), Manifest)
    if manifest is None or manifest.token != token or not manifest.tasks:
        names(store.layout.submission(token))  # raises where the folder does not answer, rather than being empty
        return None
    with store.read() as connection:
        slot = slot_of(connection, token)
    batch = Batch(
        jobs=tuple(QueuedJob(job=task.job, resources=task.resources) for task in manifest.tasks),
        slot=slot,
        bundle=manifest.bundle,
        at_once=manifest.at_once,
    )
    return Submission(token=token, folder=Path(store.layout.submission(token)), manifest=manifest, batch=batch)


def _id_by_files(layout: Layout, submission: Submission | None) -> str | None:
    """SLURM's id as a worker of that submission wrote it down: the queue forgets, and the records may be off."""
    for task in submission.manifest.tasks if submission is not None else ():
        for path in layout.executions(task.job, task.attempt):
            started = read_json(path / "started.json", Started)
            if started is not None and started.slurm_job is not None:
                return started.slurm_job.partition("_")[0]
    return None


def _give_up(layout: Layout, tokens: Sequence[str]) -> None:
    """Should one of them start after all (sbatch was slow, or a stalled supervisor called it), it ends at once."""
    for token in tokens:
        path = layout.given_up(token)
        try:
            write_bytes(path, b"")
        except FileNotFoundError:
            continue  # without its folder it cannot run either
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}; make room or mend the folder") from None


def _never_launched(connection: Connection, tokens: Sequence[str], at: datetime) -> list[Entry]:
    lost = set(tokens)
    return [
        Ended(
            job=attempt.job,
            attempt=attempt.number,
            cause=Cause.CANCELLED,
            then=JobState.QUEUED.value,
            decision="the launch never happened (looked up by its token): queued again",
            launched=False,
            at=at,
        )
        for attempt in attempts.live(connection)
        if attempt.token in lost and attempt.state is not AttemptState.ENDED
    ]
