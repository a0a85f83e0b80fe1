"""What orch changes in SLURM's queue: cancels, nodes that what waits is kept off, holds that are released."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from jobs.files import read_json
from jobs.layout import Layout
from jobs.resources import InQueue
from slurm.backend import LiveAttempt, ObservationFailed, Phase, RowKey
from slurm.cluster import inqueue, states, updates
from slurm.cluster.commands import CommandFailed, Commands, chunks
from slurm.cluster.machines import Machines
from slurm.cluster.queue import Queue, same
from slurm.cluster.refusals import RATE_LIMITED
from slurm.cluster.requeues import Requeues
from slurm.cluster.rows import Row

log = logging.getLogger(__name__)

RELEASED_AGAIN_S = 60.0
"""A job that SLURM holds anew after a release has this long until the next."""


def own_exclude_file(layout: Layout, token: str) -> Path:
    """The nodes that the jobs of that submission are kept off whatever orch knows of them."""
    return layout.submission(token) / "submitit" / "exclude.json"


_Rows = list[tuple[LiveAttempt, Row]]


class Changes:
    """Remembers what it told SLURM, so that it asks only where something changed."""

    def __init__(self, layout: Layout, commands: Commands, machines: Machines, requeues: Requeues) -> None:
        self.layout = layout
        self.commands = commands
        self.machines = machines
        self.requeues = requeues
        self._released: dict[RowKey, float] = {}
        self._avoided: tuple[frozenset[str], int] | None = None
        self._looked: tuple[Queue, Sequence[LiveAttempt], tuple[_Rows, _Rows, dict[RowKey, str]]] | None = None

    def cancel(self, queue: Queue, live: Sequence[LiveAttempt]) -> None:
        """scancel running, waiting and single array tasks, many in one call.

        `queue` is read just now: only what it has under the attempt's own token is cancelled, since an id alone may
        be another job's by now, as when a controller goes on from an older state and counts its ids again.
        """
        there: dict[tuple[str, str], set[str]] = defaultdict(set)
        for row in queue.rows:
            if states.phase_of_row(row) is not Phase.ENDED:
                there[row.name, row.job].add(row.id)
        asked: dict[tuple[str, str], set[str]] = defaultdict(set)
        for attempt in (piece for one in live for piece in queue.pieces(one)):
            for row in queue.runs(attempt):
                if not attempt.leaving or states.phase_of_row(row) in (Phase.PENDING, Phase.HELD):
                    asked[row.name, row.job].add(row.id)
        ids: list[str] = []
        for key, tasks in asked.items():
            mine = tasks & there[key]
            whole = bool(mine) and mine == there[key]
            ids += [key[1]] if whole else sorted(mine)
        for some in chunks(ids):
            self._tell(["scancel", *some])

    def avoid(self, queue: Queue, live: Sequence[LiveAttempt], exclude: frozenset[str]) -> None:
        """Merge bad nodes into ExcNodeList of what waits, and start at once what waits since its node failed.

        What SLURM itself holds after a failed launch is released; holds by people stay.
        Asks the queue anew only where the nodes changed or something was requeued: what was launched since has them.
        """
        waiting, delayed, held = self._waiting(queue, live)
        known = self.machines.known(exclude)
        if waiting and self._avoided != (known, self.requeues.seen if known else 0):
            self._exclude([(row.job, attempt.token) for attempt, row in waiting], known)
        soon = [
            row.id for attempt, row in delayed if attempt.row_key in self.requeues.of_bad_nodes or attempt.node in known
        ]
        for some in chunks(list(dict.fromkeys(soon))):  # once, where one row stands for many
            self._tell(["scontrol", "update", f"jobid={','.join(some)}", "StartTime=now"])
        self._release(held)

    def _waiting(self, queue: Queue, live: Sequence[LiveAttempt]) -> tuple[_Rows, _Rows, dict[RowKey, str]]:
        """What waits; of that what SLURM lets wait for a while, and the ids of what it holds after a failed launch."""
        if self._looked is not None and self._looked[0] is queue and same(self._looked[1], live):
            return self._looked[2]
        waiting = [
            (attempt, row)
            for one in live
            for attempt in queue.pieces(one)
            if (row := queue.row(attempt)) and states.phase_of_row(row) in (Phase.PENDING, Phase.HELD)
        ]
        delayed = [(attempt, row) for attempt, row in waiting if row.reason == "BeginTime"]
        held = {attempt.row_key: row.id for attempt, row in waiting if states.held_for_launch(row.reason)}
        self._looked = queue, tuple(live), (waiting, delayed, held)
        return waiting, delayed, held

    def alter(self, wanted: Sequence[tuple[LiveAttempt, InQueue]]) -> None:
        """Change what waiting tasks ask for; whether SLURM did is to be looked at."""
        for ids, told in inqueue.calls(wanted):
            for some in chunks(ids):
                self._tell(["scontrol", "update", f"jobid={','.join(some)}", *told])

    def _exclude(self, submissions: Sequence[tuple[str, str]], known: frozenset[str]) -> None:
        seen = self.requeues.seen
        try:
            waiting = updates.parse(self.commands.ask(updates.arguments()))
        except CommandFailed as error:
            raise ObservationFailed(f"SLURM's queue could not be read: {error}") from None
        partitions = {(one.job, one.name): one.partitions for one in waiting}
        wanted = {}
        for job, token in set(submissions):
            own = self._own_exclude(token)
            wanted[job, token] = own | self.machines.beside(own, known, partitions.get((job, token), ""))
        went_well = True
        for nodes, ids in updates.exclusions(waiting, wanted).items():
            for some in chunks(ids):
                went_well &= self._tell(["scontrol", "update", f"jobid={','.join(some)}", f"ExcNodeList={nodes}"])
        if went_well:
            self._avoided = (known, seen if known else 0)
        else:
            self.machines.forget_pools()  # perhaps a node is gone

    def _release(self, held: Mapping[RowKey, str]) -> None:
        present = time.monotonic()
        ready = [key for key in held if present - self._released.get(key, -RELEASED_AGAIN_S) >= RELEASED_AGAIN_S]
        for some in chunks(list(dict.fromkeys(held[key] for key in ready))):
            self._tell(["scontrol", "release", ",".join(some)])
        self._released = {key: at for key, at in self._released.items() if key in held} | dict.fromkeys(ready, present)

    def _tell(self, arguments: list[str]) -> bool:
        """Whether nobody complained. Raises ObservationFailed where SLURM did not answer."""
        try:
            reply = self.commands.run(arguments)
        except CommandFailed as error:
            raise ObservationFailed(str(error)) from None
        if reply.code == 0:
            return True
        bad = updates.complaints(reply.err + "\n" + reply.out)
        if any("contact" in line or "timed out" in line or RATE_LIMITED in line.lower() for line in bad):
            raise ObservationFailed(f"`{arguments[0]}` got no answer: {bad[0].strip()}")
        for line in bad:
            log.warning("%s: %s", " ".join(arguments[:2]), line.strip())
        return not bad

    def _own_exclude(self, token: str) -> frozenset[str]:
        return frozenset(read_json(own_exclude_file(self.layout, token), list[str]) or ())
