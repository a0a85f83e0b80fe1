"""Short jobs while nodes, steps, the supervisor and the controller are killed at random, and people change their minds:
each has exactly one result, of the generation and under the terms that were asked for last.

ORCH_CHAOS_MINUTES (of killing, 0.7 by default), ORCH_CHAOS_JOBS (80) and ORCH_CHAOS_SEED; `make chaos` does it longer.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from slurm.lab.errors import ClusterError
from slurm.testcluster import Cluster
from tests.helpers.people import PROGRAM, People
from tests.slurm.conftest import NewCluster
from tests.slurm.lab import TRACEBACK, Lab, lab

MINUTES = float(os.environ.get("ORCH_CHAOS_MINUTES", "0.7"))
JOBS = int(os.environ.get("ORCH_CHAOS_JOBS", "80"))
SEED = int(os.environ.get("ORCH_CHAOS_SEED", str(random.randrange(10**6))))
BUNDLE = int(os.environ.get("ORCH_CHAOS_BUNDLE", str(1 + SEED % 2)))
"""So many jobs at a time in one task; 1: each has its own."""
NODES = 6
WORDS = ("command", "--seeds", str(JOBS), "--no-canary", "--mem", "100M", "--time", "10")
WORDS += ("--", "sh", "-c", f"sleep $((ORCH_SEED % 4 + 1)); {PROGRAM}")


class Chaos:
    """What can happen, one thing at a time; `mend` takes back what would stay broken."""

    def __init__(self, orch: Lab, cluster: Cluster, dice: random.Random) -> None:
        self.orch, self.cluster, self.dice = orch, cluster, dice
        self.people = People(self.typed, orch.query, dice, dict(orch.query("SELECT id, seed FROM job")))
        self.done: list[str] = []

    def strike(self) -> None:
        often = [self.power_cut, self.supervisor, self.mind] * 2
        seldom = [self.lone_slurmd, self.steps, self.set_down, self.controller, self.worker, self.requeue]
        event = self.dice.choice(often + seldom)
        self.done.append(event.__name__)
        try:
            event()
        except (ClusterError, OSError) as error:  # the controller is away, or the process has just ended
            self.done.append(f"({error})")

    def typed(self, *words: str) -> tuple[int, str]:
        process = self.orch.start(*words)
        text = self.orch.finish(process, None)
        return process.returncode, text

    def mind(self) -> None:
        for _ in range(3):
            self.people.act()

    def node(self) -> str:
        return f"node{self.dice.randint(1, NODES)}"

    def power_cut(self) -> None:
        node = self.node()
        self.cluster.kill_node(node)
        time.sleep(self.dice.uniform(0, 6))
        self.cluster.start_node(node)

    def lone_slurmd(self) -> None:
        node = self.node()
        self.cluster.kill_node(node, jobs=False)
        time.sleep(self.dice.uniform(0, 6))
        self.cluster.start_node(node)

    def steps(self) -> None:
        self.cluster.kill_steps(self.node())

    def set_down(self) -> None:
        node = self.node()
        self.cluster.set_node_down(node, "chaos")
        time.sleep(self.dice.uniform(0, 3))
        self.cluster.resume_node(node)

    def supervisor(self) -> None:
        self.orch.kill_supervisor()
        time.sleep(self.dice.uniform(0, 4))
        self.orch.orch("submit", *WORDS)  # they exist already: it only starts a supervisor

    def controller(self) -> None:
        kill = self.dice.choice([self.cluster.kill_controller, self.cluster.stop_controller])
        kill()
        time.sleep(self.dice.uniform(0, 8))
        self.cluster.start_controller()

    def worker(self) -> None:
        if processes := self.cluster.job_processes(self.node()):
            os.kill(self.dice.choice(processes).pid, 9)

    def requeue(self) -> None:
        running = self.cluster.run("squeue", "-h", "-r", "-t", "R", "-o", "%i").stdout.split()
        if running:
            self.cluster.run("scontrol", "requeue", self.dice.choice(running))

    def mend(self) -> None:
        self.cluster.start_controller()
        for number in range(1, NODES + 1):
            self.cluster.start_node(f"node{number}")
        self.cluster.wait_for(self.resumed, 60, "The return of all nodes")

    def resumed(self) -> bool:
        """Take back what is down; False where something was, for SLURM may refuse that while a node registers."""
        down = [node for node, state in self.cluster.nodes().items() if state.startswith(("down", "drain"))]
        for node in down:
            self.cluster.resume_node(node)
        return not down


@pytest.mark.timeout(60 * MINUTES + 500)
def test_chaos(new_cluster: NewCluster, tmp_path: Path) -> None:
    print(f"ORCH_CHAOS_SEED={SEED}")
    dice = random.Random(SEED)
    # Strikes never add up to a stop, and no budget runs out: here every job must get through.
    settings = {"ORCH_STRIKES": "1000"}
    budgets = "[resubmission]\nbackoff_most_seconds = 2.0\n[resubmission.budgets]\n"
    budgets += "".join(f"{cause} = 40\n" for cause in ("killed", "node_failure", "launch_failure", "lost", "preempted"))
    with new_cluster(nodes=NODES, cpus=2) as cluster, lab(tmp_path, cluster, **settings) as orch:
        print(f"ORCH_CHAOS_BUNDLE={BUNDLE}")
        (tmp_path / "orch.toml").write_text(f"{budgets}[slurm]\nbundle = {BUNDLE}\n")
        orch.orch("submit", *WORDS)
        chaos = Chaos(orch, cluster, dice)
        orch.until(lambda: orch.states()["succeeded"], 120, "a result that minds can change about")
        until = time.monotonic() + 60 * MINUTES
        while time.monotonic() < until:
            chaos.strike()
            time.sleep(dice.uniform(0.2, 2.5))
        chaos.mend()
        for _ in range(5):
            output = orch.orch("supervise", "--until-idle", code=None, timeout=240)
            if orch.states()["failed"] + orch.states()["cancelled"] == 0:
                break
            print(output)
        print(f"seed {SEED}: {chaos.done}")
        print(f"{len(chaos.done)} faults, {len(chaos.people.done)} changes of mind: {chaos.people.done}")
        assert len(chaos.people.seeds) == JOBS
        chaos.people.check()
        assert TRACEBACK not in orch.supervisor_log(), orch.supervisor_log()
