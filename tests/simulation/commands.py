"""How the simulated SLURM answers the commands that orch runs: the text of squeue, sacct, scontrol, scancel, sinfo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from jobs.errors import OrchError
from jobs.layout import Layout
from slurm.backend import Submission
from slurm.cluster import hostlist
from slurm.cluster.commands import CommandFailed, Commands, Reply
from slurm.cluster.refusals import of_sbatch
from tests.simulation.cluster import Cluster
from tests.simulation.tasks import Run, Task
from tests.simulation.tripwire import Tripwire
from tests.simulation.workers import Ledger

KILLED_SECONDS = 65.0
"""sbatch's time limit and the grace after it (`LaunchSettings.launch_seconds`)."""
HANGING_SECONDS = 20
"""How long a command is waited for (`Commands.timeout_s`)."""
ASKED = ("MinMemoryNode", "NumCPUs", "CPUsPerTask", "Nice", "Partition")
"""What may be changed of a waiting task besides its time, in scontrol's words."""
NO_ANSWER = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"


@dataclass
class Weather:
    """How well SLURM answers just now. Probabilities are per command."""

    accounting: str = "on"
    """'on', 'off' (no slurmdbd), 'fails' or 'stale' (it answers with what it knew at `stale_at`)."""
    stale_at: float = 0.0
    query_fails: float = 0.0
    reply_lost: float = 0.0
    """The command was carried out, and yet it reports an error."""
    query_hangs: float = 0.0
    """The command does not answer at all."""
    sbatch_seconds: float = 0.0
    """sbatch takes up to so long, and is accepted at some moment of it; from KILLED_SECONDS on it is killed."""
    sbatch_lost: float = 0.0
    """sbatch reports a time-out, and the job appears (at once, or up to `sbatch_late` seconds later)."""
    sbatch_late: float = 0.0
    sbatch_fails: float = 0.0
    """sbatch reports that it got no answer, and there is no job."""
    sbatch_limit: float = 0.0
    sbatch_refused: float = 0.0


