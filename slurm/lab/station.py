"""The daemons of one cluster on this host, and what they started: started in order, found again, stopped."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from slurm.lab import processes, sockets
from slurm.lab.daemons import Daemons
from slurm.lab.environment import MARK, NODE_MARK, clean_environment
from slurm.lab.errors import ClusterError
from slurm.lab.packages import Programs
from slurm.lab.processes import Process

CONTROLLER, MUNGE = "slurmctld", "munged"
START_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the daemons of one cluster have their files."""

    base: Path
    """The cluster's folder on this host, by which its processes are marked: no other cluster may have it."""
    slurm_conf: Path
    munge_key: Path
    munge_socket: Path
    pids: Path
    logs: Path


class Station:
    """One cluster's daemons on this host; each method is idempotent and raises ClusterError in one sentence."""

    def __init__(self, places: Places, programs: Programs | None = None) -> None:
        self.places = places
        self.programs = programs or Programs()
        self.daemons = Daemons(places.pids, places.logs)

    def env(self) -> dict[str, str]:
        """This process's environment for commands that shall talk to this cluster and to no other."""
        return clean_environment() | {"SLURM_CONF": str(self.places.slurm_conf)} | self.programs.env()

    # ---- start

    def start(self, name: str, *argv: str | Path, **env: str) -> None:
        """Start a daemon that carries the mark of this cluster."""
        self.daemons.start(name, argv, self.env() | {MARK: str(self.places.base)} | env)

    def start_munge(self) -> None:
        """Start munged and return when it listens; nothing where it runs."""
        if self.daemons.get(MUNGE) is not None:
            return
        place = self.places.munge_socket
        self.start(
            MUNGE,
            self.programs.path("munged"),
            "--foreground",
            # Otherwise a folder that only its owner may enter is an error, as others could not use the socket.
            "--force",
            f"--key-file={self.places.munge_key}",
            f"--socket={place}",
            f"--pid-file={place.with_name('munged.pid')}",
            f"--log-file={place.with_name('munged.log')}",
            f"--seed-file={place.with_name('munged.seed')}",
        )
        self.daemons.wait_until(MUNGE, lambda: sockets.connects(place), START_S)

    def start_node(self, name: str) -> None:
        """Start slurmd for the node; nothing where it runs."""
        if self.daemons.get(name) is None:
            step = self.programs.own("slurmstepd")
            self.start(
                name,
                self.programs.path("slurmd"),
                "-D",
                "-N",
                name,
                "-f",
                self.places.slurm_conf,
                *(("-d", step) if step else ()),
                **{NODE_MARK: name},
            )

    def start_controller(self) -> None:
        """Start slurmctld; nothing where it runs. It may not answer yet."""
        if self.daemons.get(CONTROLLER) is None:
            self.start(CONTROLLER, self.programs.path("slurmctld"), "-D", "-f", self.places.slurm_conf)

    def controller_answers(self, port: int) -> bool:
        """Whether slurmctld of this host listens at its port, and SLURM's commands reach it."""
        if not sockets.listens(port):
            return False
        ping = [self.programs.path("scontrol"), "ping"]
        return subprocess.run(ping, env=self.env(), capture_output=True, timeout=30).returncode == 0

    def once(self, *argv: str, may_fail_with: tuple[str, ...] = ()) -> str:
        """Run a command to its end, with the mark of this cluster; what it printed."""
        done = subprocess.run(
            argv,
            # Marked, so that it is stopped too where its starter is killed meanwhile.
            env=self.env() | {MARK: str(self.places.base)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_S,
        )
        text = (done.stderr + done.stdout).strip()
        if done.returncode and not any(words in text for words in may_fail_with):
            lines = text.splitlines()
            last = " | ".join([line for line in lines if "ERROR" in line][:3] or lines[-3:])
            raise ClusterError(f"{Path(argv[0]).name} ended with {done.returncode}: {last}")
        return done.stdout

    # ---- find and stop

    def steps(self, node: str) -> list[Process]:
        """The live slurmstepd's of a node."""
        marks = {MARK: str(self.places.base), NODE_MARK: node}
        return processes.matching(
            lambda env, name: name == "slurmstepd" and marks.items() <= env.items(), descendants=False
        )

    def job_processes(self, node: str) -> list[Process]:
        """The live processes that jobs started on a node, orphans of a dead slurmstepd too."""
        marks = {"SLURM_CONF": str(self.places.slurm_conf), "SLURMD_NODENAME": node}
        return processes.matching(lambda env, _: marks.items() <= env.items(), descendants=True)

    def everything(self, nodes: set[str]) -> list[Process]:
        """All live processes of the cluster on these nodes of this host, noted in a pid file or not."""
        base, conf = str(self.places.base), str(self.places.slurm_conf)
        return processes.matching(
            lambda env, _: (
                env.get(MARK) == base or (env.get("SLURM_CONF") == conf and env.get("SLURMD_NODENAME") in nodes)
            ),
            descendants=True,
        )

    def stop_everything(self, nodes: set[str]) -> None:
        """Kill steps and jobs, and a daemon whose starter was killed before it could note the pid."""
        if not processes.kill_all(lambda: self.everything(nodes)):
            raise ClusterError(f"Processes of the cluster in {self.places.base} outlived SIGKILL by 10 s.")
