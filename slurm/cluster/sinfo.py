"""Partitions, nodes and their states as sinfo(1) prints them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from slurm.cluster import hostlist
from slurm.pools import Pools


def arguments(nodes: Iterable[str] = ()) -> list[str]:
    """One line a partition and state; of all nodes or of some."""
    some = hostlist.join(nodes)
    return ["sinfo", "-h", "-a", *(["-n", some] if some else []), "-o", "%P|%T|%N"]


def parse(text: str) -> Pools:
    """Read what `arguments()` prints; odd lines are skipped."""
    partitions: dict[str, set[str]] = defaultdict(set)
    states: dict[str, str] = {}
    default = None
    for line in text.splitlines():
        name, _, rest = line.strip().partition("|")
        state, _, nodes = rest.partition("|")
        try:
            names = hostlist.expand(nodes)
        except ValueError:
            continue
        if not name or not state:
            continue
        if name.endswith("*"):
            name = default = name[:-1]
        partitions[name].update(names)
        states.update(dict.fromkeys(names, state))
    return Pools(
        partitions={name: frozenset(partitions[name]) for name in sorted(partitions, key=lambda name: name != default)},
        states=states,
    )
