"""A real multi-node SLURM cluster out of one folder: munged, mariadbd, slurmdbd, slurmctld and one slurmd per node."""

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Self

from jobs.errors import BadInput
from slurm.lab import processes
from slurm.lab.environment import user_name
from slurm.lab.errors import ClusterError
from slurm.lab.packages import require_packages
from slurm.lab.processes import Process
from slurm.lab.station import CONTROLLER
from slurm.testcluster import config
from slurm.testcluster.config import Layout, Settings
from slurm.testcluster.installation import ACCOUNTING, WATCHDOG, Installation

_START_S = 60.0


class Cluster:
    """A pretend cluster below the folder `base`; see Settings for the other arguments.

    Every method raises ClusterError with one sentence where SLURM refuses or does not answer.
    """

    def __init__(
        self,
        base: Path,
        nodes: int = 4,
        cpus: int = 8,
        memory_mb: int = 16000,
        gpus: int = 4,
        accounting: bool = True,
        job_comment: bool = False,
        extra_conf: Mapping[str, str | int] | None = None,
        partitions: Mapping[str, str] | None = None,
    ) -> None:
        config.check_base(base)
        self.base = base
        self.settings = Settings(
            nodes=nodes,
            cpus=cpus,
            memory_mb=memory_mb,
            gpus=gpus,
            accounting=accounting,
            job_comment=job_comment,
            extra_conf=dict(extra_conf or {}),
            partitions=dict(config.PARTITIONS if partitions is None else partitions),
        )
        self._installation = Installation(base, self.settings)

    @classmethod
    def load(cls, base: Path) -> Self:
        """The cluster that `up` made in the folder `base`."""
        try:
            return cls(base, **json.loads(Layout(base).settings_file.read_text()))
        except FileNotFoundError:
            raise ClusterError(f"There is no pretend cluster in {base}: start one with `up`.") from None
        except PermissionError:
            raise ClusterError(f"The pretend cluster in {base} belongs to another user.") from None
        except (ValueError, TypeError):
            raise ClusterError(f"{Layout(base).settings_file} is damaged: delete the folder {base}.") from None

    # ---- up and down

    def up(self, detached: bool = False) -> Self:
        """Start everything and return when every node is idle; about 3 s, or 1 s without accounting.

        All of it ends when this process ends, however that happens, unless `detached`. A folder that `down` left is
        started again with its job history.
        """
        require_packages(self.settings.accounting)
        if running := self.daemons():
            raise ClusterError(f"The cluster in {self.base} is up already: {', '.join(running)} run.")
        installation = self._installation
        installation.prepare()
        try:
            if not detached:
                installation.start_watchdog()
            installation.start_all()
            for name in self.settings.node_names():
                # Of one that ended at once its own words say more than a node that never becomes idle.
                ready = partial(self._is_idle, name)
                installation.daemons.wait_until(name, ready, _START_S, poll_s=0.1)
        except BaseException:
            installation.stop_all()
            raise
        return self

    def down(self) -> None:
        """Stop every daemon, step and job of this cluster; nothing to stop is no error. The folder stays."""
        self._installation.stop_all()

    def remove(self) -> None:
        """`down`, then delete the folder."""
        self.down()
        if Layout(self.base).settings_file.exists():
            shutil.rmtree(self.base)

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(self, *_: object) -> None:
        self.remove()

    def daemons(self) -> dict[str, Process]:
        """The live daemons by name: munged, mariadbd, slurmdbd, slurmctld, and node1 … for each node's slurmd."""
        running = self._installation.daemons.running()
        running.pop(WATCHDOG, None)
        return running

    def missing_daemons(self) -> list[str]:
        """The names of the daemons that a whole cluster has and this one has not at the moment."""
        running = self.daemons()
        return [name for name in self._installation.expected() if name not in running]

    # ---- using it

    def env(self) -> dict[str, str]:
        """This process's environment for commands that shall talk to this cluster and to no other."""
        return self._installation.env()

    def run(self, *command: str, timeout: float = 60, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command such as `run("squeue", "-h")`, at most `timeout` seconds; text in stdout and stderr."""
        try:
            done = subprocess.run(
                command, env=self.env(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            raise ClusterError(f"`{' '.join(command)}` did not end within {timeout:.0f} s.") from None
        if check and done.returncode:
            words = (done.stderr or done.stdout).strip().splitlines()
            last = words[-1] if words else "it said nothing"
            raise ClusterError(f"`{' '.join(command)}` ended with {done.returncode}: {last}")
        return done

    def nodes(self) -> dict[str, str]:
        """State by node in sinfo's words; a `*` at the end says that the node does not answer."""
        lines = self.run("sinfo", "--Node", "--noheader", "--format=%N %T").stdout.splitlines()
        return dict(line.split(maxsplit=1) for line in lines if line)

    def wait_for(self, ready: Callable[[], bool], timeout: float, what: str) -> None:
        """Return when `ready` says so, ClusterError after `timeout` seconds; an error of SLURM counts as not yet."""
        deadline = time.monotonic() + timeout
        last = ""
        while True:
            try:
                if ready():
                    return
            except ClusterError as error:
                last = f" ({error})"
            if time.monotonic() > deadline:
                raise ClusterError(f"{what} did not happen within {timeout:.0f} s{last}.")
            time.sleep(0.1)

    def wait_idle(self, timeout: float = 60) -> None:
        """Return when every node is up and nothing runs on any."""
        self.wait_for(lambda: set(self.nodes().values()) == {"idle"}, timeout, "Idling of all nodes")

    def reset(self, timeout: float = 90) -> None:
        """Start what was killed, cancel all jobs, resume nodes, and return when all are idle; 1–2 s.

        Limits and other settings that were changed by sacctmgr or scontrol stay changed.
        """
        if self.settings.accounting:
            self.start_accounting()
        self.start_controller()
        for name in self.settings.node_names():
            self.start_node(name)
        self.run("scancel", "--user", user_name())
        for name, state in self.nodes().items():
            if state.startswith(("down", "drain")):
                with contextlib.suppress(ClusterError):  # it came back by itself meanwhile; else `wait_idle` tells
                    self.resume_node(name)
        self.wait_for(lambda: not self.run("squeue", "--noheader").stdout.strip(), timeout, "Emptying the queue")
        for name in self.settings.node_names():
            # Orphans of a killed slurmd or slurmstepd: with the queue empty nothing else can be left.
            self._kill(f"Jobs of {name}", partial(self._work, name))
        self.wait_idle(timeout)

    # ---- breaking it, and mending it

    def steps(self, node: str) -> list[Process]:
        """The live slurmstepd's of a node."""
        return self._installation.steps(self._known(node))

    def job_processes(self, node: str) -> list[Process]:
        """The live processes that jobs started on a node, orphans of a dead slurmstepd too."""
        return self._installation.job_processes(self._known(node))

    def kill_node(self, name: str, jobs: bool = True) -> None:
        """SIGKILL slurmd, and with `jobs` also the steps and processes of its jobs, as a power cut would.

        Without `jobs` they carry on unseen, as when slurmd crashes or the network to the node is cut.
        """
        self._installation.daemons.kill([self._known(name)])
        if jobs:
            self._kill(f"Jobs of {name}", partial(self._work, name))

    def start_node(self, name: str) -> None:
        """Start slurmd; nothing where it runs. A node that was set down stays so until `resume_node`."""
        self._known(name)
        self._up().start_node(name)

    def set_node_down(self, name: str, reason: str) -> None:
        """Have SLURM fail the node at once, which is the quickest NODE_FAIL; `resume_node` takes it back."""
        self.run("scontrol", "update", f"nodename={self._known(name)}", "state=down", f"reason={reason}")

    def drain_node(self, name: str, reason: str) -> None:
        """Let the node's jobs end, and start no more there; `resume_node` takes it back."""
        self.run("scontrol", "update", f"nodename={self._known(name)}", "state=drain", f"reason={reason}")

    def resume_node(self, name: str) -> None:
        """Take a down or drained node back."""
        self.run("scontrol", "update", f"nodename={self._known(name)}", "state=resume")

    def kill_steps(self, node: str) -> None:
        """SIGKILL the node's slurmstepd's alone: their job processes carry on, slurmd lives."""
        self._kill(f"Steps of {node}", lambda: self.steps(node))

    def kill_controller(self) -> None:
        """SIGKILL slurmctld: what it did in the last seconds and had not saved is lost."""
        self._installation.daemons.kill([CONTROLLER])

    def stop_controller(self) -> None:
        """End slurmctld in the orderly way: it saves its state first."""
        self._installation.daemons.stop([CONTROLLER], grace_s=30)

    def wait_for_saved_state(self, timeout_s: float = 30) -> None:
        """Until slurmctld has saved its jobs as they are now: a killed one comes back with these, no younger ones."""
        now = time.time()
        saved = config.Layout(self.base).controller_state / "job_state"
        self.run("scontrol", "reconfigure")  # saves it all; else what was saved before we came is saved no more
        end = time.monotonic() + timeout_s
        while not saved.exists() or saved.stat().st_mtime <= now:
            if time.monotonic() > end:
                raise ClusterError(f"slurmctld did not save its state within {timeout_s:.0f} s.")
            time.sleep(0.1)

    def start_controller(self) -> None:
        """Start slurmctld and return when it answers; nothing where it runs."""
        self._up().wait_for_controller()

    def stop_accounting(self) -> None:
        """End slurmdbd: sacct fails, and slurmctld keeps its records for later."""
        self._with_accounting().daemons.stop([ACCOUNTING], grace_s=10)

    def start_accounting(self) -> None:
        """Start slurmdbd and return when it listens; nothing where it runs."""
        self._with_accounting()
        self._up().start_accounting()

    def _up(self) -> Installation:
        self._installation.require_up()
        return self._installation

    def _with_accounting(self) -> Installation:
        if not self.settings.accounting:
            raise BadInput(f"The cluster in {self.base} was started without accounting.")
        return self._installation

    def _work(self, node: str) -> list[Process]:
        return self.steps(node) + self.job_processes(node)

    def _is_idle(self, node: str) -> bool:
        return self.nodes().get(node) == "idle"

    def _known(self, node: str) -> str:
        names = self.settings.node_names()
        if node not in names:
            raise BadInput(f"There is no node {node!r}: the nodes are {names[0]} to {names[-1]}.")
        return node

    @staticmethod
    def _kill(what: str, search: Callable[[], list[Process]]) -> None:
        if not processes.kill_all(search):
            raise ClusterError(f"{what} outlived SIGKILL by 10 s.")
