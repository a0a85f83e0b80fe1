"""Which nodes are kept out of the way, as people are told. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rich.text import Text

from db.health import StoredStrike
from jobs.errors import BadInput
from orchestrator.settings import Nodes
from orchestrator.supervision.placing import exclusion
from orchestrator.views.tables import Cell, columns
from orchestrator.views.words import clock
from slurm.pools import Pools


def suspects(strikes: Sequence[StoredStrike], wanted: Nodes) -> set[str]:
    """Nodes with enough strikes to be bad: without any, no machine need be asked."""
    counts: dict[str, int] = {}
    for one in strikes:
        counts[one.node] = counts.get(one.node, 0) + 1
    return {node for node, n in counts.items() if n >= wanted.strikes}


@dataclass(frozen=True, kw_only=True)
class NodeLine:
    """One node that has strikes. `until`: kept out until then; `spared`: bad, but used all the same."""

    node: str
    strikes: int
    last: StoredStrike
    until: datetime | None
    spared: bool

    @property
    def standing(self) -> str:
        """What follows for the node."""
        if self.until is None:
            return "used"
        if self.spared:
            return "bad, but used: too many nodes are out already"
        return "kept out"


@dataclass(frozen=True, kw_only=True)
class NodesView:
    """All nodes with strikes, the worst first."""

    nodes: tuple[NodeLine, ...]
    stopped: tuple[str, ...]
    needed: int
    now: datetime

    def only(self, names: Collection[str]) -> NodesView:
        """Those nodes alone. Raises BadInput for one without strikes."""
        there = {line.node for line in self.nodes}
        for name in names:
            if name not in there:
                raise BadInput(f"node '{name}' has no strikes: 'orch nodes' lists those that have")
        return replace(self, nodes=tuple(line for line in self.nodes if line.node in names))

    def contract(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "nodes": [
                {
                    "node": line.node,
                    "strikes": line.strikes,
                    "last": line.last.at,
                    "cause": line.last.cause,
                    "job": line.last.job,
                    "until": line.until,
                    "excluded": line.until is not None and not line.spared,
                }
                for line in self.nodes
            ],
            "stopped": list(self.stopped),
        }


def view(strikes: Sequence[StoredStrike], pools: Pools, now: datetime, wanted: Nodes) -> NodesView:
    """What `orch nodes` shows of strikes that have not expired, oldest first."""
    found = exclusion(strikes, pools, now, wanted)
    own: dict[str, list[StoredStrike]] = {}
    for one in strikes:
        own.setdefault(one.node, []).append(one)
    lines = [
        NodeLine(
            node=node,
            strikes=len(these),
            last=these[-1],
            until=found.until.get(node),
            spared=node in found.spared,
        )
        for node, these in own.items()
    ]
    lines.sort(key=lambda line: (line.until is None, -line.strikes, line.node))
    return NodesView(nodes=tuple(lines), stopped=tuple(found.stopped.values()), needed=wanted.strikes, now=now)


def render(shown: NodesView, width: int) -> Text:
    """A line for each node."""
    if not shown.nodes:
        return Text("no strikes: every node is used")
    rows: list[list[Cell]] = [
        [
            line.node,
            f"{line.strikes} of {shown.needed}",
            line.last.cause,
            clock(line.last.at, shown.now),
            "" if line.last.job is None else str(line.last.job),
            clock(line.until, shown.now) if line.until else "",
            line.standing,
        ]
        for line in shown.nodes
    ]
    headings = ["node", "strikes", "last", "at", "job", "until", "standing"]
    lines = columns(headings, rows, width=width, right=(4,), stretch=6, drop=(4, 3))
    return Text("\n").join([*lines, *(Text(f"! {text}", style="bold red") for text in shown.stopped)])
