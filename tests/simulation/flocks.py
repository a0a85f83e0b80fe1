"""A user who lets one of many jobs go first, and who limits a study: what holds jobs back, and what lets them go.

Who waits for whom is kept here, and moves only by what a person did or by what really became of a canary.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta
from sqlite3 import Connection
from typing import TYPE_CHECKING

import msgspec

from db import creation
from db.creation import Wanted
from db.launching import Launching, Template
from db.text import parse_time
from jobs.errors import BadInput
from jobs.kind import kind_named
from jobs.resources import Resources
from orchestrator.submitting import canaries, restraints
from orchestrator.submitting.changing import Again, Selection
from orchestrator.submitting.request import Request
from orchestrator.supervision.canaries import QUEUE_PATIENCE, RUNS_WELL
from tests.helpers.story import tells
from tests.simulation.invariants import require, rows
from tests.simulation.workers import Nature

if TYPE_CHECKING:
    from tests.simulation.world import World

STUDY = "default"
UNLIMITED = 1_000_000


class Flocks:
    """Of one store's user."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.layout = world.layout
        self.behind: dict[int, int] = {}
        """Job → the canary that it waits for."""
        self.failed: dict[int, int] = {}
        """Canary → the generation that had failed at the last look."""
        self.most = self.fails = UNLIMITED
        self.stopped = False
        """At the last look too many had failed: nothing is sent."""
        self._mosts = [UNLIMITED]
        """The limits that held since the last look."""
        self._seen: set[tuple[int, int]] = set()
        """(job, number) of the attempts at the last look."""

    # ---- what the user does

    def submit(self, natures: list[Nature], program: str, *, wanted: bool | None = True) -> list[int]:
        """`orch submit` of many jobs of one program: the first of them goes first, or an open canary of it goes."""
        world, kind = self.world, kind_named("command")
        self.look()
        seeds = [world.next_seed() for _ in natures]
        config = kind.configure({"argv": ("true", program)}, "demo")
        template = Template(
            kind=kind.name,
            kind_version=kind.version,
            preset="demo",
            config=msgspec.to_builtins(config),
            launching=Launching(backend="slurm", resources=Resources(minutes=10)),
        )
        keys = kind.keys(config, seeds)
        made = [Wanted(template=0, seed=seed, key=key) for seed, key in zip(seeds, keys, strict=True)]
        request = Request(kind="command", seeds=seeds, study=STUDY, preset="demo", canary=wanted)
        at = world.clock.now()
        with world.user.write() as writer:
            ensured = creation.ensure(writer, STUDY, [template], made, at)
            said = canaries.restrain(writer, request, ensured, at, dry_run=False)
            ids = list(ensured.ids)
            world.ledger.natures.update(zip(ids, natures, strict=True))
        world.invariants.submitted.update(ids)
        world.minds.minutes.update(dict.fromkeys(ids, 10))
        world.ledger.needs.update(dict.fromkeys(ids, ()))
        world.tell(f"user: jobs {ids} of '{program}': {'; '.join(said) or 'all at once'}")
        found = self._behind(world.database)
        mine = {job: found[job] for job in ids if job in found}
        canary = next(iter(mine.values()), None)
        expected = {} if canary is None else {job: canary for job in ids if job != canary}
        require(mine == expected, f"jobs {ids} wait for {mine}, and should wait for one canary")
        require(canary is not None or wanted is not True or len(ids) == 1, f"jobs {ids} go without a canary")
        self.behind |= mine
        self.agree()
        return ids

    def let_go(self, job: int) -> None:
        """`orch set JOB --no-canary`."""
        self.look()
        with contextlib.suppress(BadInput):
            gone = restraints.let_go(self.world.user, Selection(ids=[job]))
            expected = sorted(one for one, canary in self.behind.items() if job in (one, canary))
            require(gone == expected, f"'set {job} --no-canary' lets {gone} go, and should {expected}")
            self.behind = {one: canary for one, canary in self.behind.items() if one not in gone}
            self.world.tell(f"user: set {job} --no-canary, so {gone} go")
        self.agree()

    def limit(self, max_running: int | None, max_fails: int | None) -> None:
        """`orch set --max-running N --max-fails N`; 0: none."""
        self.look()
        restraints.set_limits(self.world.user, STUDY, max_running, max_fails)
        self.most = self.most if max_running is None else max_running or UNLIMITED
        self.fails = self.fails if max_fails is None else max_fails or UNLIMITED
        self._mosts.append(self.most)
        self.world.tell(f"user: set --max-running {max_running} --max-fails {max_fails}")
        self.agree()

    def cancelled(self, job: int) -> None:
        """A person took it back: it waits for nothing, and is no canary."""
        self.behind.pop(job, None)
        self._hand_on(job)
        self.agree()

    def dropped(self, job: int) -> None:
        """A person took its result out: nothing of it, unless it is a canary that has failed."""
        if self._state(job)[0] == "failed":
            self._hand_on(job)
        self.agree()

    def _hand_on(self, canary: int) -> None:
        waiting = sorted(one for one, behind in self.behind.items() if behind == canary)
        if waiting:
            first, *others = waiting
            del self.behind[first]
            self.behind |= dict.fromkeys(others, first)

    # ---- what must hold

    def look(self) -> None:
        """What has happened until now was the supervisor's doing, or a crash's."""
        with self.world.user.write() as writer:
            writer.catch_up()
        self.check(self.world.database)

    def agree(self) -> None:
        """After what a person did: exactly that has changed, and from now on other rules may hold."""
        found = self._behind(self.world.database)
        require(found == self.behind, f"jobs wait for {found}, and should wait for {self.behind}")
        self._remember(self.world.database)

    @tells
    def check(self, connection: Connection) -> None:
        """After every step: nobody went before the canary had told enough, nor beyond the limits."""
        found = self._behind(connection)
        looked: set[int] = set()
        while (
            more := set(self.behind.values()) - looked
        ):  # one may hand on, and the next tell enough, between two looks
            looked |= more
            for canary in sorted(more):
                self._follow(connection, canary, found)
        require(found == self.behind, f"jobs wait for {found}, and should wait for {self.behind}")
        early = {started.job for started in self.world.ledger.started.values()} & found.keys()
        sent = [
            job
            for (job,) in rows(
                connection, "SELECT a.job_id FROM attempt a JOIN job j ON j.id = a.job_id WHERE j.behind IS NOT NULL"
            )
        ]
        require(
            not early and not sent, f"jobs {sorted(early)} ran and {sent} were sent before their canary told enough"
        )
        new = self._attempts(connection) - self._seen
        if new:
            require(
                not (self.stopped and self._failures(connection) >= self.fails),
                f"jobs {sorted(new)} were sent, and {self.fails} had failed",
            )
            self.within(connection)
        self._remember(connection)

    def _follow(self, connection: Connection, canary: int, found: dict[int, int]) -> None:
        """All that wait for it are as they were; or it told enough, and none waits; or it counts no more."""
        waiting = {job for job, behind in self.behind.items() if behind == canary}
        if all(found.get(job) == canary for job in waiting):
            return
        state, generation, dropped = self._state(canary)
        why = self._told(connection, canary, generation)
        over = state == "cancelled" or (state == "failed" and dropped)  # by an administrator, or by a person here
        if over and not (why and waiting.isdisjoint(found)):  # else it had told enough before
            self._hand_on(canary)
            return
        halted = not over and state == "failed" and self.failed.get(canary) == generation
        require(not halted, f"canary job {canary} has failed, and jobs {sorted(waiting)} do not wait for it")
        require(bool(why), f"jobs {sorted(waiting)} follow canary job {canary}, which has told nothing")
        self.world.tell(f"jobs {sorted(waiting)} follow canary job {canary}: {why}")
        self.behind = {job: behind for job, behind in self.behind.items() if behind != canary}

    def _told(self, connection: Connection, canary: int, generation: int) -> str:
        """What really became of the canary that lets the others follow; '' for nothing."""
        world = self.world
        for path, started in world.ledger.started.items():
            if started.job == canary and started.generation == generation:
                outcome = world.ledger.outcomes.get(path)
                if outcome is not None and outcome.ending == "success":
                    return "it has succeeded"
                if (path / "metrics.jsonl").exists():  # a folder that lags may show it before ready.json
                    return "it has reported a metric"
                ran = world.clock.seconds - started.process_start
                if (path / "ready.json").exists() and ran >= RUNS_WELL.total_seconds():
                    return "it has run well"
        sent = rows(
            connection,
            "SELECT s.created_at FROM attempt a JOIN job j ON j.id = a.job_id JOIN submission s ON s.token = a.token "
            f"WHERE j.id = {canary} AND a.number = j.attempts AND s.native_id IS NOT NULL",
        )
        waited = [world.clock.now() - parse_time(at) for (at,) in sent]
        return "it has waited in the queue" if max(waited, default=timedelta()) >= QUEUE_PATIENCE else ""

    def within(self, connection: Connection) -> None:
        """When something is sent: no more jobs are with the machines than the study may have there.

        A limit holds for what is dispatched from then on: what was before is launched all the same.
        """
        if self._attempts(connection) <= self._seen:
            return
        there = {job for (job,) in rows(connection, "SELECT job_id FROM attempt WHERE state != 'ended'")}
        own = rows(connection, "SELECT token, position, job_id, number FROM attempt")
        for task in self.world.cluster.tasks:
            if task.live and not task.again and not self.layout.given_up(task.name).exists():
                mine = [row[1:] for row in own if row[0] == task.name]
                there |= {job for place, job, number in mine if task.holds(place, job, number)}
        most = max(self._mosts)
        require(len(there) <= most, f"jobs {sorted(there)} are with the machines at once, and {most} may be")

    def blocked(self) -> list[int]:
        """The canaries that have failed and are waited for."""
        return [canary for canary in sorted(set(self.behind.values())) if self._state(canary)[0] == "failed"]

    def mend(self) -> bool:
        """The user does what the messages say, one way or another; False: nothing is held up for their sake."""
        self.look()
        world, random = self.world, self.world.random
        for canary in self.blocked():
            way = random.choice(("retry", "no canary", "drop"))
            if way == "retry":
                for job in (canary, *(one for one, behind in self.behind.items() if behind == canary)):
                    world.ledger.natures[job] = replace(world.ledger.natures[job], error_at=None)
                world.minds.retry(canary, Again())
            elif way == "no canary":
                self.let_go(canary)
            elif canary not in world.minds.dropped:
                world.minds.drop(canary)
            return True
        if self._failures(world.database) >= self.fails:
            if random.random() < 0.5:
                self.limit(None, 0)
            else:
                self.limit(None, self._failures(world.database) + self.fails)
            return True
        return False

    # ---- looking

    def _remember(self, connection: Connection) -> None:
        self._seen = self._attempts(connection)
        self._mosts = [self.most]
        self.stopped = self._failures(connection) >= self.fails
        self.failed = {
            canary: state[1] for canary in set(self.behind.values()) if (state := self._state(canary))[0] == "failed"
        }

    def _state(self, job: int) -> tuple[str, int, bool]:
        """(state, generation, dropped)."""
        query = f"SELECT state, generation, dropped IS NOT NULL FROM job WHERE id = {job}"
        ((state, generation, dropped),) = rows(self.world.database, query)
        return state, generation, bool(dropped)

    @staticmethod
    def _behind(connection: Connection) -> dict[int, int]:
        return dict(rows(connection, "SELECT id, behind FROM job WHERE behind IS NOT NULL"))

    @staticmethod
    def _attempts(connection: Connection) -> set[tuple[int, int]]:
        return {(job, number) for job, number in rows(connection, "SELECT job_id, number FROM attempt")}

    @staticmethod
    def _failures(connection: Connection) -> int:
        return int(rows(connection, "SELECT count(*) FROM job WHERE state = 'failed'")[0][0])
