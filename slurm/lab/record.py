"""The lab as its folder remembers it: hosts, ports, who is its controller, and where everything lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from jobs.files import Unreadable, load_json, write_json
from slurm.lab.errors import ClusterError
from slurm.lab.hosts import Gpu, release
from slurm.lab.station import Places

FORMAT = 1
PORTS = 2
"""slurmctld's, and behind it slurmd's: the same on every host."""
CONTROLLERS = 2
CONTROLLER_TIMEOUT_S = 30
"""SlurmctldTimeout, unless a person set another: people's own hosts are busy, now and then away for a moment."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A host of the lab."""

    name: str
    """As ssh takes it."""
    node: str
    """As SLURM calls it."""
    hostname: str
    address: str
    cores: int
    memory_mb: int
    slurm: str
    system: str
    gpus: tuple[Gpu, ...] = ()
    unpacked: bool = False
    """Whether its SLURM lies unpacked in the lab's folder."""


class Lab(msgspec.Struct, frozen=True, kw_only=True):
    """`lab.json`."""

    format: int
    id: str
    folder: str
    user: str
    uid: int
    port: int
    members: tuple[Member, ...]
    extra: Mapping[str, str | int] = {}
    """Keys of slurm.conf that a person set."""
    up: bool = False
    """Whether it is meant to run: `auto` sends jobs to it also while its controller is down."""

    # ---- who does what

    def controllers(self) -> tuple[Member, ...]:
        """The controller and its backup: the first hosts of the newest SLURM, since one older reads no newer state."""
        newest = max(self.members, key=lambda one: (release(one.slurm), one.slurm)).slurm
        return tuple(one for one in self.members if one.slurm == newest)[:CONTROLLERS]

    @property
    def controller_timeout_s(self) -> int:
        """After so many seconds without its heartbeat a controller's place is taken by its backup."""
        values = {key.lower(): str(value) for key, value in self.extra.items()}
        said = values.get("slurmctldtimeout", "")
        return int(said) if said.isascii() and said.isdecimal() else CONTROLLER_TIMEOUT_S

    def member(self, name: str) -> Member:
        """The host of that name. Raises ClusterError."""
        for one in self.members:
            if name in (one.name, one.node):
                return one
        raise ClusterError(f"{name} is no host of the lab: it has {', '.join(one.name for one in self.members)}")

    # ---- shared files

    @property
    def place(self) -> Path:
        return Path(self.folder)

    @property
    def slurm_conf(self) -> Path:
        return self.place / "slurm.conf"

    @property
    def state(self) -> Path:
        """slurmctld's state, which the backup goes on from."""
        return self.place / "state"

    def packages(self, system: str) -> Path:
        """Where SLURM of that distribution is unpacked."""
        return self.place / "packages" / system

    # ---- files of one host

    @property
    def runtime(self) -> Path:
        """The folder of the same name on every host's own disk."""
        return Path(f"/tmp/orch-lab-{self.uid}-{self.id}")

    @property
    def munge_socket(self) -> Path:
        return self.runtime / "munge" / "munge.sock"

    @property
    def logs(self) -> Path:
        return self.runtime / "log"

    @property
    def plugins(self) -> Path:
        """A link to SLURM's plugins, which lie elsewhere where it is unpacked."""
        return self.runtime / "plugins"

    @property
    def programs(self) -> Path:
        """Where SLURM's commands are for jobs and orch, where it is unpacked."""
        return self.runtime / "bin"

    def places(self) -> Places:
        """What its daemons need to know on each host."""
        return Places(
            base=self.runtime,
            slurm_conf=self.slurm_conf,
            munge_key=self.place / "munge.key",
            munge_socket=self.munge_socket,
            pids=self.runtime / "pids",
            logs=self.logs,
        )


def file_of(folder: Path) -> Path:
    """Where the lab in a folder is written down."""
    return folder / "lab.json"


def load(folder: Path) -> Lab:
    """The lab in that folder. Raises ClusterError."""
    lab = find(folder)
    if lab is None:
        raise ClusterError(f"there is no lab in {folder}: start one with `orch lab up HOST HOST …`")
    return lab


def find(folder: Path) -> Lab | None:
    """The lab in that folder, None where there is none. Raises ClusterError for a file that is damaged."""
    path = file_of(folder)
    try:
        lab = load_json(path, Lab)
    except Unreadable as error:
        raise ClusterError(f"{path} cannot be read ({error}): remove it, and start the lab anew") from None
    if lab is not None and (lab.format != FORMAT or not lab.members):
        raise ClusterError(f"{path} is of another orch: use the orch that made it, or remove the folder")
    return lab


def save(lab: Lab) -> None:
    """Write it down, whole or not at all."""
    write_json(file_of(lab.place), lab)
