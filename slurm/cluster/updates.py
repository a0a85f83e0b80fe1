"""What to tell scontrol so that waiting jobs keep off bad nodes: which ids get which ExcNodeList. Pure."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slurm.cluster import hostlist

_HARMLESS = re.compile(
    r"no longer pending|invalid job id|already complet|already finished|no error|job/step already|job is finished",
    re.IGNORECASE,
)
"""A task began or ended in between: there is nothing more to keep off a node."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A pending job or task and the nodes that it is kept off now."""

    job: str
    task: int | None
    name: str
    exclude: frozenset[str]
    partitions: str = ""
    """Those that it may start in, with commas between."""


def arguments() -> list[str]:
    """Every pending task of this user with its excluded nodes; the name last, since it may hold anything."""
    return ["squeue", "-r", "-h", "-t", "PENDING", "-u", str(os.getuid()), "-o", "%F|%K|%x|%P|%j"]


def parse(text: str) -> list[Waiting]:
    """Read what `arguments()` prints; odd lines are skipped."""
    found = []
    for line in text.split("\n"):
        fields = line.split("|", 4)
        if len(fields) < 5 or not fields[0].isdecimal():
            continue
        try:
            exclude = frozenset(hostlist.expand(fields[2].replace("(null)", "")))
        except ValueError:
            continue
        task = int(fields[1]) if fields[1].isdecimal() else None
        found.append(Waiting(job=fields[0], task=task, name=fields[4], exclude=exclude, partitions=fields[3]))
    return found


def exclusions(waiting: Sequence[Waiting], wanted: Mapping[tuple[str, str], frozenset[str]]) -> dict[str, list[str]]:
    """ExcNodeList → ids that need it. `wanted` is by (SLURM's id, token); others are left alone.

    Where every waiting task of an array needs the same, the array's id stands for them.
    """
    arrays: dict[tuple[str, str], list[Waiting]] = defaultdict(list)
    for item in waiting:
        if (item.job, item.name) in wanted:
            arrays[item.job, item.name].append(item)
    found: dict[str, list[str]] = defaultdict(list)
    for key, items in arrays.items():
        off = [item for item in items if item.exclude != wanted[key]]
        text = hostlist.join(wanted[key])
        if len(off) == len(items) and len(items) > 1:
            found[text].append(key[0])
        else:
            found[text].extend(item.job if item.task is None else f"{item.job}_{item.task}" for item in off)
    return {text: ids for text, ids in found.items() if ids}


def complaints(reply: str) -> list[str]:
    """Lines of scontrol's reply that say more than that a task began or ended meanwhile."""
    return [line for line in reply.splitlines() if line.strip() and not _HARMLESS.search(line)]
