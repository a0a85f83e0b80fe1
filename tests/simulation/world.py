"""A world: a store, a simulated cluster, a user, and supervisors that may die, stall or be overtaken."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec

from db import jobs, lease
from db.entries import Launching, Template
from db.jobs import Wanted
from db.store import LeaseLost, Store
from jobs.errors import BadInput, StoreError
from jobs.kind import Resources, kind_named
from jobs.layout import Layout
from jobs.words import BackendName
from orchestrator import changing
from orchestrator.changing import Selection
from orchestrator.rebuilding import rebuild_all
from orchestrator.settings import Settings
from orchestrator.supervisor import Cycle, Supervisor
from slurm.requeues import Requeues
from slurm.slurm_backend import SlurmBackend
from tests.simulation.clock import VirtualClock
from tests.simulation.cluster import Cluster
from tests.simulation.commands import Sbatch, SimulatedCommands, Weather
from tests.simulation.faults import Faults
from tests.simulation.folder import SharedFolder
from tests.simulation.invariants import Invariants, essence, everything, require
from tests.simulation.patches import simulated
from tests.simulation.tripwire import Crash, Trap, Tripwire
from tests.simulation.workers import Ledger, Nature

MOST_CALM_CYCLES = 250


class World:
    """A store, a cluster, a user and whoever supervises. `story` tells what happened."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.layout = Layout(root)
        self.random = Random(f"schedule {seed}")
        self.clock = VirtualClock()
        self.tripwire = Tripwire()
        self.ledger = Ledger()
        self.weather = Weather()
        self.folder = SharedFolder(self.clock, self.random)
        self.cluster = Cluster(
            layout=self.layout, clock=self.clock, folder=self.folder, random=self.random, ledger=self.ledger
        )
        self.sbatch = Sbatch(self.cluster, self.weather, self.random)
        self.faults = Faults(self.cluster, self.weather, self.random)
        self.invariants = Invariants(self.layout, self.ledger)
        self.supervisor: Supervisor | None = None
        self.last = Cycle()
        self.story: list[str] = []
        self._alive: set[int] = set()
        self._stalled = False
        self._user: Store | None = None
        self._database: sqlite3.Connection | None = None
        self._seeds = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The simulated process."""
        with simulated(
            self.clock, self.tripwire, self.random, self.sbatch, lambda holder: holder.number in self._alive
        ):
            self._user = Store(self.root, create=True)
            try:
                yield
            finally:
                self.close()

    def close(self) -> None:
        for store in (self._user, self.supervisor.store if self.supervisor else None):
            if store is not None:
                store._engine.dispose()
        if self._database is not None:
            self._database.close()
        self._user, self.supervisor, self._database = None, None, None

    @property
    def user(self) -> Store:
        """The store as the user's commands open it."""
        assert self._user is not None
        return self._user

    @property
    def database(self) -> sqlite3.Connection:
        """A plain connection to look with."""
        if self._database is None:
            self._database = sqlite3.connect(self.layout.database)
        return self._database

    def tell(self, text: str) -> None:
        self.story.append(f"{self.clock.seconds - 1000.0:8.1f}  {text}")

    # ---- the user

    def submit(self, nature: Nature, *, minutes: int = 10, needs: tuple[int, ...] = (), tolerant: bool = False) -> int:
        """One job of that nature."""
        self._seeds += 1
        kind = kind_named("command")
        config = kind.configure({"argv": ("true",)}, "demo")
        template = Template(
            kind=kind.name,
            kind_version=kind.version,
            preset="demo",
            config=msgspec.to_builtins(config),
            launching=Launching(backend="slurm", resources=Resources(minutes=minutes)),
        )
        (key,) = kind.keys(config, [self._seeds])
        wanted = Wanted(template=0, seed=self._seeds, key=key, needs=needs, tolerant=tolerant)
        with self.user.write() as writer:
            (job,) = jobs.ensure(writer, "default", [template], [wanted], self.clock.now()).ids
            self.ledger.natures[job] = nature
        self.invariants.submitted.add(job)
        behind = f" behind {needs}" if needs else ""
        self.tell(f"user: job {job}{behind}, {minutes} minutes, {nature}")
        return job

    def cancel(self, job: int) -> None:
        with contextlib.suppress(BadInput):
            changing.cancel(self.user, Selection(ids=[job]))
            self.invariants.cancelled.add(job)
            self.tell(f"user: cancel {job}")

    def retry(self, job: int, *, resume: bool = False) -> None:
        with contextlib.suppress(BadInput):
            changing.retry(self.user, Selection(ids=[job]), resume=resume)
            self.invariants.cancelled.discard(job)
            self.tell(f"user: retry {job}")

    def rebuild(self) -> None:
        """The database is lost, and made anew from the journal; nothing that counts may change by it."""
        if self.supervisor is not None:
            self.stop_supervisor()
        with self.user.write() as writer:  # what a crash left ahead of the database is decided
            writer.catch_up()
        before = essence(self.database)
        self.close()
        store = rebuild_all(self.root, lambda done, total: None)
        after = essence(self.database)
        self._user = store
        self.tell("the database is rebuilt from the journal")
        for name in before:
            gone = [row for row in before[name] if row not in after[name]]
            new = [row for row in after[name] if row not in before[name]]
            require(not gone and not new, f"the rebuilt {name} differ: {gone} became {new}")

    # ---- the supervisor

    def begin_supervisor(self) -> None:
        """A new process takes the lease."""
        store = Store(self.root)
        number = lease.take(store)
        assert number is not None, "the lease is free or its holder is dead"
        self._alive.add(number)
        self.supervisor = Supervisor(
            store, {BackendName.SLURM: lambda: self._backend(store)}, Settings(), number, self.clock
        )
        self.tell(f"supervisor {number} begins")

    def _backend(self, store: Store) -> SlurmBackend:
        commands = SimulatedCommands(self.cluster, self.weather, self.tripwire, self.random)
        backend = SlurmBackend(store.layout, commands=commands)
        backend.requeues = Requeues(self.clock.monotonic)
        return backend

    def stop_supervisor(self) -> None:
        """It is killed between two turns."""
        if self.supervisor is not None:
            self._alive.discard(self.supervisor.number)
            self.supervisor.store._engine.dispose()
            self.supervisor = None

    def turn(self, trap: Trap | None = None) -> None:
        """One cycle of the supervisor, begun where there is none. Under the trap it may die, or meet an error."""
        me: Supervisor | None = None
        self.tripwire.sprung = ""
        try:
            with self.tripwire.watching(trap):
                if self.supervisor is None:
                    self.begin_supervisor()
                me = self.supervisor
                assert me is not None
                self.last = me.cycle(observe=[BackendName.SLURM])
        except Crash as crash:
            self.tell(f"supervisor dies at I/O '{crash}'")
            if me is None or me is self.supervisor:
                self.stop_supervisor()
        except LeaseLost:
            require(me is not self.supervisor, "the only supervisor lost its lease")
            self.tell("an old supervisor finds its lease lost")
        except StoreError as error:
            trapped = (
                trap is not None
                and trap.what in ("disk_full", "commit_fails", "commit_unclear")
                and self.tripwire.sprung != ""
            )
            if not trapped:
                raise
            self.tell(f"supervisor at '{self.tripwire.sprung}': {error}")

    def overtaken(self, turns: int) -> Trap:
        """Another supervisor takes over while this one stalls; what it writes afterwards must not count."""
        before: list[object] = []

        def take_over() -> None:
            old = self.supervisor
            if old is None:
                return
            self.tell(f"supervisor {old.number} stalls")
            self._stalled = True
            self._alive.discard(old.number)
            self.supervisor = None
            for _ in range(turns):
                self.clock.advance(15.0)
                self.cluster.beat()
                self.turn()
            before.append(everything(self.database))
            self.tell(f"supervisor {old.number} goes on")

        self._overtaken = before
        return Trap(0, "meanwhile", take_over)

    def nothing_written_since(self) -> None:
        """By the supervisor that was overtaken."""
        if self._overtaken:
            require(everything(self.database) == self._overtaken[0], "a supervisor without the lease wrote")

    def step(self, seconds: float, trap: Trap | None = None) -> None:
        """Time passes, the supervisor has its turn, and everything that must hold is checked."""
        self.clock.advance(seconds)
        self.cluster.beat()
        self.turn(trap)
        self.invariants.after_step(self.database)
        self.invariants.endings(self.database, self.cluster)

    # ---- the end

    def calm(self) -> None:
        """Nothing fails any more: everything must come to an end, in bounded time."""
        self.faults.calm()
        self.tell("calm")
        waits = 0
        for cycle in range(MOST_CALM_CYCLES):
            self.step(15.0 if cycle < 40 else 60.0)
            if self.last.stopped and self.last.idle and waits < 3:
                waits += 1
                self.clock.advance(3700.0)  # the sentence says when it goes on
            elif self.last.idle and self.supervisor is not None and self.supervisor.leave():
                self.stop_supervisor()
                break
        else:
            states = essence(self.database)["jobs"]
            require(False, f"no end after {MOST_CALM_CYCLES} cycles: {states}; {self.last}")
        self.tell("idle")
        self.clock.advance(4000.0)  # whoever still runs somewhere comes to its end
        self.cluster.beat()
        for _ in range(3):
            self.step(30.0)
        self.clock.advance(4000.0)
        living = [task.id for task in self.cluster.tasks if task.live]
        self.invariants.at_end(self.database, self.last.stopped, living)
        self.invariants.launches(self.database, self.sbatch.launched, stalled=self._stalled)
        self.rebuild()
        self.invariants.at_end(self.database, self.last.stopped, living)
