"""What every slurm.conf of ours says, wherever its nodes are: pure text."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from jobs.errors import BadInput

RESERVED = ("nodename", "partitionname", "clustername")

Values = dict[str, str | int]


def check_extra(extra: Mapping[str, str | int]) -> None:
    """Raise BadInput where a key or value is no single line of slurm.conf, or one that is set otherwise."""
    for key, text in extra.items():
        if not re.fullmatch(r"\w+", key) or "\n" in str(text):
            raise BadInput(f"{key!r} with the value {text!r} is no single line of slurm.conf.")
    if reserved := [key for key in extra if key.lower() in RESERVED]:
        raise BadInput(f"{reserved[0]} is set by nodes, gpus and partitions, not by extra_conf.")


def pairs(texts: Iterable[str]) -> Values:
    """`--set KEY=VALUE …` as values. Raises BadInput."""
    found: Values = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"--set takes KEY=VALUE as in slurm.conf, not {text!r}.")
        found[key] = value
    return found


def daemons(*, user: str, port: int, socket: Path, state: Path, spool: Path, pids: Path, logs: Path) -> Values:
    """Who runs the daemons, how they know each other, and where they write; a node's files have %n in their names."""
    return {
        "ClusterName": "lab",
        "SlurmctldPort": port,
        "SlurmUser": user,
        "SlurmdUser": user,
        "AuthType": "auth/munge",
        # A requeued job waits until its credentials are over: 5 s is the least that SLURM takes, 120 s its default.
        "AuthInfo": f"socket={socket},cred_expire=5",
        "CredType": "cred/munge",
        "StateSaveLocation": str(state),
        "SlurmdSpoolDir": str(spool),
        "SlurmctldPidFile": str(pids / "slurmctld.pid"),
        "SlurmdPidFile": str(pids / "slurmd.%n.pid"),
        "SlurmctldLogFile": str(logs / "slurmctld.log"),
        "SlurmdLogFile": str(logs / "slurmd.%n.log"),
    }


def without_root() -> Values:
    """No cgroups and no privileges: what a job takes is counted, and only memory is looked at."""
    return {
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "JobAcctGatherType": "jobacct_gather/linux",
        "JobAcctGatherFrequency": "task=1",
        "JobAcctGatherParams": "OverMemoryKill",
        "SwitchType": "switch/none",
        "MpiDefault": "none",
        "PropagateResourceLimits": "NONE",
        "SlurmdParameters": "config_overrides",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core_Memory",
        "DefMemPerCPU": 100,
        "SchedulerType": "sched/backfill",
        "SchedulerParameters": "sched_min_interval=0,sched_interval=1,bf_interval=1,bf_resolution=1,"
        "batch_sched_delay=0,default_queue_depth=10000,bf_yield_interval=200000,bf_continue",
        "PriorityType": "priority/basic",
        "InactiveLimit": 0,
        "CompleteWait": 0,
        "MinJobAge": 300,
        "MaxJobCount": 20000,
        "MaxArraySize": 10001,
        "JobRequeue": 1,
        "AccountingStorageType": "accounting_storage/none",
    }


def text(values: Values, extra: Mapping[str, str | int], lines: Iterable[str]) -> str:
    """The text of slurm.conf: `extra` sets or replaces keys, `lines` are its hosts, nodes and partitions."""
    values = dict(values)
    for key, value in extra.items():
        # SLURM refuses a key given twice, and does not care for its case.
        known = next((name for name in values if name.lower() == key.lower()), key)
        values[known] = value
    return "\n".join([*(f"{key}={value}" for key, value in values.items()), *lines]) + "\n"


def cgroup_conf() -> str:
    """The text of cgroup.conf: v1 is named because it does nothing where nothing is constrained."""
    return "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\nConstrainDevices=no\n"


def numbered(prefix: str, first: int, last: int) -> str:
    """SLURM's host list of `first` to `last`: node[1-4], or node1 where there is one."""
    return f"{prefix}{first}" if first == last else f"{prefix}[{first}-{last}]"