class SimulatedCommands(Commands):
    """`slurm.cluster.commands.Commands` without processes."""

    def __init__(self, cluster: Cluster, weather: Weather, tripwire: Tripwire, random: Random) -> None:
        super().__init__()
        self.cluster, self.weather, self.tripwire, self.random = cluster, weather, tripwire, random
        self.touched: set[str] = set()
        """Names of the tasks that scancel and scontrol were told to change."""

    def run(self, arguments: Sequence[str]) -> Reply:
        command = arguments[0]
        self.counts[command] += 1
        self.tripwire.point(command)
        if self.random.random() < self.weather.query_hangs:
            self._hang()
            raise CommandFailed(command, f"no answer within {HANGING_SECONDS} s", None)
        with self.tripwire.elsewhere():
            reply = self._answer(list(arguments))
        self.tripwire.point(f"{command} replied")
        return reply

    def _hang(self) -> None:
        for _ in range(HANGING_SECONDS):
            with self.tripwire.elsewhere():
                self.cluster.clock.advance(1.0)
                self.cluster.beat()
            self.meanwhile()

    def _answer(self, arguments: list[str]) -> Reply:
        command, weather = arguments[0], self.weather
        if command == "sacct":
            return self._sacct(arguments)
        if not self.cluster.up or self.random.random() < weather.query_fails:
            if self.random.random() < 0.2:
                raise CommandFailed(command, "no answer within 20 s", None)
            return Reply(1, "", NO_ANSWER)
        answers: dict[str, Callable[[list[str]], Reply]] = {
            "squeue": self._squeue,
            "sinfo": self._sinfo,
            "scontrol": self._scontrol,
            "scancel": self._scancel,
        }
        reply = answers[command](arguments)
        if command in ("scontrol", "scancel") and self.random.random() < weather.reply_lost:
            return Reply(1, "", "slurm_update error: Unable to contact slurm controller (connect failure)")
        return reply

    # ---- queries

    def _squeue(self, arguments: list[str]) -> Reply:
        lines = []
        pending_only, detailed = "PENDING" in arguments, "Nice" in arguments[-1]
        for task in self.cluster.tasks:
            if not task.in_queue or (pending_only and task.state != "PENDING"):
                continue
            index = "N/A" if task.index is None else str(task.index)
            if pending_only:
                exclude = ",".join(sorted(task.exclude)) or "(null)"
                lines.append(f"{task.job}|{index}|{exclude}|{task.asked['Partition']}|{task.name}")
                continue
            if detailed:
                asked = [task.asked[word] for word in ASKED]
                lines.append(
                    "|".join([str(task.job), index, task.state, f"{task.limit // 60:.0f}:00", *asked, task.name])
                )
                continue
            status = (task.code << 8) | task.signal
            columns = (task.job, index, task.state, status, task.restarts, task.node, task.reason, task.name)
            lines.append("|".join(map(str, columns)))
        return Reply(0, "\n".join([*lines, "999|N/A|RUNNING|0|0|n1|None|of somebody|else"]) + "\n", "")

    def _sacct(self, arguments: list[str]) -> Reply:
        kind, at = self.weather.accounting, self.cluster.clock.seconds
        if kind == "off":
            return Reply(1, "", "Slurm accounting storage is disabled")
        if kind == "fails" or self.random.random() < self.weather.query_fails:
            return Reply(1, "", "sacct: error: slurm_persist_conn_open: failed to send persistent connection init")
        if kind == "stale":
            at = min(at, self.weather.stale_at)
        if "-j" in arguments:
            ids = set(arguments[arguments.index("-j") + 1].split(","))
            tasks = [task for task in self.cluster.tasks if str(task.job) in ids]
        else:
            names = set(arguments[arguments.index("--name") + 1].split(","))
            tasks = [task for task in self.cluster.tasks if task.name in names]
        lines = [_record(task, run, at) for task in tasks for run in task.runs]
        return Reply(0, "".join(line for line in lines if line), "")

    def _sinfo(self, arguments: list[str]) -> Reply:
        return Reply(0, "".join(f"main*|{node.state}|{node.name}\n" for node in self.cluster.nodes.values()), "")

    # ---- changes

    def _named(self, words: Iterable[str]) -> list[Task]:
        wanted = set(words)
        found = [task for task in self.cluster.tasks if task.live and (task.id in wanted or str(task.job) in wanted)]
        self.touched.update(task.name for task in found)
        return found

    def _scontrol(self, arguments: list[str]) -> Reply:
        if arguments[1] == "show":
            return Reply(0, f"MaxArraySize            = {self.cluster.max_array}\n", "")
        if arguments[1] == "release":
            for task in self._named(arguments[2].split(",")):
                if task.state == "PENDING" and "held" in task.reason.lower():
                    task.reason, task.begin = "None", self.cluster.clock.seconds
            self.cluster.kick()
            return Reply(0, "", "")
        assert arguments[1] == "update", f"the simulation knows no {' '.join(arguments)}"
        values = dict(word.split("=", 1) for word in arguments[2:])
        errors = []
        for task in self._named(values["jobid"].split(",")):
            if task.state != "PENDING":
                errors.append(f"{task.id}: Job is no longer pending execution")
            elif "ExcNodeList" in values:
                task.exclude = frozenset(hostlist.expand(values["ExcNodeList"]))
            elif "TimeLimit" in values or values.keys() & set(ASKED):
                task.limit = float(values.get("TimeLimit", task.limit / 60)) * 60.0
                task.asked |= {word: values[word] for word in ASKED if word in values}
                if "MinMemoryNode" in values:
                    task.asked["MinMemoryNode"] += "M"
            elif values.get("StartTime") == "now":
                task.begin = self.cluster.clock.seconds
        self.cluster.kick()
        return Reply(1 if errors else 0, "", "\n".join(errors))

    def _scancel(self, arguments: list[str]) -> Reply:
        for task in self._named(arguments[1:]):
            if task.state in ("PENDING", "RUNNING"):
                self.cluster.end(task, "CANCELLED", who="0")
        return Reply(0, "", "")


