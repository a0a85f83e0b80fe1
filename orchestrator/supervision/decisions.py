"""Step 5, decide: what was read, what the machines say and what follows (policy.py) go into one transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from sqlalchemy import Connection

from db import attempts, executions, jobs
from db.attempts import StoredAttempt
from db.entries import Accepted
from db.writer import Writer
from jobs.words import AttemptState, BackendName, Cause
from orchestrator.supervision import endings, incidents, ingestion, policy
from orchestrator.supervision.acceptance import accept, hint, new_success
from orchestrator.supervision.backends import Backends
from orchestrator.supervision.judging import Accept, Over, Requeued, Returned, Running, Verdict
from orchestrator.supervision.observation import Observations, phase_changes
from orchestrator.supervision.placing import pools_of_job
from orchestrator.supervision.reading import Look
from orchestrator.supervision.tenure import Tenure
from orchestrator.supervision.verdicts import is_quiet
from slurm.backend import Observation, ObservationFailed
from slurm.pools import Pools


class Decisions:
    """Carries out verdicts by the policy of the settings."""

    def __init__(self, tenure: Tenure, backends: Backends) -> None:
        wanted = tenure.settings.resubmission
        self._tenure = tenure
        self._backends = backends
        self._pools = Pools()
        self._policy = policy.Policy(
            budgets={**policy.Policy().budgets, **wanted.budgets},
            overall=wanted.overall,
            backoff_seconds=wanted.backoff_seconds,
            backoff_most_seconds=wanted.backoff_most_seconds,
        )

    def write(self, look: Look, observations: Observations, verdicts: Mapping[int, Verdict]) -> bool:
        """Everything of this cycle in one transaction; False where there was nothing to write."""
        phases = phase_changes(look.live, observations)
        requeued = [(a, o.previous) for a in look.live if (o := observations.get((a.job, a.number))) and o.previous]
        acting = any(not is_quiet(a, verdicts.get(a.id)) for a in look.live)
        successes = any(new_success(items) is not None for items in look.seen.values())
        if not (ingestion.changed(look.seen) or phases or acting or successes or requeued):
            return False
        of_slurm = {attempt.id for attempt in look.live if attempt.backend == BackendName.SLURM}
        if any(isinstance(verdict, Over) and which in of_slurm for which, verdict in verdicts.items()):
            self._look_at_pools()
        hints: list[Accepted] = []
        by_key = {(a.job, a.number): a for a in [*look.live, *look.late]}
        with self._tenure.write(of=[attempt.id for attempt in by_key.values()]) as writer:
            for key, items in look.seen.items():
                ingestion.store(writer.connection, by_key[key].id, items)
            executions.over(writer.connection, sorted({a.job for a in look.late if look.own(a)}))
            attempts.observed(writer.connection, phases)
            for attempt, before in requeued:
                self._requeued_by_slurm(writer, attempt, before)
            for attempt in look.live:
                verdict = verdicts.get(attempt.id)
                if verdict is not None and not is_quiet(attempt, verdict):
                    hints += self._carry_out(writer, attempt, verdict, look)
            for attempt in [*look.late, *(a for a in look.live if a.state == AttemptState.ENDED)]:
                success = new_success(look.own(attempt))
                if success is not None:
                    hints += accept(writer, attempt, success, self._tenure.clock.now())
        ingestion.stored(look.seen)
        for entry in hints:
            hint(self._tenure.store.layout, entry)
        return True

    def _carry_out(self, writer: Writer, attempt: StoredAttempt, verdict: Verdict, look: Look) -> list[Accepted]:
        """One verdict; somebody may have cancelled the job since it was read."""
        connection, at = writer.connection, self._tenure.clock.now()
        if isinstance(verdict, Accept):
            return accept(writer, attempt, verdict.seen, at)
        if not attempts.is_live(connection, attempt.id):
            return []
        if isinstance(verdict, Running):
            attempts.set_running(connection, attempt.id, at)
        elif isinstance(verdict, Requeued):
            attempts.set_submitted(connection, attempt.id, at)
        elif isinstance(verdict, Returned):
            writer.decide([endings.returned(attempt, verdict, look.own(attempt), at)])
        elif isinstance(verdict, Over):
            nodes = self._nodes_for(connection, attempt)
            own = look.own(attempt)
            writer.decide(endings.entries(connection, attempt, verdict, own, self._policy, at, nodes))
        return []

    def _requeued_by_slurm(self, writer: Writer, attempt: StoredAttempt, before: Observation) -> None:
        """SLURM took the attempt from a node: its execution there has ended, and a failed node is struck."""
        at = self._tenure.clock.now()
        if before.cause is None:
            return
        where = sorted({*before.nodes, *([before.node] if before.node else [])})
        for node in where:
            executions.taken_away(writer.connection, attempt.id, node, before.cause, at)
        if before.node and before.cause in (Cause.NODE_FAILURE, Cause.LAUNCH_FAILURE):
            times = [executions.began_on(writer.connection, attempt.id, node) for node in where]
            began = max((time for time in times if time is not None), default=None)
            writer.decide(incidents.strikes(writer.connection, [before.node], before.cause, attempt.job, began, at))

    def _look_at_pools(self) -> None:
        """Before a transaction, in which nothing may be asked."""
        if BackendName.SLURM in self._backends:
            with contextlib.suppress(ObservationFailed):
                self._pools = self._backends[BackendName.SLURM].pools()

    def _nodes_for(self, connection: Connection, attempt: StoredAttempt) -> int:
        """On how many nodes the job could be tried; where nobody could say, on several."""
        if attempt.backend != BackendName.SLURM:
            return 1
        options = self._tenure.as_sent(jobs.get(connection, attempt.job).launching).options
        found = {node for pool in pools_of_job(options, self._pools) for node in self._pools.partitions.get(pool, ())}
        return len(found) or policy.NODES_TO_BLAME_THE_PROGRAM
