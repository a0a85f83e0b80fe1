"""The loop: ingest what executions wrote, observe the machines, decide, dispatch. Correct wherever it is cut off."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection

from db import attempts, executions, health, jobs, lease
from db.attempts import StoredAttempt
from db.entries import Accepted, Strike
from db.store import Store, Writer
from jobs import records
from jobs.files import write_json
from jobs.words import AttemptState, BackendName, Cause, JobState
from orchestrator import endings, ingestion, policy, spawning
from orchestrator.clock import Clock, SystemClock
from orchestrator.dispatch import MOST_AT_ONCE, Dispatcher, live_attempt
from orchestrator.ingestion import Ingestion, Seen
from orchestrator.judging import Accept, Case, Over, Requeued, Running, Verdict, judge
from orchestrator.placing import elsewhere, exclusion, pools_of_job, stopped_jobs
from orchestrator.settings import Settings, hours
from slurm.backend import AttemptKey, Backend, Observation, ObservationFailed, Phase
from slurm.pools import Pools

LEAVING_SECONDS = 30.0
"""How long a worker may take to be gone after its outcome, before it is ended."""
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
LATE_SECONDS = 20.0
"""How often to look for outcomes of attempts that were given up."""


@dataclass(kw_only=True)
class Cycle:
    """What one cycle did and found."""

    changed: bool = False
    idle: bool = False
    """No job can move without a person."""
    stopped: dict[str, str] = field(default_factory=dict)
    """Pool → sentence: all its nodes are bad, nothing is sent there, and jobs wait for it."""
    held: int = 0
    """How many queued jobs wait for such a pool."""
    going: int = 0
    """How many other queued jobs it saw: they are sent as soon as there is room or their pause is over."""
    silent: dict[str, str] = field(default_factory=dict)
    """Backend → why it did not answer."""


class Supervisor:
    """One supervisor of one store, holding the lease `number`."""

    def __init__(
        self,
        store: Store,
        backends: Mapping[BackendName, Callable[[], Backend]],
        settings: Settings,
        number: int,
        clock: Clock | None = None,
    ) -> None:
        self.store = store
        self.settings = settings
        self.number = number
        self.clock = clock or SystemClock()
        self.ingestion = Ingestion(store.layout, self.clock.monotonic)
        self.dispatcher = Dispatcher(store, number, self.clock)
        self.policy = policy.Policy(
            budgets={**policy.Policy().budgets, **settings.resubmission.budgets},
            overall=settings.resubmission.overall,
            backoff_seconds=settings.resubmission.backoff_seconds,
            backoff_most_seconds=settings.resubmission.backoff_most_seconds,
        )
        self._makers = backends
        self._backends: dict[BackendName, Backend] = {}
        self._ended_at: dict[AttemptKey, float] = {}
        self._late_at = float("-inf")
        self._pools = Pools()
        self._renewed_at = self.clock.monotonic()

    def backend(self, name: BackendName) -> Backend:
        """The backend of that name, made when it is first needed."""
        if name not in self._backends:
            self._backends[name] = self._makers[name]()
        return self._backends[name]

    def backends(self) -> Mapping[BackendName, Backend]:
        """Those in use."""
        return self._backends

    def cycle(self, *, observe: Sequence[BackendName] = tuple(BackendName), dispatch: bool = True) -> Cycle:
        """One turn. `observe`: the machines to ask now. Raises LeaseLost when another supervisor took over."""
        self.renew()
        result = Cycle()
        with self.store.read() as connection:
            live = attempts.live(connection)
            intents = attempts.intents(connection)
        for name in {BackendName(intent.backend) for intent in intents} & set(observe):
            with self._asking(name, result):
                result.changed |= self.dispatcher.resolve(self.backend(name), intents)
        if intents:
            with self.store.read() as connection:
                live = attempts.live(connection)
        observations = self._observe(live, observe, result)
        result.changed |= self._take_in(live, observations)
        self._clean_up(observations, observe, result)
        if dispatch:
            result.changed |= self._dispatch(observe, result)
        with self.store.read() as connection:
            result.idle = self._idle(connection, result)
        return result

    def renew(self) -> None:
        """Keep the lease."""
        if self.clock.monotonic() - self._renewed_at >= lease.RENEW_SECONDS:
            lease.renew(self.store, self.number)
            self._renewed_at = self.clock.monotonic()

    @contextlib.contextmanager
    def _asking(self, name: BackendName, result: Cycle) -> Iterator[None]:
        """A failed query changes nothing; it is remembered for `status`."""
        try:
            yield
        except ObservationFailed as error:
            result.silent[name] = str(error)

    # ---- observe

    def _observe(
        self, live: Sequence[StoredAttempt], observe: Sequence[BackendName], result: Cycle
    ) -> dict[AttemptKey, Observation]:
        found: dict[AttemptKey, Observation] = {}
        for name in observe:
            mine = [live_attempt(a) for a in live if a.backend == name and (a.native_id is not None or name == "local")]
            if mine:
                with self._asking(name, result):
                    found.update(self.backend(name).observe(mine))
        return found

    # ---- ingest and decide

    def _take_in(self, live: Sequence[StoredAttempt], observations: Mapping[AttemptKey, Observation]) -> bool:
        monotonic = self.clock.monotonic()
        late: list[StoredAttempt] = []
        if monotonic - self._late_at >= LATE_SECONDS:
            self._late_at = monotonic
            with self.store.read() as connection:
                late = attempts.possibly_alive(connection)
        readable = [a for a in live if self._may_have_files(a, observations.get((a.job, a.number)))]
        seen = self.ingestion.look([*readable, *late])
        if late or not live:
            self.ingestion.forget([(a.job, a.number) for a in [*live, *late]])
        unread = {a.id for a in readable if (a.job, a.number) not in seen}  # of these nothing can be said now
        verdicts = {
            a.id: self._judge(a, seen, observations, monotonic)
            for a in live
            if a.state != AttemptState.ENDED and a.id not in unread
        }
        news = ingestion.changed(seen)
        phases = _phase_changes(live, observations)
        acting = any(not _quiet(a, verdicts.get(a.id)) for a in live)
        successes = any(_success(items) is not None for items in seen.values())
        requeued = [(a, o.previous) for a in live if (o := observations.get((a.job, a.number))) and o.previous]
        if not (news or phases or acting or successes or requeued):
            return False
        if any(isinstance(verdict, Over) for verdict in verdicts.values()):
            self._look_at_pools()
        hints: list[Accepted] = []
        with self.store.write(self.number) as writer:
            by_key = {(a.job, a.number): a for a in [*live, *late]}
            for key, items in seen.items():
                ingestion.store(writer.connection, by_key[key].id, items)
            attempts.observed(writer.connection, phases)
            for attempt, before in requeued:
                self._requeued_by_slurm(writer, attempt, before)
            for attempt in live:
                verdict = verdicts.get(attempt.id)
                if verdict is not None:
                    hints += self._act(writer, attempt, verdict, seen)
            for attempt in [*late, *(a for a in live if a.state == AttemptState.ENDED)]:
                success = _success(seen.get((attempt.job, attempt.number), ()))
                if success is not None:
                    hints += self._accept(writer, attempt, success)
        ingestion.stored(seen)
        for hint in hints:
            self._hint(hint)
        return True

    @staticmethod
    def _may_have_files(attempt: StoredAttempt, observation: Observation | None) -> bool:
        """Pending tasks have none: five thousand of them must not cost five thousand listings a cycle."""
        if attempt.state is AttemptState.RUNNING or attempt.doomed or observation is None:
            return True
        return observation.phase not in (Phase.PENDING, Phase.HELD)

    def _judge(
        self,
        attempt: StoredAttempt,
        seen: Mapping[AttemptKey, list[Seen]],
        observations: Mapping[AttemptKey, Observation],
        monotonic: float,
    ) -> Verdict:
        key = (attempt.job, attempt.number)
        observation = observations.get(key)
        if observation is not None and observation.phase is Phase.ENDED:
            first = self._ended_at.setdefault(key, monotonic)
        else:
            first = monotonic
            if observation is not None:
                self._ended_at.pop(key, None)
        return judge(
            Case(
                attempt=attempt,
                executions=seen.get(key, ()),
                observation=observation,
                age_seconds=(self.clock.now() - attempt.created_at).total_seconds(),
                ended_seconds=monotonic - first,
            )
        )

    def _act(
        self, writer: Writer, attempt: StoredAttempt, verdict: Verdict, seen: Mapping[AttemptKey, list[Seen]]
    ) -> list[Accepted]:
        """Carry out one verdict; somebody may have cancelled the job since it was read."""
        connection, at = writer.connection, self.clock.now()
        if isinstance(verdict, Accept):
            return self._accept(writer, attempt, verdict.seen)
        if not attempts.is_live(connection, attempt.id):
            return []
        if isinstance(verdict, Running):
            attempts.set_running(connection, attempt.id, at)
        elif isinstance(verdict, Requeued):
            attempts.set_submitted(connection, attempt.id, at)
        elif isinstance(verdict, Over):
            own = seen.get((attempt.job, attempt.number), ())
            nodes = self._nodes_for(connection, attempt)
            writer.decide(endings.entries(connection, attempt, verdict, own, self.policy, at, nodes))
        return []

    def _look_at_pools(self) -> None:
        """Before a transaction, in which nothing may be asked."""
        if BackendName.SLURM in self._backends:
            with contextlib.suppress(ObservationFailed):
                self._pools = self._backends[BackendName.SLURM].pools()

    def _nodes_for(self, connection: Connection, attempt: StoredAttempt) -> int:
        """On how many nodes the job could be tried; where nobody could say, on several."""
        if attempt.backend != BackendName.SLURM:
            return 1
        options = jobs.get(connection, attempt.job).launching.options
        found = {node for pool in pools_of_job(options, self._pools) for node in self._pools.partitions.get(pool, ())}
        return len(found) or policy.NODES_TO_BLAME_THE_PROGRAM

    def _requeued_by_slurm(self, writer: Writer, attempt: StoredAttempt, before: Observation) -> None:
        """SLURM took the attempt from a node: its execution there has ended, and a failed node is struck."""
        at = self.clock.now()
        if before.node and before.cause is not None:
            executions.taken_away(writer.connection, attempt.id, before.node, before.cause, at)
        if before.node and before.cause in (Cause.NODE_FAILURE, Cause.LAUNCH_FAILURE):
            writer.decide([Strike(node=before.node, cause=before.cause, job=attempt.job, at=at)])

    def _accept(self, writer: Writer, attempt: StoredAttempt, success: Seen) -> list[Accepted]:
        """Close the job with its first success, by one conditional write; a later one is kept as superseded."""
        job = jobs.get(writer.connection, attempt.job)
        outcome = success.outcome
        assert outcome is not None
        open_states = (JobState.QUEUED, JobState.SUBMITTED, JobState.RUNNING, JobState.FAILED)
        if job.state not in open_states or job.generation != attempt.generation:
            return []  # kept as superseded, as ingestion has stored it
        entry = Accepted(
            job=job.id,
            attempt=attempt.number,
            execution=success.name,
            generation=job.generation,
            started=success.started,
            metrics=outcome.result,
            architecture=outcome.architecture,
            flags=outcome.flags,
            at=self.clock.now(),
        )
        spawning.spawn(writer, job, outcome.spawn, self.clock.now())
        writer.decide([entry])
        return [entry]

    def _hint(self, entry: Accepted) -> None:
        """Tell other copies that the job is closed: only a hint, so a full disk is no matter."""
        with contextlib.suppress(OSError):
            path = self.store.layout.job(entry.job) / "accepted.json"
            record = records.Accepted(attempt=entry.attempt, execution=entry.execution, at=entry.at)
            write_json(path, record, durable=False)

    # ---- clean up, dispatch

    def _clean_up(
        self, observations: Mapping[AttemptKey, Observation], observe: Sequence[BackendName], result: Cycle
    ) -> None:
        """End what nobody wants any more, until the machines are seen without it."""
        with self.store.read() as connection:
            doomed = attempts.doomed(connection)
        gone = []
        for name in observe:
            mine = [attempt for attempt in doomed if attempt.backend == name]
            left = []
            for attempt in mine:
                observation = observations.get((attempt.job, attempt.number))
                phase = observation.phase if observation is not None else None
                if phase in (Phase.ENDED, Phase.ABSENT):
                    gone.append(attempt.id)
                elif not self._is_leaving(attempt, phase):
                    left.append(live_attempt(attempt))
            if left:
                with self._asking(name, result):
                    self.backend(name).cancel(left)
        if gone:
            with self.store.write(self.number) as writer:
                attempts.undoom(writer.connection, gone)
            result.changed = True

    def _is_leaving(self, attempt: StoredAttempt, phase: Phase | None) -> bool:
        """Whether it wrote its outcome just now, so that it will be gone by itself, unless SLURM requeued it."""
        if attempt.cause is Cause.CANCELLED or attempt.ended_at is None or phase in (Phase.PENDING, Phase.HELD):
            return False
        return 0.0 <= (self.clock.now() - attempt.ended_at).total_seconds() < LEAVING_SECONDS

    def _dispatch(self, observe: Sequence[BackendName], result: Cycle) -> bool:
        now = self.clock.now()
        with self.store.read() as connection:
            live = attempts.live(connection)
            queued = {name: jobs.dispatchable(connection, name, now, MOST_AT_ONCE[name]) for name in observe}
            since = now - hours(self.settings.nodes.strike_hours)
            failed_on = attempts.failed_nodes(connection)
            strikes = health.strikes(connection, since)
            # What is put off waits for a node as well: without it, a stop would come and go with every backoff.
            later = dict(queued)
            if strikes:
                later = {name: jobs.dispatchable(connection, name, END_OF_TIME, MOST_AT_ONCE[name]) for name in observe}
        sent = 0
        for name in observe:
            mine = queued[name]
            running = [attempt for attempt in live if attempt.backend == name]
            if not later[name] and not running:
                continue
            with self._asking(name, result):
                backend = self.backend(name)
                pools = backend.pools() if strikes or failed_on else Pools()
                excluded = exclusion(strikes, pools, now, self.settings.nodes)
                held = stopped_jobs(later[name], pools, excluded.stopped)
                result.held += len(held)
                result.going += len(later[name]) - len(held)
                concerned = {
                    pool for job in later[name] if job.id in held for pool in pools_of_job(job.launching.options, pools)
                }
                result.stopped.update({pool: text for pool, text in excluded.stopped.items() if pool in concerned})
                if running and name == BackendName.SLURM:
                    backend.avoid([live_attempt(a) for a in running if not a.doomed], excluded.nodes)
                going = [job for job in mine if job.id not in held]
                avoid = elsewhere(going, failed_on, pools)
                sent += self.dispatcher.dispatch(backend, going, running, excluded.nodes, avoid)
        return sent > 0

    def _idle(self, connection: Connection, result: Cycle) -> bool:
        found = jobs.counts(connection)
        moving = found[JobState.SUBMITTED] + found[JobState.RUNNING]
        queued = found[JobState.QUEUED]
        if moving or attempts.any_live(connection):
            return False
        return queued <= result.held

    def leave(self) -> bool:
        """Give up the lease if there is still nothing to do; checked and done in one transaction."""
        with self.store.write(self.number) as writer:
            if not self._idle(writer.connection, Cycle()):
                return False
            lease.give_up(writer.connection)
            return True

    def abandon(self) -> None:
        """Give up the lease whatever is left to do (Ctrl-C): jobs go on, another supervisor may take over."""
        with self.store.write(self.number) as writer:
            lease.give_up(writer.connection)


def _success(items: Sequence[Seen]) -> Seen | None:
    found = [s for s in items if s.outcome is not None and s.outcome.ending == "success" and s.complete and s.changed]
    return min(found, key=lambda seen: seen.outcome.at if seen.outcome else seen.started.at, default=None)


def _quiet(attempt: StoredAttempt, verdict: Verdict | None) -> bool:
    """Whether carrying out the verdict would change nothing."""
    if isinstance(verdict, Running):
        return attempt.state is AttemptState.RUNNING
    if isinstance(verdict, Requeued):
        return attempt.state is AttemptState.SUBMITTED
    return not isinstance(verdict, Accept | Over)


def _phase_changes(
    live: Sequence[StoredAttempt], observations: Mapping[AttemptKey, Observation]
) -> list[tuple[int, str, str, str | None, int]]:
    changes = []
    for attempt in live:
        seen = observations.get((attempt.job, attempt.number))
        if seen is None:
            continue
        absent = attempt.absent + 1 if seen.phase is Phase.ABSENT else 0
        if (attempt.phase, attempt.reason or "", attempt.absent) != (seen.phase.value, seen.reason, absent):
            changes.append((attempt.id, seen.phase.value, seen.reason, seen.node, absent))
    return changes
