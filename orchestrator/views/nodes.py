"""Which nodes are kept out of the way, as people are told. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from db.health import StoredStrike
from jobs.words import Cause
from orchestrator.settings import Nodes, hours
from slurm import nodes


def rules(wanted: Nodes) -> nodes.Policy:
    """The settings as the rules of node health."""
    return nodes.Policy(
        strikes=wanted.strikes,
        strike_lasts=hours(wanted.strike_hours),
        exclude_for=hours(wanted.exclude_hours),
        largest_share=wanted.largest_share,
    )


def exclusion(
    strikes: Sequence[StoredStrike], pools: Mapping[str, Collection[str]], now: datetime, wanted: Nodes
) -> nodes.Exclusion:
    """What follows from the strikes now, as the supervisor judges it."""
    known = [nodes.Strike(node=one.node, at=one.at, cause=Cause(one.cause)) for one in strikes]
    return nodes.excluded(known, pools, now, rules(wanted))


def suspects(strikes: Sequence[StoredStrike], wanted: Nodes) -> set[str]:
    """Nodes with enough strikes to be bad: without any, no machine need be asked."""
    counts: dict[str, int] = {}
    for one in strikes:
        counts[one.node] = counts.get(one.node, 0) + 1
    return {node for node, n in counts.items() if n >= wanted.strikes}
