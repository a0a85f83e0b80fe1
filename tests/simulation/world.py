"""A world: a store, a simulated cluster, a user, and supervisors that may die, stall or be overtaken."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import msgspec

from db import creation, lease
from db.creation import Wanted
from db.launching import Launching, Template
from db.sealing import named_of
from db.seals import VERIFIED, Seal
from db.store import LeaseLost, Store
from jobs import bundles
from jobs.errors import BadInput, StoreError
from jobs.kind import kind_named
from jobs.layout import Layout
from jobs.records import Code
from jobs.resources import Resources
from jobs.words import BackendName
from orchestrator.settings import Settings
from orchestrator.submitting import changing
from orchestrator.submitting.changing import Again, Selection
from orchestrator.supervision.cycle import Cycle
from orchestrator.supervision.slicing import OPTION
from orchestrator.supervision.supervisor import Supervisor
from orchestrator.upkeep.rebuilding import rebuild_all
from slurm.backend import Launch, Submission
from slurm.cluster.backend import SlurmBackend
from slurm.cluster.requeues import Requeues
from tests.simulation.clock import VirtualClock
from tests.simulation.cluster import Cluster
from tests.simulation.commands import Sbatch, SimulatedCommands, Weather
from tests.simulation.faults import Faults
from tests.simulation.flocks import Flocks
from tests.simulation.folder import SharedFolder
from tests.simulation.invariants import Invariants, essence, everything, executions, require
from tests.simulation.minds import Minds
from tests.simulation.patches import simulated
from tests.simulation.tripwire import Crash, Trap, Tripwire
from tests.simulation.workers import Ledger, Nature

SEALED = "5ea1ed" * 10
"""The code of programs that hold the seal."""
MOST_CALM_CYCLES = 250
MOST_MENDINGS = 40


class World:
    """A store, a cluster, a user and whoever supervises. `story` tells what happened.

    `beside`: another store of the same user, whose cluster this one shares, in the other's simulated process.
    """

    def __init__(self, root: Path, seed: int, *, beside: World | None = None) -> None:
        self.root = root
        self.layout = Layout(root)
        self.random: Random = beside.random if beside else Random(f"schedule {seed}")
        self.clock: VirtualClock = beside.clock if beside else VirtualClock()
        self.tripwire: Tripwire = beside.tripwire if beside else Tripwire()
        self.ledger = Ledger()
        self.weather: Weather = beside.weather if beside else Weather()
        self.folder: SharedFolder = beside.folder if beside else SharedFolder(self.clock, self.random)
        self.cluster: Cluster = (
            beside.cluster if beside else Cluster(clock=self.clock, folder=self.folder, random=self.random)
        )
        self.sbatch = Sbatch(self.cluster, self.weather, self.random, self.layout, self.ledger)
        self.commands: list[SimulatedCommands] = []
        """Of every supervisor so far."""
        self.faults = Faults(self.cluster, self.weather, self.random)
        self.invariants = Invariants(self.layout, self.ledger)
        self.minds = Minds(self)
        self.flocks = Flocks(self)
        self.supervisor: Supervisor | None = None
        self.last = Cycle()
        self.story: list[str] = []
        self._alive: set[int] = beside._alive if beside else set()
        self._worlds: list[World] = beside._worlds if beside else []
        self._worlds.append(self)
        self._beside = beside is not None
        self._stalled = False
        self._user: Store | None = None
        self._database: sqlite3.Connection | None = None
        self._seeds = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The simulated process."""
        surroundings = simulated(
            self.clock, self.tripwire, self.random, self._launch, lambda holder: holder.number in self._alive
        )
        with contextlib.nullcontext() if self._beside else surroundings:
            self._user = Store(self.root, create=True)
            try:
                yield
            finally:
                self.close()

    def _launch(self, submission: Submission, exclude: frozenset[str]) -> Launch:
        (world,) = [world for world in self._worlds if Path(submission.folder).is_relative_to(world.root)]
        launch = world.sbatch(submission, exclude)
        world.flocks.within(world.database)
        return launch

    def close(self) -> None:
        for store in (self._user, self.supervisor.tenure.store if self.supervisor else None):
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

    def submit(
        self,
        nature: Nature,
        *,
        minutes: int = 10,
        needs: tuple[int, ...] = (),
        tolerant: bool = False,
        slices: int | None = None,
        bundle: int = 0,
    ) -> int:
        """One job of that nature; `slices`: minutes of the pieces in which it is run, its program having the seal;
        `bundle`: so many like it run at a time in one task."""
        self.flocks.look()
        seed = self.next_seed()
        kind = kind_named("command")
        config = kind.configure({"argv": ("true",)}, "demo")
        template = Template(
            kind=kind.name,
            kind_version=kind.version,
            preset="demo",
            config=msgspec.to_builtins(config),
            launching=Launching(
                backend="slurm",
                resources=Resources(minutes=minutes),
                options={**({OPTION: slices} if slices else {}), **({bundles.OPTION: bundle} if bundle else {})},
                code=Code(snapshot=SEALED) if slices else None,
            ),
        )
        (key,) = kind.keys(config, [seed])
        wanted = Wanted(template=0, seed=seed, key=key, needs=needs, tolerant=tolerant)
        with self.user.write() as writer:
            if slices:
                named = named_of(msgspec.to_builtins(template.launching), kind.name, template.config)
                assert named is not None
                code, program, arguments = named
                at = self.clock.now()
                seal = Seal(code=code, program=program, arguments=arguments, verdict=VERIFIED[0], at=at)
                writer.decide([seal])
            (job,) = creation.ensure(writer, "default", [template], [wanted], self.clock.now()).ids
            self.ledger.natures[job] = nature
        self.invariants.submitted.add(job)
        self.minds.minutes[job] = minutes
        self.ledger.needs[job] = () if tolerant else needs
        behind = f" behind {needs}" if needs else ""
        cut = f" in slices of {slices}" if slices else f" {bundle} at a time" if bundle else ""
        self.tell(f"user: job {job}{behind}, {minutes} minutes{cut}, {nature}")
        return job

    def next_seed(self) -> int:
        """Of a job that nobody submitted yet."""
        self._seeds += 1
        return self._seeds

    def cancel(self, job: int) -> None:
        self.flocks.look()
        with contextlib.suppress(BadInput):
            changing.cancel(self.user, Selection(ids=[job]))
            self.invariants.cancelled.add(job)
            self.flocks.cancelled(job)
            self.tell(f"user: cancel {job}")

    def retry(self, job: int, *, resume: bool = False) -> None:
        self.minds.retry(job, Again(resume=resume))

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
        supervisor = Supervisor(
            store,
            {BackendName.SLURM: lambda: self._backend(store, lambda: supervisor.meanwhile())},
            Settings(),
            number,
            self.clock,
        )
        self.supervisor = supervisor
        self.tell(f"supervisor {number} begins")

    def _backend(self, store: Store, meanwhile: Callable[[], None]) -> SlurmBackend:
        commands = SimulatedCommands(self.cluster, self.weather, self.tripwire, self.random)
        commands.meanwhile = meanwhile
        self.commands.append(commands)
        return SlurmBackend(store.layout, commands=commands, requeues=Requeues(self.clock.monotonic))

    def stop_supervisor(self) -> None:
        """It is killed between two turns."""
        if self.supervisor is not None:
            self._alive.discard(self.supervisor.tenure.number)
            self.supervisor.tenure.store._engine.dispose()
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
            if self.tripwire.power_cut:
                self.tripwire.power_cut = False
                self.tell(f"with its machine, which loses {self.tripwire.disk.cut(self.random) or 'nothing'}")
            if me is None or me is self.supervisor:
                self.stop_supervisor()
        except LeaseLost:
            require(me is not self.supervisor, "the only supervisor lost its lease")
            self.tell("an old supervisor finds its lease lost")
        except StoreError as error:
            trapped = (
                trap is not None
                and trap.what in ("disk_full", "commit_fails", "commit_unclear", "stale")
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
            self.tell(f"supervisor {old.tenure.number} stalls")
            self._stalled = True
            self._alive.discard(old.tenure.number)
            self.supervisor = None
            for _ in range(turns):
                self.clock.advance(15.0)
                self.cluster.beat()
                self.turn()
            before.append(everything(self.database))
            self.tell(f"supervisor {old.tenure.number} goes on")

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
        self.minds.check(self.database)
        self.flocks.check(self.database)
        self.invariants.endings(self.database, self.cluster)
        self.invariants.side_by_side(self.database, self.cluster)

    # ---- the end

    def calm(self) -> None:
        """Nothing fails any more: everything must come to an end, in bounded time, once people do as they are told."""
        self.faults.calm()
        self.tell("calm")
        self._until_idle()
        for _ in range(MOST_MENDINGS):
            if not self.flocks.mend():
                break
            self._until_idle()
        else:
            require(False, f"after {MOST_MENDINGS} times of doing what the messages say, jobs are still held back")
        self.tell("idle")
        self.clock.advance(4000.0)  # whoever still runs somewhere comes to its end
        self.cluster.beat()
        for _ in range(3):
            self.step(30.0)
        self.clock.advance(4000.0)
        living = [task.id for task in self.cluster.tasks if task.live]
        self.invariants.at_end(self.database, self.last.stopped, living)
        self.minds.at_end(self.database)
        self.invariants.launches(self.database, self.sbatch.launched, stalled=self._stalled)
        for _ in range(3):
            self.step(30.0)
        before = executions(self.database)
        open_ones = [row for row in before if row[-1]]
        require(not open_ones, f"executions that are gone are shown as running: {open_ones}")
        self.rebuild()
        for _ in range(3):
            self.step(30.0)
        after = executions(self.database)
        odd = sorted(set(before) ^ set(after), key=str)
        require(not odd, f"the executions differ after a rebuild: {odd}")
        self.invariants.at_end(self.database, self.last.stopped, living)
        self.minds.at_end(self.database)

    def _until_idle(self) -> None:
        waits = 0
        for cycle in range(MOST_CALM_CYCLES):
            self.step(15.0 if cycle < 40 else 60.0)
            if self.last.stopped and self.last.idle and waits < 3:
                waits += 1
                self.clock.advance(3700.0)  # the sentence says when it goes on
            elif self.last.idle and self.supervisor is not None and self.supervisor.leave():
                self.stop_supervisor()
                return
        states = essence(self.database)["jobs"]
        require(False, f"no end after {MOST_CALM_CYCLES} cycles: {states}; {self.last}")
