"""What of changed terms a task that waits in SLURM can be given where it stands, and by how much it steps back. Pure.

In SLURM 22.05 time, memory, CPUs, partition and nice reach the program as they were changed (tests/slurm); of GPUs,
nodes, accounts and most other options it accepts some, and gives the step the old ones: those are sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from db.launching import Launching
from jobs.resources import InQueue
from orchestrator.supervision.slicing import OPTION
from orchestrator.terms import SIGNAL_DELAY

STEP = 100
"""So much nice lies between two priorities: what `scontrol update Nice` takes where it is told nothing."""
MOST = 2_000_000_000
"""SLURM takes a little more (sbatch(1), --nice)."""
DEFAULT_DELAY = 90

_IN_PLACE = frozenset({"partition", "nice"})
_OF_ORCH = ("slurm", "minutes", "retry_oom_mem", "jobs_per_gpu")
"""Options that SLURM's task does not hold: they are compared apart, or asked when an attempt has ended."""
_SAY_CPUS = frozenset({
    "cpus_per_task", "cpus_per_gpu", "mincpus", "ntasks", "ntasks_per_node", "ntasks_per_socket", "ntasks_per_core",
    "ntasks_per_gpu", "nodes", "exclusive", "mem_per_cpu", "extra_node_info", "sockets_per_node", "cores_per_socket",
    "threads_per_core", "hint", "core_spec", "thread_spec", "overcommit",
})  # fmt: skip
"""sbatch parameters beside which the number of CPUs is more than one number."""
_SAY_MEMORY = frozenset({"mem", "mem_per_cpu", "mem_per_gpu"})
SAY_TIME = frozenset({"time", "time_min", "deadline"})


def difference(before: Launching, after: Launching, sent: Mapping[str, Any]) -> InQueue | None:
    """What is to be changed of a task in the queue; None: it must be sent again.

    `sent`: the options of its submission, as its manifest has them.
    """
    if _rest(before) != _rest(after):
        return None
    if after.options.get(OPTION) and before.resources.minutes != after.resources.minutes:
        return None  # how many pieces there are follows from it
    old, new = (dict(one.options.get("slurm") or {}) for one in (before, after))
    changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    if changed - _IN_PLACE or "partition" in changed - new.keys():
        return None
    was, is_ = before.resources, after.resources
    slurm = frozenset(dict(sent.get("slurm") or {}))
    if was.gpus != is_.gpus:
        return None
    if was.cpus != is_.cpus and slurm & _SAY_CPUS:
        return None
    if was.memory_mb != is_.memory_mb and slurm & _SAY_MEMORY:
        return None
    if was.minutes != is_.minutes and (slurm & SAY_TIME or not _warned_in_time(was.minutes, is_.minutes, sent)):
        return None
    return InQueue(
        minutes=is_.minutes if was.minutes != is_.minutes else None,
        memory_mb=is_.memory_mb if was.memory_mb != is_.memory_mb else None,
        cpus=is_.cpus if was.cpus != is_.cpus else None,
        partition=str(new["partition"]) if "partition" in changed else None,
    )


def _rest(launching: Launching) -> Launching:
    """All that is not compared by itself."""
    resources = msgspec.structs.replace(launching.resources, minutes=1, memory_mb=1, cpus=1, gpus=0, gpu_memory_mb=0)
    options = {name: value for name, value in launching.options.items() if name not in _OF_ORCH}
    return msgspec.structs.replace(launching, asked=type(launching.asked)(), resources=resources, options=options)


def _warned_in_time(before: int, after: int, sent: Mapping[str, Any]) -> bool:
    """Whether the warning that the script asks for still comes at about the right time before the limit."""
    delay = int(sent.get(SIGNAL_DELAY, DEFAULT_DELAY))
    old, new = (max(1, min(delay, minutes * 10)) for minutes in (before, after))
    return new <= 2 * old and old <= 2 * new


def nice(options: Mapping[str, Any], priority: int, level: int) -> int:
    """How far a job steps back in SLURM's queue: not at all at the highest priority that waits there.

    A user cannot raise a job above others, so what is less urgent is lowered. `--sbatch nice` is a person's own word.
    """
    own = dict(options.get("slurm") or {}).get("nice")
    if own is True:
        return STEP
    if own is not None:
        try:
            return int(str(own))
        except ValueError:
            return 0
    return min(max(0, level - priority) * STEP, MOST)
