"""Requeues that SLURM did by itself: seen by the queue, explained by the node's state or the accounting records."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from jobs.words import Cause
from slurm import causes, pools
from slurm.backend import LiveAttempt, Observation, Phase, RowKey
from slurm.cluster.hostlist import expand
from slurm.cluster.rows import Row
from slurm.cluster.states import held_for_launch, judge, phase_of_row

EXPLAINED_WITHIN_S = 30.0
"""sacct shows the earlier run of a requeued job seconds late; after this time nobody is blamed."""
_ON_A_NODE = (Phase.RUNNING, Phase.SUSPENDED)
_BLAMED = ("NODE_FAIL", "PREEMPTED")


@dataclass(frozen=True)
class _Open:
    """A requeue whose cause is still looked for."""

    restarts: int
    node: str | None
    since: float
    hold: str
    """SLURM's word where it holds the job after a failed launch."""

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(expand(self.node)) if self.node else ()


class Requeues:
    """Which attempts were requeued, each told once. Pure but for the clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ran_on: dict[RowKey, str] = {}
        self._open: dict[RowKey, _Open] = {}
        self._told: dict[RowKey, int] = {}
        self.of_bad_nodes: set[RowKey] = set()
        """Requeued since their node failed, and not yet running again."""
        self.seen = 0

    def note(self, attempt: LiveAttempt, row: Row) -> None:
        """See that an attempt which ran waits again, or runs on another node."""
        key, phase = attempt.row_key, phase_of_row(row)
        before = self._ran_on.get(key) or attempt.node
        waits = phase in (Phase.PENDING, Phase.HELD) and (attempt.running or key in self._ran_on)
        elsewhere = row.node not in ("", before) and before not in row.nodes
        moved = phase in _ON_A_NODE and before is not None and elsewhere
        restarts = row.restarts or 0
        if (waits or moved) and key not in self._open and self._told.get(key) != restarts:
            self._open[key] = _Open(restarts, before, self._clock(), row.reason if held_for_launch(row.reason) else "")
            self._ran_on.pop(key, None)
            self.seen += 1
        if phase in _ON_A_NODE and row.node:
            self._ran_on[key] = row.node
            self.of_bad_nodes.discard(key)

    def lost(self, attempt: LiveAttempt) -> bool:
        """Whether a task whose end the queue shows was seen on its node before; told once."""
        return self._ran_on.pop(attempt.row_key, None) is not None

    def open(self, key: RowKey) -> bool:
        """Whether its cause is still looked for."""
        return key in self._open

    def nodes(self) -> frozenset[str]:
        """Nodes on which requeued executions ran before."""
        return frozenset(node for item in self._open.values() for node in item.nodes)

    def explain(self, key: RowKey, node_states: Mapping[str, str], runs: Sequence[Row] | None) -> Observation | None:
        """How the execution before the requeue ended, once that is known.

        `runs` are the records of the attempt, oldest first; None where accounting cannot say (it is off, or silent).
        A job that requeued itself, or was requeued by a person, blames nobody: None.
        """
        item = self._open.get(key)
        if item is None:
            return None
        verdict: causes.Verdict | None = None
        # Of several nodes the one that failed; which it was, only its own state tells.
        failed = next((node for node in item.nodes if pools.failed(node_states.get(node, ""))), None)
        settled = self._clock() - item.since >= EXPLAINED_WITHIN_S
        if item.hold:
            verdict = causes.Verdict(Cause.LAUNCH_FAILURE, (f"squeue: {item.hold}",))
        elif failed is not None:
            verdict = causes.Verdict(Cause.NODE_FAILURE, (f"sinfo: node {failed} is {node_states[failed]}",))
        elif runs is not None:
            ended = [run for run in runs if phase_of_row(run) is Phase.ENDED or run.state == "REQUEUED"]
            if len(ended) >= max(item.restarts, 1):
                settled = True
                if ended[-1].state in _BLAMED:
                    verdict = judge(ended[-1])
        if verdict is None and not settled:
            return None
        del self._open[key]
        self._told[key] = item.restarts
        if verdict is None:
            return None
        if verdict.cause is Cause.NODE_FAILURE and key not in self._ran_on:
            self.of_bad_nodes.add(key)
        several = len(item.nodes) > 1
        return Observation(
            phase=Phase.ENDED,
            node=failed if several else item.node,
            nodes=frozenset(item.nodes if several else ()),
            cause=verdict.cause,
            evidence=verdict.evidence,
        )

    def forget_all_but(self, keys: Collection[RowKey]) -> None:
        """Attempts that have ended."""
        self._ran_on = {key: node for key, node in self._ran_on.items() if key in keys}
        self._open = {key: item for key, item in self._open.items() if key in keys}
        self._told = {key: restarts for key, restarts in self._told.items() if key in keys}
        self.of_bad_nodes &= set(keys)
