"""The configuration of a pretend SLURM cluster as pure text: settings in, files out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jobs.errors import BadInput
from slurm.lab import configuration
from slurm.lab.configuration import numbered
from slurm.lab.station import Places

# A Unix socket's path holds at most 107 bytes and the longest one below the folder (slurmstepd's) takes 46.
MAX_BASE_LENGTH = 60

PARTITIONS: Mapping[str, str] = {
    "main": "Default=YES PriorityTier=1 GraceTime=8",
    "abrupt": "PriorityTier=1 GraceTime=0",
    "cancel": "PriorityTier=1 GraceTime=0 PreemptMode=CANCEL",
    "high": "PriorityTier=10 PreemptMode=OFF",
}
"""Name to options. Jobs of `high` preempt those of the others: `main` warns 8 s before and requeues, `abrupt` requeues
without a warning, `cancel` cancels for good."""


@dataclass(frozen=True)
class Settings:
    """What the cluster pretends to be; `cpus`, `memory_mb` (MiB) and `gpus` are per node.

    `extra_conf` sets or replaces keys of slurm.conf; `partitions` maps a name to its options there. Raises BadInput.
    """

    nodes: int = 4
    cpus: int = 8
    memory_mb: int = 16000
    gpus: int = 4
    accounting: bool = True
    job_comment: bool = False
    extra_conf: Mapping[str, str | int] = field(default_factory=dict)
    partitions: Mapping[str, str] = field(default_factory=lambda: dict(PARTITIONS))

    def __post_init__(self) -> None:
        for name, low, high in (("nodes", 1, 64), ("cpus", 1, 1024), ("memory_mb", 100, 10**8), ("gpus", 0, 64)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise BadInput(f"{name} is {value}, and must be from {low} to {high}.")
        if self.job_comment and not self.accounting:
            raise BadInput("Job comments are kept by slurmdbd, so job_comment needs accounting.")
        if not self.partitions:
            raise BadInput("A cluster needs at least one partition.")
        configuration.check_extra(self.partitions)
        configuration.check_extra(self.extra_conf)

    def node_names(self) -> list[str]:
        """node1 … nodeN."""
        return [f"node{index}" for index in range(1, self.nodes + 1)]


@dataclass(frozen=True)
class Layout:
    """Where everything is below the folder `base`."""

    base: Path

    @property
    def settings_file(self) -> Path:
        return self.base / "cluster.json"

    @property
    def slurm_conf(self) -> Path:
        return self.base / "slurm.conf"

    @property
    def slurmdbd_conf(self) -> Path:
        return self.base / "slurmdbd.conf"

    @property
    def munge_socket(self) -> Path:
        return self.base / "run" / "munge" / "munge.sock"

    @property
    def private(self) -> Path:
        """Mode 0700: the key and the database, whose socket lets anyone in who can reach it."""
        return self.base / "private"

    @property
    def munge_key(self) -> Path:
        return self.private / "munge.key"

    @property
    def controller_state(self) -> Path:
        return self.base / "state" / "ctld"

    @property
    def database_sql(self) -> Path:
        return self.private / "database.sql"

    @property
    def database(self) -> Path:
        return self.private / "db"

    @property
    def database_socket(self) -> Path:
        return self.private / "mysql.sock"

    @property
    def pids(self) -> Path:
        return self.base / "run" / "pids"

    @property
    def logs(self) -> Path:
        return self.base / "log"

    @property
    def devices(self) -> Path:
        return self.base / "dev"

    def places(self) -> Places:
        """What the daemons need to know of it."""
        return Places(
            base=self.base,
            slurm_conf=self.slurm_conf,
            munge_key=self.munge_key,
            munge_socket=self.munge_socket,
            pids=self.pids,
            logs=self.logs,
        )

    def spool(self, node: str) -> Path:
        """slurmd's folder of one node."""
        return self.base / "state" / f"slurmd.{node}"


@dataclass(frozen=True)
class Ports:
    """A block of TCP ports that begins at `base`."""

    base: int

    @property
    def controller(self) -> int:
        return self.base

    @property
    def accounting(self) -> int:
        return self.base + 1

    def node(self, index: int) -> int:
        """The port of node number `index`, counted from 1."""
        return self.base + 1 + index

    def all(self, settings: Settings) -> list[int]:
        """Every port that a cluster of these settings listens on."""
        return list(range(self.base, self.node(settings.nodes) + 1))


