"""Which pools (SLURM partitions, or this host's devices) a job may go to, and which nodes are kept out. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from db.health import StoredStrike
from db.jobs import StoredJob
from jobs.words import Cause
from orchestrator.settings import Nodes, hours
from slurm import nodes
from slurm.cluster import hostlist
from slurm.pools import Pools


def exclusion(strikes: Sequence[StoredStrike], pools: Pools, now: datetime, wanted: Nodes) -> nodes.Exclusion:
    """What follows from the strikes now, by the settings."""
    rules = nodes.Policy(
        strikes=wanted.strikes,
        strike_lasts=hours(wanted.strike_hours),
        exclude_for=hours(wanted.exclude_hours),
        largest_share=wanted.largest_share,
    )
    known = [nodes.Strike(node=one.node, at=one.at, cause=Cause(one.cause)) for one in strikes]
    return nodes.excluded(known, pools, now, rules)


def pools_of_job(options: Mapping[str, Any], pools: Pools) -> list[str]:
    """The job's partitions by its `--partition`; without one the default, which stands first."""
    asked = str(dict(options.get("slurm") or {}).get("partition") or "")
    return [name for name in asked.split(",") if name] or list(pools.partitions)[:1]


def stopped_jobs(queued: Sequence[StoredJob], pools: Pools, stopped: Collection[str]) -> set[int]:
    """The jobs all of whose pools have only bad nodes."""
    return {
        job.id
        for job in queued
        if (mine := pools_of_job(job.launching.options, pools)) and all(name in stopped for name in mine)
    }


def unwanted(options: Mapping[str, Any]) -> frozenset[str]:
    """The nodes that the user excludes; none where that cannot be read."""
    try:
        return frozenset(hostlist.expand(str(dict(options.get("slurm") or {}).get("exclude") or "")))
    except ValueError:  # the launch refuses it with a sentence
        return frozenset()


def elsewhere(
    queued: Sequence[StoredJob], failed_on: Mapping[int, frozenset[str]], pools: Pools, out: frozenset[str]
) -> dict[int, frozenset[str]]:
    """The nodes that each job is kept off after failed launches, as long as its pools have another one.

    One that nobody is sent to (`out`), or that the user excludes, is no other one: sbatch refuses a job for good that
    has no node left.
    """
    found = {}
    for job in queued:
        mine = {node for name in pools_of_job(job.launching.options, pools) for node in pools.partitions.get(name, ())}
        failed = failed_on.get(job.id, frozenset()) & mine
        if failed and mine - failed - out - unwanted(job.launching.options):
            found[job.id] = failed
    return found


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What the strikes mean for the queued jobs of one backend."""

    exclude: frozenset[str]
    """Nodes (local: devices) that nothing is sent to."""
    held: frozenset[int]
    """Jobs all of whose pools have only bad nodes."""
    stopped: Mapping[str, str]
    """Pool → sentence, of the pools that those wait for."""
    going: Sequence[StoredJob]
    """Jobs that may be sent now."""
    avoid: Mapping[int, frozenset[str]]
    """Job → the nodes that it is kept off after its own failed launches."""


def place(
    later: Sequence[StoredJob],
    now_due: Sequence[StoredJob],
    strikes: Sequence[StoredStrike],
    failed_on: Mapping[int, frozenset[str]],
    pools: Pools,
    now: datetime,
    wanted: Nodes,
) -> Placement:
    """Where the queued jobs may go. `later`: all of them; `now_due`: without those that are put off."""
    excluded = exclusion(strikes, pools, now, wanted)
    held = stopped_jobs(later, pools, excluded.stopped)
    concerned = {pool for job in later if job.id in held for pool in pools_of_job(job.launching.options, pools)}
    going = [job for job in now_due if job.id not in held]
    return Placement(
        exclude=excluded.nodes,
        held=frozenset(held),
        stopped={pool: text for pool, text in excluded.stopped.items() if pool in concerned},
        going=going,
        avoid=elsewhere(going, failed_on, pools, excluded.nodes),
    )


def within(going: Sequence[StoredJob], room: Mapping[str, int]) -> list[StoredJob]:
    """Those of these that their studies let go now, in their order. `room`: study → how many, where that is limited."""
    left = dict(room)
    found = []
    for job in going:
        if left.get(job.study, 1) <= 0:
            continue
        if job.study in left:
            left[job.study] -= 1
        found.append(job)
    return found
