"""What `orch doctor` asks of SLURM: a few questions, each answered or with the error that came instead."""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from slurm.cluster import arrays
from slurm.cluster.commands import CommandFailed, Commands, installed
from slurm.pools import unused

_CONFIG_LINE = re.compile(r"^(\w+)\s*=\s*(.*?)\s*$", re.MULTILINE)
_GPU = re.compile(r"\bgpu(?::[^:,()]+)?:(\d+)")
_LIMITS = ("MaxJobs", "MaxSubmit", "GrpJobs", "GrpSubmit")
_YES = frozenset({"1", "yes", "true"})


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One partition, its nodes of all states together."""

    name: str
    nodes: int
    usable: int
    """Of them neither down nor drained."""
    gpus: int
    time_limit: str
    default: bool = False


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What is known of this host's SLURM; None: not known, and `errors` says why."""

    installed: bool
    client: str | None = None
    """Version of the client commands."""
    controller: str | None = None
    """Version of slurmctld, which answered."""
    accounting: bool | None = None
    partitions: tuple[Partition, ...] = ()
    max_array: int | None = None
    max_jobs: int | None = None
    requeue: bool | None = None
    """JobRequeue: what sbatch does without --requeue; orch always says it."""
    min_job_age_s: int | None = None
    """How long the queue remembers ended jobs: without accounting this is all the time there is to see an ending."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """'MaxSubmit of account x' → number, of this user's associations."""
    limits_enforced: bool | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    """Question → what came instead of an answer."""


def probe(commands: Commands | None = None) -> Findings:
    """Ask everything once; never raises for what SLURM does not answer."""
    if not installed():
        return Findings(installed=False, errors={"clients": "sbatch, srun, squeue or scontrol is not on the PATH"})
    asked = commands or Commands()
    errors: dict[str, str] = {}

    def answer(question: str, *arguments: str) -> str | None:
        try:
            return asked.ask(arguments)
        except CommandFailed as error:
            errors[question] = str(error)
            return None

    version = answer("clients", "sbatch", "--version")
    text = answer("controller", "scontrol", "show", "config")
    config = dict(_CONFIG_LINE.findall(text)) if text else {}
    nodes = answer("partitions", "sinfo", "-h", "-a", "-o", "%P|%D|%T|%G|%l")
    accounting, limits = None, {}
    if config:
        accounting = config.get("AccountingStorageType", "").endswith("slurmdbd")
    if accounting:
        records = answer("accounting", "sacct", "-X", "-P", "-n", "-o", "JobID", "-S", "now-1minutes")
        accounting = None if records is None else True
        wanted = ",".join(("Account", "Partition", *_LIMITS))
        owner = f"user={getpass.getuser()}"
        limits = parse_limits(
            answer("limits", "sacctmgr", "-n", "-P", "show", "assoc", owner, f"format={wanted}") or ""
        )
    enforced = config.get("AccountingStorageEnforce")
    return Findings(
        installed=True,
        client=version.strip().removeprefix("slurm-wlm ").removeprefix("slurm ") if version else None,
        controller=config.get("SLURM_VERSION"),
        accounting=accounting,
        partitions=parse_partitions(nodes or ""),
        max_array=_number(config.get("MaxArraySize")) or (arrays.DEFAULT_MAX_ARRAY if config else None),
        max_jobs=_number(config.get("MaxJobCount")),
        requeue=config["JobRequeue"].lower() in _YES if "JobRequeue" in config else None,
        min_job_age_s=_number(config.get("MinJobAge")),
        limits=limits,
        limits_enforced=None if enforced is None else "limits" in enforced or "safe" in enforced,
        errors=errors,
    )


def parse_partitions(text: str) -> tuple[Partition, ...]:
    """Read sinfo's '%P|%D|%T|%G|%l': one line a partition, state and kind of node."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) != 5 or not fields[1].isdecimal():
            continue
        name, count = fields[0].rstrip("*"), int(fields[1])
        old = found.get(name)
        gpus = count * sum(int(number) for number in _GPU.findall(fields[3]))
        found[name] = Partition(
            name=name,
            nodes=count + (old.nodes if old else 0),
            usable=(0 if unused(fields[2]) else count) + (old.usable if old else 0),
            gpus=gpus + (old.gpus if old else 0),
            time_limit=fields[4].strip(),
            default=fields[0].endswith("*"),
        )
    return tuple(found.values())


def parse_limits(text: str) -> dict[str, int]:
    """Read sacctmgr's lines of the associations; unset limits are left out."""
    found = {}
    for line in text.splitlines():
        account, _, rest = line.partition("|")
        partition, _, numbers = rest.partition("|")
        where = f"account {account}" + (f" in partition {partition}" if partition else "")
        for name, value in zip(_LIMITS, numbers.split("|"), strict=False):
            if value.strip().isdecimal():
                found[f"{name} of {where}"] = int(value)
    return found


def _number(text: str | None) -> int | None:
    match = re.match(r"\d+", text or "")
    return int(match[0]) if match else None
