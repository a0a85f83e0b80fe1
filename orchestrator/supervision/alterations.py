"""Step 6, alter: what waits in SLURM gets its job's changed terms where it stands, or is taken back and sent again.

The queue is looked at before and after: what it shows is what an entry of the journal says. So one that died between
the change and its entry is found out by its successor, even where the task has begun meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from db import alterations, attempts
from db.attempts import StoredAttempt
from db.changes import Altered
from db.entries import Ended, Entry
from jobs.errors import StoreError
from jobs.files import append_json, read_json
from jobs.records import Manifest, QueueChange
from jobs.resources import InQueue
from jobs.words import AttemptState, BackendName, Cause, JobState
from orchestrator.supervision.alterable import STEP, difference, nice
from orchestrator.supervision.backends import Backends
from orchestrator.supervision.cycle import Cycle
from orchestrator.supervision.handover import live_attempt
from orchestrator.supervision.tenure import Tenure
from slurm.backend import AttemptKey, Backend, Phase, Standing

SENT_AGAIN = "taken back: it is sent again under other terms"
STOPPED = "stopped by 'orch set --now': it goes on under other terms"
_ON_A_NODE = (Phase.RUNNING, Phase.SUSPENDED, Phase.COMPLETING)


@dataclass(frozen=True, kw_only=True)
class Due:
    """An attempt that has not what its job is to have. `change` None: it must be sent again."""

    attempt: StoredAttempt
    change: InQueue | None
    nice: int | None
    """None: it has the right one."""

    @property
    def key(self) -> AttemptKey:
        return self.attempt.job, self.attempt.number

    @property
    def other_terms(self) -> bool:
        return self.attempt.launch not in (None, self.attempt.job_launch)

    def wanted(self) -> InQueue:
        """What the queue should show."""
        given = self.change.given() if self.change is not None else {}
        return InQueue(**{**given, **({"nice": self.nice} if self.nice is not None else {})})  # type: ignore[arg-type]


class Alterations:
    """Remembers what it looked at, or could not change, so that it asks only where something is new."""

    def __init__(self, tenure: Tenure, backends: Backends) -> None:
        self._tenure = tenure
        self._backends = backends
        self._seen_running: set[tuple[int, int | None, int]] = set()
        self._left: set[tuple[int, int]] = set()
        """(attempt, nice) that the queue did not take."""

    def carry_out(self, observe: Sequence[BackendName], cycle: Cycle) -> None:
        """Stop what is to be stopped; change, or take back, what waits under other terms."""
        with self._tenure.store.read() as connection:
            found = alterations.due(connection, alterations.level(connection), STEP)
        found = [one for one in found if BackendName(one.backend) in observe]
        stops = [one for one in found if one.recall and _runs(one)]
        self._recall(stops, STOPPED, cycle)
        rest = [one for one in found if one.backend == BackendName.SLURM and one not in stops]
        due = [one for one in self._compared(rest) if one.other_terms or one.nice is not None]
        if not due:
            return
        again = [one.attempt for one in due if one.change is None and one.attempt.native_id is None]
        self._recall(again, SENT_AGAIN, cycle)
        there = [one for one in due if one.attempt.native_id is not None and not self._is_known(one)]
        if there:
            with self._backends.asking(BackendName.SLURM, cycle) as backend:
                self._alter(backend, there, cycle)

    def _compared(self, found: Sequence[StoredAttempt]) -> list[Due]:
        if not found:
            return []
        with self._tenure.store.read() as connection:
            level = alterations.level(connection)
            launches = alterations.launchings(
                connection, {row for one in found for row in (one.launch, one.job_launch) if row}
            )
        manifests: dict[str, Manifest | None] = {}
        made = []
        for one in found:
            after = launches[one.job_launch]
            change: InQueue | None = InQueue()
            if one.launch not in (None, one.job_launch):
                if one.token not in manifests:
                    manifests[one.token] = read_json(self._tenure.store.layout.manifest(one.token), Manifest)
                sent = _options(manifests[one.token], one)
                change = difference(launches[one.launch or 0], after, sent) if sent is not None else None
                # what a task of many asks for is not one's alone to change
                change = None if one.bundle else change
            wanted = nice(after.options, one.priority, level)
            waits = one.state is AttemptState.SUBMITTED
            different = waits and not one.bundle and wanted != one.nice and (one.id, wanted) not in self._left
            made.append(Due(attempt=one, change=change, nice=wanted if different else None))
        return made

    def _is_known(self, one: Due) -> bool:
        """Whether it runs, and it was looked at what it has of its new terms."""
        return _runs(one.attempt) and (one.attempt.id, one.attempt.launch, one.attempt.job_launch) in self._seen_running

    def _alter(self, backend: Backend, due: Sequence[Due], cycle: Cycle) -> None:
        """Raises ObservationFailed."""
        before = backend.standing([live_attempt(one.attempt) for one in due])
        asked = [
            one
            for one in due
            if one.change is not None
            and (now := before.get(one.key)) is not None
            and now.waits
            and not now.terms.shows(one.wanted())
        ]
        after: dict[AttemptKey, Standing] = {}
        if asked:
            backend.alter([(live_attempt(one.attempt), one.wanted()) for one in asked])
            after = backend.standing([live_attempt(one.attempt) for one in asked])
        self._write(due, {**before, **after}, {one.key for one in asked}, cycle)

    def _write(
        self, due: Sequence[Due], standing: dict[AttemptKey, Standing], asked: set[AttemptKey], cycle: Cycle
    ) -> None:
        again: list[StoredAttempt] = []
        done: list[tuple[Due, InQueue, bool]] = []
        for one in due:
            now = standing.get(one.key)
            if now is None:
                continue  # it is over: whoever ends it says so
            if one.change is not None and now.terms.shows(one.wanted()):
                done.append((one, one.wanted(), True))
            elif not now.waits:
                self._seen_running.add((one.attempt.id, one.attempt.launch, one.attempt.job_launch))
                has = now.terms.given()
                part = {name: value for name, value in one.wanted().given().items() if has.get(name) == value}
                if part:
                    done.append((one, InQueue(**part), False))  # type: ignore[arg-type]
            elif one.other_terms and (one.change is None or one.key in asked):
                again.append(one.attempt)
            elif one.nice is not None and one.key in asked:
                self._left.add((one.attempt.id, one.nice))
        self._recall(again, SENT_AGAIN, cycle)
        self._alter_in_store(done, cycle)

    def _alter_in_store(self, done: Sequence[tuple[Due, InQueue, bool]], cycle: Cycle) -> None:
        """What the queue was seen to have: for the workers, which may begin at any moment, then in the journal."""
        if not done:
            return
        at = self._tenure.clock.now()
        layout = self._tenure.store.layout
        for one, change, _ in done:
            if one.change is not None and one.change != InQueue():
                path = layout.changes(one.attempt.token)
                line = QueueChange(job=one.attempt.job, attempt=one.attempt.number, change=change, at=at)
                try:
                    append_json(path, line, durable=True)
                except OSError as error:
                    raise StoreError(f"cannot write {path}: {error.strerror}; make room or mend the folder") from None
        with self._tenure.write() as writer:
            together: dict[tuple[InQueue, bool], list[AttemptKey]] = {}
            present = {
                one.id: one for one in attempts.of_ids(writer.connection, [one.attempt.id for one, _, _ in done])
            }
            for one, change, whole in done:
                now = present[one.attempt.id]
                if now.state is not AttemptState.ENDED:
                    settled = whole and now.job_launch == one.attempt.job_launch
                    together.setdefault((change, settled), []).append(one.key)
            writer.decide(
                [
                    Altered(attempts=tuple(keys), change=change, settled=settled, at=at)
                    for (change, settled), keys in together.items()
                ]
            )
        cycle.changed = True

    def _recall(self, found: Sequence[StoredAttempt], why: str, cycle: Cycle) -> None:
        """These end without counting as a failure, and their jobs are queued again."""
        if not found:
            return
        at = self._tenure.clock.now()
        with self._tenure.write() as writer:
            entries: list[Entry] = [
                Ended(
                    job=one.job,
                    attempt=one.number,
                    cause=Cause.CANCELLED,
                    then=JobState.QUEUED.value,
                    decision=why,
                    checkpoint_step=one.checkpoint_step,
                    at=at,
                )
                for one in found
                if attempts.is_live(writer.connection, one.id)
            ]
            writer.decide(entries)
        cycle.changed = True


def _runs(attempt: StoredAttempt) -> bool:
    """Whether it has begun, as far as anybody knows: a local worker begins as it is launched."""
    return attempt.backend == BackendName.LOCAL or attempt.state is AttemptState.RUNNING or attempt.phase in _ON_A_NODE


def _options(manifest: Manifest | None, attempt: StoredAttempt) -> dict[str, object] | None:
    """The options that it was sent with; None where its manifest cannot be read."""
    if manifest is None or attempt.position >= len(manifest.tasks):
        return None
    terms = manifest.tasks[attempt.position].terms
    return None if terms is None else dict(manifest.terms[terms].options)
