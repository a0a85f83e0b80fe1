"""The SLURM backend: submitit launches, and what SLURM says is observed in one squeue a cycle (docs/slurm.md).

What it keeps in memory only saves questions: a new one takes over from the store and the queue alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.files import now, write_json
from jobs.layout import Layout
from jobs.resources import InQueue
from jobs.words import BackendName
from slurm.backend import (
    AttemptKey,
    Batch,
    Launch,
    LaunchUncertain,
    LimitReached,
    LiveAttempt,
    Observation,
    ObservationFailed,
    Phase,
    QueuedJob,
    RowKey,
    Standing,
    Submission,
)
from slurm.cluster import arrays, bundles, inqueue, pieces, sacct, states
from slurm.cluster.bundles import Bundles
from slurm.cluster.changes import Changes, own_exclude_file
from slurm.cluster.commands import CommandFailed, Commands, chunks
from slurm.cluster.looks import Looks, Seen
from slurm.cluster.machines import Machines
from slurm.cluster.observer import Observer
from slurm.cluster.queue import Queue, same
from slurm.cluster.requeues import Requeues
from slurm.cluster.rows import Row
from slurm.pools import Pools

if TYPE_CHECKING:
    from slurm.cluster.sbatch import LaunchSettings

TOKEN = "orch-"
"""How the names of all submissions begin."""
CLOCKS_DIFFER = timedelta(minutes=2)


class SlurmBackend:
    """`slurm.backend.Backend` on a SLURM cluster. Used by one thread, the supervisor's loop."""

    name = BackendName.SLURM

    def __init__(
        self,
        layout: Layout,
        *,
        commands: Commands | None = None,
        settings: LaunchSettings | None = None,
        requeues: Requeues | None = None,
    ) -> None:
        self.layout = layout
        self.commands = commands or Commands()
        self.settings = settings
        self.machines = Machines(self.commands)
        self.requeues = requeues or Requeues()
        self.observer = Observer(layout, self.machines, self.requeues)
        self.bundles = Bundles(layout)
        self.changes = Changes(layout, self.commands, self.machines, self.requeues)
        self._limit = arrays.SubmitLimit()
        self._tasks = 0
        self._looks = Looks(self.commands)
        self._seen: Seen | None = None
        self._alone: dict[AttemptKey, tuple[LiveAttempt, Row, Observation]] = {}
        """What was seen of those of which the queue's row says all: no file, record, node or clock had a say."""
        self._others: tuple[Queue, Sequence[LiveAttempt], list[tuple[str, int, bool]]] | None = None

    # ---- launching

    def plan(self, queued: Sequence[QueuedJob], live: Sequence[LiveAttempt], exclude: frozenset[str]) -> list[Batch]:
        """Arrays of jobs that ask for the same, as many as a submit limit that was met lets through."""
        self._tasks = bundles.tasks_of(live)
        if not queued:
            return []
        room = self._limit.room(self._tasks, now())
        nodes = len(self.machines.pools().nodes) if any(job.at_once > 1 for job in queued) else 1
        return arrays.group(queued, self.machines.max_array(), room, nodes)

    @property
    def launch_seconds(self) -> float:
        """sbatch's whole time limit."""
        return self._launch_settings().launch_seconds

    def _launch_settings(self) -> LaunchSettings:
        from slurm.cluster import sbatch

        return self.settings or sbatch.LaunchSettings()

    def launch(self, submission: Submission) -> Launch:
        """One sbatch by submitit; its id is that of the job or array."""
        from slurm.cluster import sbatch

        own = sbatch.own_exclude(submission.batch.jobs[0])
        partitions = str(sbatch.free_parameters(submission.batch.jobs[0].options).get("partition") or "")
        exclude = self.machines.beside(own, self.machines.known(submission.exclude), partitions)
        self.commands.counts["sbatch"] += 1
        try:
            sbatch.ensure_pickle(submission.folder)
            write_json(own_exclude_file(self.layout, submission.token), sorted(own), durable=False)
            begun = sbatch.begin(submission, exclude, self._launch_settings())
        except OSError as error:
            raise LaunchUncertain(f"the files of submission {submission.token} could not be written: {error}") from None
        self._tasks += submission.tasks
        return _Counted(begun, self, submission.tasks, self._tasks)

    def answered(self, tasks: int, total: int, *, taken: bool) -> None:
        """The queue took `tasks` more, or refused them by a limit, `total` being there with them."""
        self._limit = self._limit.accept(total, now()) if taken else self._limit.refuse(total, now())
        self._tasks -= 0 if taken else tasks

    def find(self, intents: Sequence[Submission]) -> dict[str, str]:
        """Ids of those that did start, looked up by name in the queue and in the records."""
        from slurm.cluster import sbatch

        if not intents:
            return {}
        rows = list(self._looks.read().rows)
        missing = {intent.token for intent in intents} - {row.name for row in rows}
        if missing:
            since = min(intent.manifest.created_at for intent in intents) - CLOCKS_DIFFER
            records = self.machines.records(sacct.by_name(some, since) for some in chunks(sorted(missing)))
            if records is None and self.machines.has_accounting():
                raise ObservationFailed("SLURM's records could not be read, so nobody knows what was submitted")
            rows += records or []
        found: dict[str, str] = {}
        for intent in intents:
            mine = [row for row in rows if row.name == intent.token]
            if mine:
                alive = [row for row in mine if states.phase_of_row(row) is not Phase.ENDED]
                found[intent.token] = min((row.job for row in alive or mine), key=int)
                try:
                    sbatch.ensure_pickle(intent.folder)
                except OSError as error:  # a full disk: the next look tries again
                    raise ObservationFailed(f"{intent.folder} cannot be written now: {error.strerror}") from None
        return found

    # ---- observing

    def observe(self, live: Sequence[LiveAttempt]) -> dict[AttemptKey, Observation]:
        """One squeue; one sacct where an attempt left the queue, was requeued or was cancelled by somebody."""
        if not live:
            return {}
        queue = self._looks.read()
        if self._seen is not None and self._seen.holds(queue, live):
            return dict(self._seen.found)
        before, self._alone = self._alone, {}
        found: dict[AttemptKey, Observation] = {}
        rows: dict[RowKey, Row | None] = {}
        units: dict[AttemptKey, Sequence[LiveAttempt]] = {}
        news: list[LiveAttempt] = []
        for attempt in live:
            key = attempt.key
            if attempt.pieces:
                units[key] = queue.pieces(attempt)
                rows.update((one.row_key, queue.row(one)) for one in units[key])
            else:
                units[key] = (attempt,)
                rows[attempt.row_key] = row = queue.row(attempt)
                had = None if attempt.bundle else before.get(key)  # a bundle's files have a say, too
                if had is not None and had[0] is attempt and had[1] is row and not self.requeues.open(attempt.row_key):
                    found[key], self._alone[key] = had[2], had
                    continue
            news.append(attempt)
        self.bundles.look(live, rows)
        for one in (one for attempt in news for one in units[attempt.key]):
            row = rows[one.row_key]
            if row is not None and states.phase_of_row(row) is not Phase.ENDED and self.bundles.began(one):
                self.requeues.note(one, row)
        self.requeues.forget_all_but(rows.keys())
        node_states = self.machines.node_states(self.requeues.nodes())
        records = self._records(news, units, rows)
        known = None if records is None and self.machines.has_accounting() else records or Queue([])
        for attempt in news:
            if attempt.pieces:
                sliced = self.observer.sliced(attempt, queue, node_states, known)
                found.update({attempt.key: sliced} if sliced is not None else {})
                continue
            row = rows[attempt.row_key]
            if row is not None:
                told = self.observer.in_queue(attempt, row, node_states, records)
                found[attempt.key] = told
                if told.phase is not Phase.ENDED and told.previous is None and not attempt.bundle:
                    self._alone[attempt.key] = attempt, row, told
            elif known is not None:
                found[attempt.key] = self.observer.gone(attempt, known)
        for attempt in (one for one in live if one.bundle and one.key in found):
            inside = self.bundles.where(attempt, found.pop(attempt.key))
            found.update({attempt.key: inside} if inside is not None else {})
        whole = len(self._alone) == len(live) and not any(map(self.requeues.open, rows))
        self._seen = Seen(queue, tuple(live), found) if whole else None
        return found

    def others(self, live: Sequence[LiveAttempt]) -> list[tuple[str, int, bool]]:
        """By the squeue of this cycle; asked anew where nothing lives."""
        queue = self._looks.newest if live and self._looks.newest is not None else self._looks.read()
        if self._others is not None and self._others[0] is queue and same(self._others[1], live):
            return self._others[2]
        known = {(attempt.token, index) for attempt in live for index in range(attempt.pieces) or (attempt.listed_in,)}
        there = {
            (row.name, row.task or 0, phase is Phase.HELD)
            for row in queue.rows
            if row.name.startswith(TOKEN) and (phase := states.phase_of_row(row)) is not Phase.ENDED
        }
        found = sorted(one for one in there if one[:2] not in known)
        self._others = queue, tuple(live), found
        return found

    def _records(
        self,
        live: Sequence[LiveAttempt],
        units: Mapping[AttemptKey, Sequence[LiveAttempt]],
        rows: Mapping[RowKey, Row | None],
    ) -> Queue | None:
        """The records of those that need them; None where accounting cannot say."""
        wanted = set()
        for attempt in live:
            mine = [(one, rows[one.row_key]) for one in units[attempt.key]]
            if not any(row is not None and (not attempt.pieces or pieces.lives(row)) for _, row in mine):
                wanted.update({attempt.native_id} - {None})
            elif any(row and (row.state == "CANCELLED" or self.requeues.open(one.row_key)) for one, row in mine):
                wanted.update({row.job for _, row in mine if row is not None})
        ids = sorted((job for job in wanted if job), key=int)
        if not ids:
            return Queue([])
        found = self.machines.records(sacct.by_id(some) for some in chunks(ids))
        return None if found is None else Queue(found)

    def pools(self) -> Pools:
        """The partitions with all their nodes, at most a minute old."""
        return self.machines.pools()

    # ---- changing

    def cancel(self, live: Sequence[LiveAttempt]) -> None:
        """scancel what the queue has now under the attempts' own tokens; of a bundle the runner ends those alone."""
        if not live:
            return
        whole = self.bundles.mark([one for one in live if one.bundle])
        alone = [one for one in live if not one.bundle]
        if alone or whole:
            self.changes.cancel(self._looks.read(), [*alone, *whole])

    def avoid(self, live: Sequence[LiveAttempt], exclude: frozenset[str]) -> None:
        """Merge bad nodes into ExcNodeList of what waits, and let go what SLURM itself holds."""
        self.changes.avoid(self._looks.newest or self._looks.read(), live, exclude)

    def standing(self, live: Sequence[LiveAttempt]) -> dict[AttemptKey, Standing]:
        """One squeue more, of what can be changed in the queue."""
        try:
            rows = inqueue.parse(self.commands.ask(inqueue.arguments()))
        except CommandFailed as error:
            raise ObservationFailed(f"SLURM's queue could not be read: {error}") from None
        found = inqueue.of_attempts(rows, live)
        for one in (one for one in live if one.bundle and one.key in found):
            found[one.key] = self.bundles.standing(one, found[one.key])
        return found

    def alter(self, wanted: Sequence[tuple[LiveAttempt, InQueue]]) -> None:
        """scontrol update, one for all that get the same."""
        self.changes.alter(wanted)


@dataclass
class _Counted:
    """A launch in flight, whose answer teaches the submit limit."""

    launch: Launch
    backend: SlurmBackend
    tasks: int
    total: int

    def poll(self) -> str | None:
        try:
            native = self.launch.poll()
        except LimitReached:
            self.backend.answered(self.tasks, self.total, taken=False)
            raise
        if native is not None:
            self.backend.answered(self.tasks, self.total, taken=True)
        return native
