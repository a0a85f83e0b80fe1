"""Partitions, their nodes and how each of them is (sinfo(1))."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from slurm import hostlist

_UNUSED = ("down", "drain", "fail", "maint", "future", "unknown", "inval", "error", "reserved")


@dataclass(frozen=True, kw_only=True)
class Pools:
    """What SLURM has, by partition."""

    partitions: Mapping[str, frozenset[str]]
    states: Mapping[str, str]
    """Node → state in sinfo's words; a '*' at the end says that it does not answer."""
    default: str | None = None

    @property
    def nodes(self) -> frozenset[str]:
        return frozenset(self.states)

    @property
    def down(self) -> frozenset[str]:
        """Nodes on which SLURM starts nothing now."""
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
        partitions={name: frozenset(nodes) for name, nodes in partitions.items()}, states=states, default=default
    )
