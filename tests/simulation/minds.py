"""A user who changes their mind: other terms, results taken out and put back, finished jobs that run anew.

What was decided is kept here, and the store must say the same ever after.
"""

from __future__ import annotations

import contextlib
from sqlite3 import Connection
from typing import TYPE_CHECKING

import msgspec

from db import results
from db.changes import Change
from db.launching import Launching
from jobs.errors import BadInput
from jobs.files import read_json
from jobs.node.terms import as_it_stands
from jobs.records import Manifest
from jobs.resources import Asked
from jobs.words import JobState
from orchestrator.settings import Settings
from orchestrator.submitting import changing
from orchestrator.submitting.changing import Again, Selection
from orchestrator.supervision.slicing import OPTION
from orchestrator.tables import generic
from tests.helpers.story import tells
from tests.simulation.invariants import require, rows

if TYPE_CHECKING:
    from tests.simulation.world import World

METRIC = "execution"
"""Which execution a result is of: every one has its own."""


class Minds:
    """Of one store's user."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.layout = world.layout
        self.minutes: dict[int, int] = {}
        self.priority: dict[int, int] = {}
        self.dropped: dict[int, str] = {}

    # ---- what the user does

    def set(
        self, job: int, *, minutes: int | None = None, priority: int | None = None, qos: str = "", at_once: bool = False
    ) -> None:
        """`orch set`. It is no failure, and nothing that is known of the job is lost."""
        change = Change(asked=Asked(minutes=minutes), priority=priority, slurm={"qos": qos} if qos else {})
        self._catch_up()
        before = self._known()
        with contextlib.suppress(BadInput):
            changing.set_terms(self.world.user, Selection(ids=[job]), change, at_once=at_once)
            self.minutes[job] = minutes or self.minutes[job]
            self.priority[job] = self.priority.get(job, 0) if priority is None else priority
            self.world.tell(f"user: set {job} {msgspec.json.encode(change).decode()}")
        require(self._known() == before, f"'set' of job {job} is a failure, a strike, or took a result away")

    def _catch_up(self) -> None:
        """What a crash left ahead of the database is decided before."""
        with self.world.user.write() as writer:
            writer.catch_up()

    def _known(self) -> list[list[tuple[object, ...]]]:
        """What counts: results, failures, strikes, generations, errors of jobs that ended, what ran."""
        queries = (
            "SELECT job_id, generation, metrics FROM result ORDER BY 1",
            "SELECT job_id, number, cause, decision FROM attempt "
            "WHERE cause NOT IN ('success', 'cancelled') ORDER BY id",
            "SELECT node, job_id, cleared_at FROM node_health ORDER BY id",
            "SELECT id, generation, resume, dropped FROM job ORDER BY id",
            "SELECT id, state, cause, error FROM job WHERE state IN ('succeeded', 'failed', 'cancelled') ORDER BY id",
            "SELECT id, name, checkpoint_step, epoch FROM execution ORDER BY id",
        )
        return [rows(self.world.database, sql) for sql in queries]

    def drop(self, job: int, because: str = "diverged") -> None:
        """`orch drop`."""
        self.world.flocks.look()
        with contextlib.suppress(BadInput):
            changing.drop(self.world.user, Selection(ids=[job]), because)
            self.dropped[job] = because
            self.world.flocks.dropped(job)
            self.world.tell(f"user: drop {job}")

    def keep(self, job: int) -> None:
        """`orch keep`."""
        with contextlib.suppress(BadInput):
            changing.keep(self.world.user, Selection(ids=[job]))
            del self.dropped[job]
            self.world.tell(f"user: keep {job}")

    def retry(self, job: int, again: Again) -> None:
        """`orch retry`, with whatever goes with it: their old results are in no table from this moment on."""
        self.world.flocks.look()
        connection = self.world.database
        query = "SELECT j.id, j.generation, r.metrics FROM job j LEFT JOIN result r ON r.job_id = j.id"
        before = {row[0]: row[1:] for row in rows(connection, query)}
        with contextlib.suppress(BadInput):
            ids = changing.retry(self.world.user, Settings(), Selection(ids=[job]), again)
            self.world.invariants.began_anew(ids)
            behind = rows(connection, f"SELECT id FROM job WHERE behind IN ({', '.join(map(str, ids)) or 'NULL'})")
            alike = [*ids, *(one for (one,) in behind)]  # what waits for a canary is run as that is from now on
            self.minutes.update(dict.fromkeys(alike, again.change.asked.minutes) if again.change.asked.minutes else {})
            self.world.tell(f"user: retry {ids} {again}")
            self.world.flocks.agree()
            after = {row[0]: row[1:] for row in rows(connection, query)}
            expected = {one: (row[0] + 1, None) if one in ids else row for one, row in before.items()}
            require(after == expected, f"after the retry of {ids} the generations and results {before} are {after}")
            aside = {
                (one, generation): metrics
                for one, generation, metrics in rows(
                    connection, "SELECT job_id, generation, metrics FROM earlier_result"
                )
            }
            for one in ids:
                generation, metrics = before[one]
                require(aside.get((one, generation)) == metrics, f"the earlier result of job {one} is not kept")

    # ---- what the store must say

    @tells
    def check(self, connection: Connection) -> None:
        """After every step: the flags, the terms and the counts are as was decided, whoever wrote since."""
        found = dict(rows(connection, "SELECT id, dropped FROM job WHERE dropped IS NOT NULL"))
        require(found == self.dropped, f"dropped jobs are {found}, and {self.dropped} were dropped")
        ranks = dict(rows(connection, "SELECT id, -rank FROM job WHERE rank != 0"))
        wanted = {job: priority for job, priority in self.priority.items() if priority}
        require(ranks == wanted, f"priorities are {ranks}, and {wanted} were set")
        texts = rows(connection, "SELECT j.id, l.text FROM job j JOIN launch l ON l.id = j.launch_id")
        launched = {job: msgspec.json.decode(text, type=Launching) for job, text in texts}
        minutes = {job: launching.resources.minutes for job, launching in launched.items()}
        changed = {job: found for job, found in minutes.items() if found != self.minutes.get(job, found)}
        require(not changed, f"time limits are {changed}, and {self.minutes} were set")
        self._earlier(connection)
        self._sent(connection, minutes, {job: one.options.get(OPTION, 0) for job, one in launched.items()})

    def _earlier(self, connection: Connection) -> None:
        """A result that was set aside is superseded for good, and never the counted one."""
        counted = rows(
            connection,
            "SELECT e.job_id FROM earlier_result e LEFT JOIN execution x ON x.id = e.execution_id "
            "LEFT JOIN result r ON r.execution_id = x.id WHERE x.superseded IS NOT 1 OR r.job_id IS NOT NULL",
        )
        require(not counted, f"results that were set aside count again: jobs {counted}")
        old = rows(
            connection, "SELECT r.job_id FROM result r JOIN job j ON j.id = r.job_id WHERE r.generation != j.generation"
        )
        require(not old, f"results of an earlier generation count: jobs {old}")

    def _sent(self, connection: Connection, minutes: dict[int, int], slices: dict[int, int]) -> None:
        """What waits in the machines' queue was sent under the terms that hold now."""
        waiting = rows(
            connection,
            "SELECT a.job_id, a.token, a.position, a.generation, a.launch_id = j.launch_id, j.generation "
            "FROM attempt a JOIN job j ON j.id = a.job_id WHERE a.state = 'submitted' "
            "AND NOT EXISTS (SELECT 1 FROM execution WHERE attempt_id = a.id)",
        )
        limits = {(task.name, task.index or 0): task.limit for task in self.world.cluster.tasks if task.live}
        for job, token, position, generation, settled, current in waiting:
            require(generation == current, f"job {job} was sent as generation {generation}")
            manifest = read_json(self.layout.manifest(token), Manifest)
            require(manifest is not None, f"job {job} was sent without a manifest")
            if manifest is not None and settled:
                wanted = slices[job] if manifest.tasks[position].pieces else minutes[job]
                sent = as_it_stands(self.layout, token, manifest.tasks[position]).resources.minutes
                place = 0 if manifest.tasks[position].pieces else position // max(manifest.bundle, 1)
                limit = limits.get((token, place), sent * 60.0)
                require(
                    sent * 60.0 == limit == wanted * 60.0,
                    f"job {job} is to have {wanted} minutes: its worker is told {sent}, SLURM has {limit} s",
                )

    @tells
    def at_end(self, connection: Connection) -> None:
        """Tables count exactly the results that are there and were not dropped; every other success is superseded."""
        with self.world.user.read() as reading:
            shown = results.rows(reading, "default")
        ours = [row for row in shown if row.job in self.minutes]
        states = dict(rows(connection, "SELECT id, state FROM job"))
        values = {
            job: msgspec.json.decode(metrics)[METRIC]
            for job, metrics in rows(connection, "SELECT job_id, metrics FROM result")
        }
        counting = [value for job, value in values.items() if job in self.minutes and job not in self.dropped]
        expected = [job for job in self.minutes if job not in self.dropped and states[job] != JobState.CANCELLED]
        if counting:
            table = generic.group(ours, ["kind"], [METRIC])
            (group,) = table.groups
            (spread,) = group.spreads
            require(
                (group.n, group.expected, spread.n) == (len(counting), len(expected), len(counting)),
                f"the table counts {group}, the results are {values} without {self.dropped}",
            )
            mean = sum(counting) / len(counting)
            require(abs(mean - (spread.mean or 0.0)) < 1e-9, f"the mean is {spread.mean}, and should be {mean}")
        else:
            require(not any(row.metrics for row in ours), f"results of nobody: {ours}")
        late = rows(
            connection,
            "SELECT e.job_id, e.name FROM execution e LEFT JOIN result r ON r.execution_id = e.id "
            "WHERE e.ending = 'success' AND e.superseded != (r.job_id IS NULL)",
        )
        require(not late, f"successes that are neither the result nor superseded: {late}")