def _record(task: Task, run: Run, at: float) -> str:
    said = run.at(at)
    if said is None:
        return ""
    state = f"{said.state} by {said.who}" if said.who else said.state
    return f"{task.id}|{state}|{said.code}:{said.signal}|{said.node or 'None assigned'}|None|{task.name}\n"


class Sbatch:
    """What `slurm.cluster.sbatch.begin` comes down to: processes that go on whatever becomes of who began them."""

    def __init__(self, cluster: Cluster, weather: Weather, random: Random, layout: Layout, ledger: Ledger) -> None:
        self.cluster, self.weather, self.random = cluster, weather, random
        self.layout, self.ledger = layout, ledger
        self.launched: dict[str, int] = {}
        """Token → how many jobs were made with it."""
        self.flights: list[Flight] = []

    def __call__(self, submission: Submission, exclude: frozenset[str]) -> Flight:
        weather, random = self.weather, self.random
        takes = random.uniform(0.0, weather.sbatch_seconds)
        killed = takes >= KILLED_SECONDS
        takes = min(takes, KILLED_SECONDS)
        flight = Flight(self.cluster, self.cluster.clock.seconds + takes)
        self.flights.append(flight)
        if killed:
            flight.error = of_sbatch("", 124)
            if random.random() < 0.5:
                return flight  # it never came through

        def accept() -> None:
            answer = self._accept(submission, exclude)
            if not killed:
                flight.native, flight.error = (answer, None) if isinstance(answer, str) else (None, answer)

        moment = random.uniform(0.0, takes)
        if moment:
            self.cluster.clock.after(moment, accept)
        else:
            accept()
        return flight

    def _accept(self, submission: Submission, exclude: frozenset[str]) -> str | OrchError:
        """The controller's answer at that moment."""
        weather, chance = self.weather, self.random.random()
        if not self.cluster.up or chance < weather.sbatch_fails:
            return of_sbatch("sbatch: error: Batch job submission failed: Unable to contact slurm controller", 1)
        if self.random.random() < weather.sbatch_limit:
            return of_sbatch("sbatch: error: AssocMaxSubmitJobLimit\nJob violates accounting/QOS policy", 1)
        if self.random.random() < weather.sbatch_refused:
            return of_sbatch("sbatch: error: Batch job submission failed: Invalid partition name specified", 1)
        if self.random.random() < weather.sbatch_lost:
            delay = self.random.uniform(0.0, weather.sbatch_late)
            self.cluster.clock.after(delay, lambda: self._make_late(submission, exclude))
            return of_sbatch("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", 1)
        if self.cluster.nodes.keys() <= exclude | submission.batch.jobs[0].avoid:
            said = "sbatch: error: Batch job submission failed: Requested node configuration is not available"
            return of_sbatch(said, 1)
        return self._make(submission, exclude)

    def _make_late(self, submission: Submission, exclude: frozenset[str]) -> None:
        self._make(submission, exclude)

    def _make(self, submission: Submission, exclude: frozenset[str]) -> str:
        self.launched[submission.token] = self.launched.get(submission.token, 0) + 1
        jobs = submission.batch.jobs
        folder = Path(submission.folder)
        wanted, slurm = jobs[0].resources, dict(jobs[0].options.get("slurm") or {})
        limit, exclude = wanted.minutes * 60.0, exclude | jobs[0].avoid
        said = (f"{wanted.memory_mb}M", wanted.cpus, wanted.cpus, slurm.get("nice", 0), slurm.get("partition", "main"))
        asked = {word: str(value) for word, value in zip(ASKED, said, strict=True)}
        return str(
            self.cluster.submit(
                submission.token,
                folder,
                submission.tasks,
                limit,
                exclude,
                self.layout,
                self.ledger,
                asked,
                alone=jobs[0].pieces > 0,
                bundle=submission.batch.bundle,
            )
        )


@dataclass
class Flight:
    """An sbatch in flight until `until`."""

    cluster: Cluster
    until: float
    native: str | None = None
    error: OrchError | None = None

    def poll(self) -> str | None:
        if self.cluster.clock.seconds < self.until:
            return None
        if self.error is not None:
            raise self.error
        assert self.native is not None
        return self.native
