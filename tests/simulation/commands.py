"""How the simulated SLURM answers the commands that orch runs: the text of squeue, sacct, scontrol, scancel, sinfo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from slurm import hostlist
from slurm.backend import Submission
from slurm.commands import CommandFailed, Commands, Reply
from slurm.refusals import of_sbatch
from tests.simulation.cluster import Cluster, Run, Task
from tests.simulation.tripwire import Tripwire

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
    sbatch_lost: float = 0.0
    """sbatch reports a time-out, and the job appears (at once, or up to `sbatch_late` seconds later)."""
    sbatch_late: float = 0.0
    sbatch_fails: float = 0.0
    """sbatch reports that it got no answer, and there is no job."""
    sbatch_limit: float = 0.0
    sbatch_refused: float = 0.0


class SimulatedCommands(Commands):
    """`slurm.commands.Commands` without processes."""

    def __init__(self, cluster: Cluster, weather: Weather, tripwire: Tripwire, random: Random) -> None:
        super().__init__()
        self.cluster, self.weather, self.tripwire, self.random = cluster, weather, tripwire, random

    def run(self, arguments: Sequence[str]) -> Reply:
        command = arguments[0]
        self.counts[command] += 1
        self.tripwire.point(command)
        with self.tripwire.elsewhere():
            reply = self._answer(list(arguments))
        self.tripwire.point(f"{command} replied")
        return reply

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
        pending_only = "PENDING" in arguments
        for task in self.cluster.tasks:
            if not task.in_queue or (pending_only and task.state != "PENDING"):
                continue
            index = "N/A" if task.index is None else str(task.index)
            if pending_only:
                exclude = ",".join(sorted(task.exclude)) or "(null)"
                lines.append(f"{task.job}|{index}|{exclude}|{task.name}")
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
        return [task for task in self.cluster.tasks if task.live and (task.id in wanted or str(task.job) in wanted)]

    def _scontrol(self, arguments: list[str]) -> Reply:
        if arguments[1] == "show":
            return Reply(0, "MaxArraySize            = 4\n", "")
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
            elif values.get("StartTime") == "now":
                task.begin = self.cluster.clock.seconds
        self.cluster.kick()
        return Reply(1 if errors else 0, "", "\n".join(errors))

    def _scancel(self, arguments: list[str]) -> Reply:
        if arguments[1] == "--name":
            names = set(arguments[2].split(","))
            tasks = [task for task in self.cluster.tasks if task.live and task.name in names]
        else:
            tasks = self._named(arguments[1:])
        for task in tasks:
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
    """What `slurm.sbatch.submit` comes down to."""

    def __init__(self, cluster: Cluster, weather: Weather, random: Random) -> None:
        self.cluster, self.weather, self.random = cluster, weather, random
        self.launched: dict[str, int] = {}
        """Token → how many jobs were made with it."""

    def __call__(self, submission: Submission, exclude: frozenset[str]) -> str:
        weather, chance = self.weather, self.random.random()
        if not self.cluster.up or chance < weather.sbatch_fails:
            raise of_sbatch("sbatch: error: Batch job submission failed: Unable to contact slurm controller", 1)
        if self.random.random() < weather.sbatch_limit:
            raise of_sbatch("sbatch: error: AssocMaxSubmitJobLimit\nJob violates accounting/QOS policy", 1)
        if self.random.random() < weather.sbatch_refused:
            raise of_sbatch("sbatch: error: Batch job submission failed: Invalid partition name specified", 1)
        if self.random.random() < weather.sbatch_lost:
            delay = self.random.uniform(0.0, weather.sbatch_late)
            self.cluster.clock.after(delay, lambda: self._make_late(submission, exclude))
            raise of_sbatch("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", 1)
        return self._make(submission, exclude)

    def _make_late(self, submission: Submission, exclude: frozenset[str]) -> None:
        self._make(submission, exclude)

    def _make(self, submission: Submission, exclude: frozenset[str]) -> str:
        self.launched[submission.token] = self.launched.get(submission.token, 0) + 1
        jobs = submission.batch.jobs
        folder = Path(submission.folder)
        return str(
            self.cluster.submit(
                submission.token, folder, len(jobs), jobs[0].resources.minutes * 60.0, exclude | jobs[0].avoid
            )
        )
