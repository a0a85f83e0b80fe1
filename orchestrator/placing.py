"""Which pools (SLURM partitions, or this host's devices) a job may go to, and which nodes are kept out. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from db.health import StoredStrike
from db.jobs import StoredJob
from jobs.words import Cause
from orchestrator.settings import Nodes, hours
from slurm import nodes
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


def elsewhere(
    queued: Sequence[StoredJob], failed_on: Mapping[int, frozenset[str]], pools: Pools
) -> dict[int, frozenset[str]]:
    """The nodes that each job is kept off after failed launches, as long as its pools have another one."""
    found = {}
    for job in queued:
        mine = {node for name in pools_of_job(job.launching.options, pools) for node in pools.partitions.get(name, ())}
        failed = failed_on.get(job.id, frozenset()) & mine
        if failed and mine - failed:
            found[job.id] = failed
    return found