def check_base(base: Path) -> None:
    """Raise BadInput where SLURM cannot work in the folder `base`."""
    if not base.is_absolute() or not re.fullmatch(r"[\w./+-]+", str(base)):
        raise BadInput(f"The folder {str(base)!r} must be absolute and of letters, digits and ./+-_ only.")
    if len(str(base).encode()) > MAX_BASE_LENGTH:
        raise BadInput(f"The folder {base} is longer than {MAX_BASE_LENGTH} bytes, too long for SLURM's sockets.")


def slurm_conf(settings: Settings, layout: Layout, ports: Ports, user: str, hostname: str) -> str:
    """The text of slurm.conf; `user` runs every daemon, `hostname` is the short name of this machine."""
    values = configuration.daemons(
        user=user,
        port=ports.controller,
        socket=layout.munge_socket,
        state=layout.controller_state,
        spool=layout.spool("%n"),
        pids=layout.base / "run",
        logs=layout.logs,
    )
    values |= {"SlurmctldHost": f"{hostname}(127.0.0.1)"} | configuration.without_root()
    values |= {
        "SlurmdTimeout": 5,
        "SlurmctldTimeout": 10,
        "MessageTimeout": 5,
        "TCPTimeout": 1,
        "KillWait": 2,
        "UnkillableStepTimeout": 10,
        "BatchStartTimeout": 10,
        "ReturnToService": 1,
        "PreemptType": "preempt/partition_prio",
        "PreemptMode": "REQUEUE",
        "SlurmctldParameters": "preempt_send_user_signal",
    }
    if settings.gpus:
        values["GresTypes"] = "gpu"
    if settings.accounting:
        values |= {
            "AccountingStorageType": "accounting_storage/slurmdbd",
            "AccountingStorageHost": "localhost",
            "AccountingStoragePort": ports.accounting,
            # Without it slurmctld asks the munge of the system, whose key differs, and dies of "no TRES".
            "AccountingStoragePass": str(layout.munge_socket),
        }
        if settings.job_comment:
            values["AccountingStoreFlags"] = "job_comment"
        if settings.gpus:
            values["AccountingStorageTRES"] = "gres/gpu"
    gres = f" Gres=gpu:{settings.gpus}" if settings.gpus else ""
    lines = [
        f"NodeName={numbered('node', 1, settings.nodes)} NodeHostname={hostname} NodeAddr=127.0.0.1 "
        f"Port={numbered('', ports.node(1), ports.node(settings.nodes))} "
        f"CPUs={settings.cpus} RealMemory={settings.memory_mb}{gres} State=UNKNOWN"
    ]
    lines += [f"PartitionName={name} Nodes=ALL State=UP {text}" for name, text in settings.partitions.items()]
    return configuration.text(values, settings.extra_conf, lines)


def gres_conf(settings: Settings, layout: Layout) -> str:
    """The text of gres.conf: each pretended GPU is a device file, or SLURM never sets CUDA_VISIBLE_DEVICES."""
    if not settings.gpus:
        return ""
    files = layout.devices / numbered("fakegpu", 0, settings.gpus - 1)
    return f"NodeName={numbered('node', 1, settings.nodes)} Name=gpu File={files}\n"


def slurmdbd_conf(layout: Layout, ports: Ports, user: str, password: str) -> str:
    """The text of slurmdbd.conf, a secret because it holds the password of the database."""
    return f"""AuthType=auth/munge
AuthInfo=socket={layout.munge_socket}
DbdHost=localhost
DbdPort={ports.accounting}
SlurmUser={user}
PidFile={layout.base / "run" / "slurmdbd.pid"}
LogFile={layout.logs / "slurmdbd.log"}
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm_acct_db
CommitDelay=0
"""


def database_sql(password: str) -> str:
    """What mariadbd runs at its start: the database, its user and the grant, each a single line."""
    return (
        "CREATE DATABASE IF NOT EXISTS slurm_acct_db;\n"
        f"CREATE OR REPLACE USER 'slurm'@'localhost' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON slurm_acct_db.* TO 'slurm'@'localhost';\n"
    )
