"""Partitions, their nodes and how each of them is; locally one pool of devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
