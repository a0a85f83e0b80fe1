"""How a disturbance reaches a run: by signals on this host, by SLURM's own commands on a cluster."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Protocol

from orchestrator.rehearsal.looking import Execution
from slurm.cluster.commands import CommandFailed, Commands
from slurm.testcluster import Cluster, ClusterError

DOWN = ("down", "no_respond")


class Hand(Protocol):
    """What can be done to an execution."""

    def kill(self, one: Execution) -> None:
        """SIGKILL to all of it at once."""

    def tell(self, one: Execution, number: signal.Signals) -> None:
        """A signal to its worker."""

    def alive(self, one: Execution) -> bool:
        """Whether it goes on, as far as is known."""


class Here:
    """On slots of this host."""

    def kill(self, one: Execution) -> None:
        one.kill()

    def tell(self, one: Execution, number: signal.Signals) -> None:
        one.tell(number)

    def alive(self, one: Execution) -> bool:
        return one.alive()


class OnSlurm:
    """Through scancel(1) and scontrol(1), whichever node it is on. What they refuse is not done: its job is over."""

    def __init__(self) -> None:
        self.commands = Commands()

    def kill(self, one: Execution) -> None:
        """Its step, and not its job: who kills the job has cancelled it, and nobody sends it again."""
        self._do("scancel", "--signal=KILL", f"{_job(one)}.0")

    def tell(self, one: Execution, number: signal.Signals) -> None:
        self._do("scancel", f"--signal={number.name.removeprefix('SIG')}", _job(one))

    def requeue(self, one: Execution) -> None:
        """SLURM stops it and begins it again, as after a preemption."""
        self._do("scontrol", "requeue", _job(one))

    def alive(self, one: Execution) -> bool:
        return not (one.folder / "outcome.json").exists()

    def _do(self, *words: str) -> None:
        with contextlib.suppress(CommandFailed):
            self.commands.ask(words)


def _job(one: Execution) -> str:
    assert one.started is not None and one.started.slurm_job is not None
    return one.started.slurm_job


class DeadNode:
    """A node of a pretend cluster, killed with all that runs there, and started again once SLURM knows."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name
        self.back = False

    def kill(self) -> None:
        self.cluster.kill_node(self.name)

    def look(self, *, now: bool = False) -> None:
        """Start it again, once it was missed or at once; nothing where that was done. One that is not back is said."""
        with contextlib.suppress(ClusterError):
            if not self.back and (now or self.cluster.nodes().get(self.name, "").rstrip("*").startswith(DOWN)):
                self.cluster.start_node(self.name)
                self.cluster.resume_node(self.name)
                self.back = True


def pretend_cluster() -> Cluster | None:
    """The pretend cluster that this shell's SLURM commands mean (docs/testcluster.md); None where they mean another."""
    conf = os.environ.get("SLURM_CONF")
    if not conf:
        return None
    with contextlib.suppress(ClusterError):
        return Cluster.load(Path(conf).parent)
    return None
