"""Launchers: what starts the several processes (ranks) of one program, and how many of them on a node. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from jobs.errors import BadInput
from jobs.resources import Resources

TORCHRUN = "torchrun"
NONE = "none"
"""Takes a launcher back (`orch set --launcher none`)."""
LAUNCHER, PER_NODE = "launcher", "ranks_per_node"
"""Options of a job."""
MOST_PER_NODE = 1024


def checked(launcher: str | None, per_node: int | None) -> dict[str, Any]:
    """The options of a job that these two are. Raises BadInput."""
    if launcher is not None and launcher not in (TORCHRUN, NONE):
        raise BadInput(f"--launcher takes {TORCHRUN}, or {NONE} (got {launcher!r})")
    if per_node is not None and not 1 <= per_node <= MOST_PER_NODE:
        raise BadInput(f"--ranks-per-node must be from 1 to {MOST_PER_NODE} (got {per_node})")
    if launcher == NONE and per_node is not None:
        raise BadInput(f"--launcher {NONE} starts one process: leave --ranks-per-node out")
    given = {LAUNCHER: launcher, PER_NODE: per_node}
    return {name: value for name, value in given.items() if value is not None}


def of(options: Mapping[str, Any]) -> str | None:
    """The launcher of a job; None: its program is one process."""
    named = options.get(LAUNCHER)
    return named if named and named != NONE else None


def ranks(options: Mapping[str, Any], gpus: int) -> int:
    """Processes of a job on each of its nodes: as it says, else one for each GPU."""
    return int(options.get(PER_NODE) or max(1, gpus)) if of(options) else 1


def for_all(base: Resources, count: int) -> Resources:
    """What one process needs, for so many on a node."""
    return msgspec.structs.replace(base, cpus=base.cpus * count, memory_mb=base.memory_mb * count)


def nodes(options: Mapping[str, Any]) -> int:
    """How many nodes a job asks for, at least; 1 where it does not say."""
    least = str(dict(options.get("slurm") or {}).get("nodes") or "1").partition("-")[0].partition(",")[0]
    return int(least) if least.isdecimal() else 1
