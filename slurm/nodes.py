"""Which nodes are kept out of the way: strikes that expire, and never more than a share of a partition. Pure.

The same rules serve local GPUs, as nodes of one pool.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from jobs.words import Cause
from slurm.pools import Pools


@dataclass(frozen=True, kw_only=True)
class Strike:
    """Something went wrong on a node that may be the node's own fault."""

    node: str
    at: datetime
    cause: Cause


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How fast a node falls into disgrace, and for how long."""

    strikes: int = 3
    """So many that have not expired make a node bad: one NODE_FAIL alone blames nobody."""
    strike_lasts: timedelta = timedelta(hours=6)
    exclude_for: timedelta = timedelta(hours=1)
    """After the newest strike; then the node is tried again, and one more strike excludes it again."""
    largest_share: float = 0.5
    """Of a partition's nodes: more are never excluded."""


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """What follows from the strikes at one moment."""

    nodes: frozenset[str] = frozenset()
    until: Mapping[str, datetime] = field(default_factory=dict)
    """Of every bad node, excluded or spared: when it is tried again."""
    spared: frozenset[str] = frozenset()
    """Bad nodes that are still used, since too many of their partition are excluded already."""
    stopped: Mapping[str, str] = field(default_factory=dict)
    """Partition → sentence, where work could only go to bad nodes: nothing is to be sent there."""


def excluded(
    strikes: Sequence[Strike],
    pools: Pools,
    now: datetime,
    policy: Policy | None = None,
) -> Exclusion:
    """Judge all nodes (one may be in several partitions); bad ones in none are left out: SLURM refuses such names.

    `strikes`: in the order in which they were given.
    """
    policy = policy or Policy()
    fresh: dict[str, list[Strike]] = defaultdict(list)
    for strike in in_order(strikes, now):
        if now - strike.at < policy.strike_lasts:
            fresh[strike.node].append(strike)
    known = {node for nodes in pools.partitions.values() for node in nodes}
    until = {}
    for node, own in fresh.items():
        end = max(strike.at for strike in own) + policy.exclude_for
        if node in known and len(own) >= policy.strikes and now < end:
            until[node] = end
    out: set[str] = set()
    # The worst first; by name in the end, so that the choice never depends on the order of reading.
    for node in sorted(until, key=lambda name: (-len(fresh[name]), -until[name].timestamp(), name)):
        mine = [nodes for nodes in pools.partitions.values() if node in nodes]
        if all(len(out & nodes) + 1 <= int(len(nodes) * policy.largest_share) for nodes in mine):
            out.add(node)
    stopped, down = {}, pools.down
    for pool, nodes in pools.partitions.items():
        bad = [node for node in nodes if node in until]
        left = nodes - out - down  # where work would go; with none it waits in the queue for what is down
        if bad and (len(bad) == len(nodes) or (left and left <= until.keys())):
            stopped[pool] = _sentence(pool, nodes, bad, fresh, until, policy)
    return Exclusion(
        nodes=frozenset(out), until=until, spared=frozenset(until) - out, stopped=dict(sorted(stopped.items()))
    )


def in_order(strikes: Sequence[Strike], now: datetime) -> list[Strike]:
    """The strikes with times that never run backwards: one that says to be later than a newer one, or than now, is of
    before the clock was set back, and would keep its node out for as long besides."""
    found = []
    for strike in reversed(strikes):
        now = min(now, strike.at)
        found.append(replace(strike, at=now))
    return found[::-1]


def _sentence(
    pool: str,
    nodes: Collection[str],
    bad: list[str],
    fresh: Mapping[str, list[Strike]],
    until: Mapping[str, datetime],
    policy: Policy,
) -> str:
    newest = max((strike for node in bad for strike in fresh[node]), key=lambda strike: strike.at)
    again = min(until[node] for node in bad)
    if len(bad) == len(nodes):
        who = f"all {len(nodes)} nodes of '{pool}' are" if len(nodes) > 1 else f"the only node of '{pool}' is"
    else:
        who = f"all nodes of '{pool}' are down or"
    return (
        f"{who} bad ({policy.strikes} failures each, the last a {newest.cause} on {newest.node}): nothing is sent "
        f"there before {again:%Y-%m-%d %H:%M} UTC; see why with `orch nodes`, and clear them there once they are mended"
    )
