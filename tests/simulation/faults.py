"""What may go wrong, each kind as one function that a schedule draws."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.simulation.cluster import Cluster, Node
from tests.simulation.commands import Weather
from tests.simulation.tasks import Task


class Faults:
    """Does damage to the cluster. Every method is one kind of fault; it may find nothing to damage."""

    def __init__(self, cluster: Cluster, weather: Weather, random: Random) -> None:
        self.cluster, self.weather, self.random = cluster, weather, random
        self.clock = cluster.clock

    def kinds(self) -> dict[str, Callable[[], str]]:
        """Every kind by name; each returns what it did, '' for nothing."""
        return {
            name: getattr(self, name)
            for name in vars(type(self))
            if not name.startswith("_") and name not in ("kinds", "calm")
        }

    def _node(self) -> Node:
        return self.random.choice(list(self.cluster.nodes.values()))

    def _running(self) -> Task | None:
        found = self.cluster.running()
        return self.random.choice(found) if found else None

    # ---- nodes

    def node_dies(self) -> str:
        """Power lost: its workers die at once, SLURM notices later."""
        node = self._node()
        seconds = self.random.uniform(2.0, 400.0)
        self.cluster.slurmd_dies(node, seconds)
        for worker in [*self.cluster.runners, *self.cluster.workers]:
            if worker.node == node.name:
                worker.kill()
        return f"{node.name} dies for {seconds:.0f} s"

    def slurmd_dies(self) -> str:
        """Only the daemon: its workers carry on while SLURM starts twins elsewhere."""
        node = self._node()
        seconds = self.random.uniform(2.0, 400.0)
        self.cluster.slurmd_dies(node, seconds)
        return f"slurmd on {node.name} dies for {seconds:.0f} s"

    def node_set_down(self) -> str:
        """An administrator: NODE_FAIL at once."""
        node = self._node()
        if not node.slurmd:
            return ""
        node.set_down = True
        for task in list(self.cluster.tasks):
            if task.live and task.node == node.name and task.state in ("RUNNING", "COMPLETING"):
                worker = task.worker
                self.cluster.node_fail(task)
                if worker is not None:
                    worker.kill()
        self.clock.after(self.random.uniform(30.0, 300.0), lambda: self.cluster.slurmd_returns(node))
        return f"{node.name} is set down"

    def black_hole(self) -> str:
        """A node that ruins whatever starts there, until it is mended."""
        node = self._node()
        node.trouble = self.random.choice(("setup", "data", "kills"))
        trouble = node.trouble
        self.clock.after(self.random.uniform(60.0, 600.0), lambda: setattr(node, "trouble", ""))
        return f"{node.name} has trouble: {trouble}"

    # ---- single jobs

    def step_killed(self) -> str:
        """slurmstepd dies: NODE_FAIL later, though the node is well."""
        task = self._running()
        if task is None:
            return ""
        worker = task.worker
        if worker is not None:
            worker.alive = False
        self.clock.after(27.0, lambda: self.cluster.node_fail(task) if task.worker is worker and task.live else None)
        return f"step of {task.id} dies"

    def no_requeue_node_fail(self) -> str:
        """A site that does not requeue: NODE_FAIL, and gone."""
        task = self._running()
        if task is None:
            return ""
        if task.worker is not None and self.random.random() < 0.7:
            task.worker.alive = False
        self.cluster.end(task, "NODE_FAIL")
        return f"{task.id} ends as NODE_FAIL"

    def worker_killed(self) -> str:
        task = self._running()
        if task is None or task.worker is None:
            return ""
        task.worker.kill()
        return f"worker of {task.id} is killed"

    def preempted(self) -> str:
        """With a signal and a grace period, or without."""
        task = self._running()
        if task is None:
            return ""
        worker = task.worker
        if self.random.random() < 0.5 and worker is not None:
            worker.signal()
            self.clock.after(8.0, lambda: self.cluster.preempt(task) if task.worker is worker and task.live else None)
            return f"{task.id} is preempted after a grace period"
        self.cluster.preempt(task)
        return f"{task.id} is preempted"

    def out_of_memory(self) -> str:
        task = self._running()
        if task is None:
            return ""
        if task.worker is not None and task.worker.path is not None:
            path = task.worker.path / "stderr"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("slurmstepd: error: Step 4.0 exceeded memory limit (900 > 100), being killed\n")
        if self.random.random() < 0.5:
            self.cluster.end(task, "OUT_OF_MEMORY", 0, 9)
        else:
            self.cluster.end(task, "FAILED", 9, 0)
        return f"{task.id} runs out of memory"

    def requeued_by_hand(self) -> str:
        """scontrol requeue, or requeuehold (which people release, late)."""
        task = self._running()
        if task is None:
            return ""
        hold = self.random.random() < 0.4
        self.cluster.requeue(task, "REQUEUED", hold="job requeued in held state" if hold else "")
        if hold:
            self.clock.after(self.random.uniform(30.0, 300.0), lambda: self._release(task))
        return f"{task.id} is requeued{' and held' if hold else ''}"

    def _release(self, task: Task) -> None:
        if task.state == "PENDING":
            task.reason = "None"
            self.cluster.kick()

    def launch_failed(self) -> str:
        """`launch failed requeued held`, though the first run may even finish."""
        task = self._running()
        if task is None:
            return ""
        worker = task.worker
        self.cluster.requeue(task, "REQUEUED", hold="launch failed requeued held")
        if worker is not None and self.random.random() < 0.5:
            worker.kill()
        return f"launch of {task.id} fails, it is held"

    def purged(self) -> str:
        """A controller that lost its state knows the job no more; its records stay as they are; it may carry on."""
        live = [task for task in self.cluster.tasks if task.live]
        if not live:
            return ""
        task = self.random.choice(live)
        worker, task.worker = task.worker, None
        task.ended, task.in_queue = self.clock.seconds, False
        carries_on = self.random.random() < 0.5
        if worker is not None and not carries_on:
            worker.kill()
        return f"{task.id} ({task.state}) is purged{', its worker carries on' if worker and carries_on else ''}"

    def forgotten_early(self) -> str:
        """A short MinJobAge: ended jobs leave the queue between two looks."""
        self.cluster.remembers = self.random.choice((2.0, 30.0, 300.0))
        return f"ended jobs are remembered for {self.cluster.remembers:.0f} s"

    def cancelled_by_others(self) -> str:
        live = [task for task in self.cluster.tasks if task.live and task.state in ("PENDING", "RUNNING")]
        if not live or self.random.random() < 0.5:
            return ""
        task = self.random.choice(live)
        self.cluster.end(task, "CANCELLED", who="0")
        return f"an administrator cancels {task.id}"

    # ---- the controller, the accounting, the shared folder

    def controller_down(self) -> str:
        """It comes back with what it had saved: the restart counts of some jobs are older."""
        seconds = self.random.uniform(5.0, 120.0)
        self.cluster.down_until = max(self.cluster.down_until, self.clock.seconds + seconds)
        for task in self.cluster.tasks:
            if task.live and task.restarts and self.random.random() < 0.5:
                task.restarts -= 1
        return f"controller down for {seconds:.0f} s"

    def disorderly(self) -> str:
        """A controller that was restarted starts pieces beside each other, for a while."""
        self.cluster.orderly = False
        self.clock.after(self.random.uniform(30.0, 300.0), lambda: setattr(self.cluster, "orderly", True))
        self.cluster.kick()
        return "the controller starts tasks of an array beside each other"

    def end_forgotten(self) -> str:
        """A controller that was killed: a job that was over begins again."""
        over = [task for task in self.cluster.tasks if task.ended is not None and task.runs]
        if not over:
            return ""
        task = self.random.choice(over)
        self.cluster.begin_again(task)
        return f"the controller forgets the end of {task.id}: it begins again"

    def accounting(self) -> str:
        if self.weather.accounting == "off":
            return ""
        self.weather.accounting = self.random.choice(("on", "fails", "stale", "stale"))
        self.weather.stale_at = self.clock.seconds
        self.cluster.record_lag = self.random.choice((0.5, 5.0, 60.0))
        return f"accounting {self.weather.accounting}, trails by {self.cluster.record_lag} s"

    def slow_folder(self) -> str:
        self.cluster.folder.lag = self.random.choice((0.0, 2.0, 20.0))
        return f"the shared folder lags {self.cluster.folder.lag} s"

    def bad_replies(self) -> str:
        chance = self.random.choice
        self.weather.query_fails = chance((0.0, 0.1, 0.5))
        self.weather.reply_lost = chance((0.0, 0.5))
        return f"queries fail: {self.weather.query_fails}, replies lost: {self.weather.reply_lost}"

    def bad_sbatch(self) -> str:
        chance = self.random.choice
        weather = self.weather
        weather.sbatch_lost, weather.sbatch_late = chance((0.0, 0.3, 1.0)), chance((0.0, 40.0))
        weather.sbatch_fails, weather.sbatch_limit = chance((0.0, 0.3)), chance((0.0, 0.3))
        weather.sbatch_refused = chance((0.0, 0.0, 0.1))
        weather.sbatch_seconds = chance((0.0, 3.0, 90.0, 300.0))
        return (
            f"sbatch: lost {weather.sbatch_lost}, fails {weather.sbatch_fails}, limit {weather.sbatch_limit}, "
            f"takes up to {weather.sbatch_seconds} s"
        )

    def hanging(self) -> str:
        """Commands that do not come back until they are killed."""
        self.weather.query_hangs = self.random.choice((0.0, 0.1, 0.5))
        return f"commands hang: {self.weather.query_hangs}"

    def ids_again(self) -> str:
        """Job ids wrap around."""
        import itertools

        used = [task.job for task in self.cluster.tasks if not task.in_queue]
        if not used:
            return ""
        free = {task.job for task in self.cluster.tasks if task.in_queue}
        start = self.random.choice(used)
        self.cluster.ids = itertools.chain(
            (job for job in range(start, start + 3) if job not in free), itertools.count(max(free | set(used)) + 1)
        )
        return f"job ids go on from {start}"

    def clock_set_back(self) -> str:
        seconds = self.random.choice((3.0, 100.0, 4000.0))
        self.clock.set_back += seconds
        return f"every wall clock is set back by {seconds:.0f} s"

    def calm(self) -> None:
        """Everything is mended."""
        weather, cluster = self.weather, self.cluster
        off = weather.accounting == "off"
        vars(weather).update(vars(Weather(accounting="off" if off else "on")))
        cluster.orderly = True
        cluster.down_until, cluster.record_lag, cluster.folder.lag = 0.0, 1.0, 0.0
        for node in cluster.nodes.values():
            node.trouble = ""
            cluster.slurmd_returns(node)
        for task in cluster.tasks:
            if task.live and task.state == "PENDING" and "requeued in held" in task.reason:
                self._release(task)
        cluster.kick()
