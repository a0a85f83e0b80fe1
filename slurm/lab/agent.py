"""Our program on a host of the lab: `python -m slurm.lab.agent VERB`, an order on stdin, its answer a line of JSON.

It ends at once; what it starts goes on without it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from jobs.errors import OrchError
from jobs.files import tail
from slurm.lab import orders, plan, sockets, unpacking
from slurm.lab.errors import ClusterError
from slurm.lab.looking import look
from slurm.lab.orders import Answer, LabOrder, LookOrder, UnpackOrder
from slurm.lab.packages import Programs
from slurm.lab.record import Lab, Member
from slurm.lab.station import CONTROLLER, MUNGE, Station

NODE = "slurmd"
DEAF_S = 15.0
"""A controller that takes no connections for so long is no more in its start."""
OBEY_S = 10.0
SPLIT = "Two slurmctld daemons are running as primary"
LAST_WORDS = 4096
"""Bytes."""
STAYS_S = 0.6
"""A daemon that cannot work ends within this time of its start."""
LOGS = {CONTROLLER: "slurmctld.log", NODE: "slurmd.{node}.log", MUNGE: "../munge/munged.log"}
_DAEMONS = (MUNGE, NODE, CONTROLLER)


class Here:
    """This host as a member of the lab."""

    def __init__(self, order: LabOrder) -> None:
        self.order = order
        self.lab: Lab = order.lab
        self.me: Member = order.lab.member(order.name)
        root = self.lab.packages(self.me.system) if self.me.unpacked else None
        self.programs = Programs(root)
        self.station = Station(self.lab.places(), self.programs)
        self.is_controller = self.me in self.lab.controllers()

    def start(self) -> Answer:
        """Start what is missing of its daemons. Raises ClusterError with a daemon's last words."""
        self._prepare()
        before = self.running()
        self.station.start_munge()
        self.station.start_node(self.me.node)
        if self.is_controller:
            if self.station.daemons.get(CONTROLLER) is not None and (not self._hears() or self._usurps()):
                self.station.daemons.kill([CONTROLLER])
            self.station.start_controller()
            self._hears()
        if len(before) < 2 + self.is_controller:
            time.sleep(STAYS_S)
        running = self.running()
        for name in (NODE, *((CONTROLLER,) if self.is_controller else ())):
            if name not in running:
                own = self.me.node if name == NODE else name
                raise ClusterError(f"{name} ended at once: {self.station.daemons.last_words(own)}")
        return Answer(running=running)

    def stop(self) -> Answer:
        """Stop those daemons; all of them: with every job, and no file is left on this host."""
        daemons, wanted = self.station.daemons, self.order.daemons or _DAEMONS
        if CONTROLLER in wanted:
            daemons.stop([CONTROLLER], grace_s=15)
        if NODE in wanted:
            daemons.stop([self.me.node], grace_s=5)
        if not self.order.daemons:
            self.station.stop_everything({self.me.node})
            daemons.stop([MUNGE], grace_s=2)
            shutil.rmtree(self.lab.runtime, ignore_errors=True)
        return Answer(running=self.running())

    def state(self) -> Answer:
        """Which of its daemons run, and what SLURM's command says that was asked for."""
        known = self._as_it_is()
        if not self.order.command:
            return msgspec.structs.replace(known, in_charge=self._in_charge(known))
        program, *rest = self.order.command
        try:
            done = subprocess.run(
                [self.programs.path(program), *rest],
                env=self.station.env(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=25,
            )
        except subprocess.TimeoutExpired:
            return msgspec.structs.replace(known, code=124, text=f"{program} did not answer within 25 s")
        text = done.stdout if not done.returncode else done.stderr
        return msgspec.structs.replace(known, code=done.returncode, text=text)

    def reach(self) -> Answer:
        """Which of the targets nobody answers at, from here."""
        missed = [name for name, address, port in self.order.targets if not sockets.listens(port, address, 3.0)]
        known = self._as_it_is()
        return msgspec.structs.replace(known, unreached=tuple(missed), in_charge=self._in_charge(known))

    def logs(self) -> Answer:
        """The end of a daemon's log."""
        (daemon,) = self.order.daemons
        path = self.lab.logs / LOGS[daemon].format(node=self.me.node)
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError:
            raise ClusterError(f"there is no log of {daemon} on {self.me.name}") from None
        return Answer(text="\n".join(lines[-self.order.lines :]))

    def running(self) -> tuple[str, ...]:
        """The names of the daemons that run, munged, slurmd and slurmctld."""
        found = self.station.daemons.running()
        return tuple(name for name in _DAEMONS if (self.me.node if name == NODE else name) in found)

    def _as_it_is(self) -> Answer:
        running = self.running()
        runs = CONTROLLER in running
        deaf = runs and not sockets.listens(self.lab.port)
        return Answer(running=running, deaf=deaf, split=self.is_controller and not runs and self._split())

    def _split(self) -> bool:
        """Whether its controller ended as it saw the state of another one that is in charge (slurmctld/job_mgr.c)."""
        text = tail(self.lab.logs / LOGS[CONTROLLER], LAST_WORDS).decode(errors="replace")
        return any(SPLIT in line for line in text.splitlines()[-1:])

    def _in_charge(self, known: Answer) -> bool:
        """Whether its controller, which answers, takes itself for the one in charge."""
        return CONTROLLER in known.running and not known.deaf and self._obeys(self.me)

    def _obeys(self, one: Member) -> bool:
        """Whether the controller on that host answers as the one in charge: one in standby refuses SLURM's commands."""
        conf = self.lab.runtime / f"ask-{os.getpid()}.conf"
        try:
            conf.write_text(plan.conf_of(self.lab, one))
            done = subprocess.run(
                [self.programs.path("sinfo"), "--noheader", "--format=%D"],
                env=self.station.env() | {"SLURM_CONF": str(conf)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=OBEY_S,
            )
        except (subprocess.TimeoutExpired, ClusterError, OSError):
            return False
        finally:
            conf.unlink(missing_ok=True)
        return done.returncode == 0

    def _usurps(self) -> bool:
        """Whether it is a backup in charge while the controller is in charge as well, as after a pulled cable."""
        first = self.lab.controllers()[0]
        return self.me != first and self._obeys(first) and self._obeys(self.me)

    def _hears(self) -> bool:
        """Whether its controller takes connections, waiting for as long as a start may take: else it never will again.

        SLURM's backup may hang so when the controller is back that it stood in for (seen with 22.05, after a pulled
        cable: "backup not completely done relinquishing control"), and would stand in for nobody any more.
        """
        end = time.monotonic() + DEAF_S
        while not sockets.listens(self.lab.port):
            if self.station.daemons.get(CONTROLLER) is None or time.monotonic() > end:
                return False
            time.sleep(0.5)
        return True

    def _prepare(self) -> None:
        """The folder on this host's own disk, which nobody else may enter."""
        lab = self.lab
        with contextlib.suppress(FileExistsError):
            lab.runtime.mkdir(0o700)
        facts = lab.runtime.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
            raise ClusterError(f"{lab.runtime} belongs to somebody else: ask them, or root, to remove it")
        lab.runtime.chmod(0o700)
        for folder in (
            lab.munge_socket.parent,
            self.station.places.pids,
            lab.logs,
            lab.runtime / f"spool.{self.me.node}",
        ):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        lab.plugins.unlink(missing_ok=True)
        lab.plugins.symlink_to(self.programs.plugins())
        if self.programs.root is not None:
            unpacking.write_commands(lab.programs, self.programs.root)


def _unpack(order: UnpackOrder) -> Answer:
    unpacking.unpack(Path(order.root))
    return Answer()


_OF_THE_LAB: dict[str, Callable[[Here], Answer]] = {
    "start": Here.start,
    "stop": Here.stop,
    "state": Here.state,
    "reach": Here.reach,
    "logs": Here.logs,
}


def answer(verb: str, text: str) -> str:
    """The answer to an order, as a line of JSON: an error is one too."""
    try:
        if verb == "look":
            return orders.write(look(orders.read(text, LookOrder)))
        if verb == "unpack":
            return orders.write(_unpack(orders.read(text, UnpackOrder)))
        return orders.write(_OF_THE_LAB[verb](Here(orders.read(text, LabOrder))))
    except OrchError as error:
        return orders.write(Answer(error=str(error)))
    except OSError as error:
        return orders.write(Answer(error=f"{error.filename or verb}: {error.strerror}"))


def main() -> None:
    """Answer one order."""
    print(answer(sys.argv[1], sys.stdin.read()))


if __name__ == "__main__":
    main()
