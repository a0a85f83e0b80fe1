"""Partitions, their nodes and how each of them is (sinfo(1)); locally one pool of devices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from slurm import hostlist

_UNUSED = ("down", "drain", "fail", "maint", "future", "unknown", "inval", "error", "reserved")


@dataclass(frozen=True, kw_only=True)
class Pools:
    """What the machines have, by partition."""

    partitions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """With the names of all their nodes, the default one first."""
    states: Mapping[str, str] = field(default_factory=dict)
    """Node → state in sinfo's words; a '*' at the end says that it does not answer."""

    @property
    def nodes(self) -> frozenset[str]:
        return frozenset(self.states)

    @property
    def down(self) -> frozenset[str]:
        """Nodes on which nothing starts now."""
        return frozenset(node for node, state in self.states.items() if unused(state))


def unused(state: str) -> bool:
    """Whether SLURM starts no job on a node in this state."""
    return state.endswith("*") or state.lower().startswith(_UNUSED)


def failed(state: str) -> bool:
    """Whether a node in this state is broken, and not merely taken out of use."""
    return state.endswith("*") or state.lower().startswith(("down", "fail", "error"))


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
