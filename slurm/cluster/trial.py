"""When SLURM would begin a job if it were sent now: asked by `sbatch --test-only`, which sends nothing (sbatch(1))."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from jobs.resources import Resources
from slurm.cluster import options
from slurm.cluster.commands import CommandFailed, Commands

_START = re.compile(r"to start at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)")


def begins(resources: Resources, free: Mapping[str, Any], commands: Commands | None = None) -> datetime | None:
    """The start of one job with these resources and sbatch parameters; None where SLURM does not say.

    What other people's jobs end early, or are sent in the meantime, changes it.
    """
    try:
        reply = (commands or Commands()).run(arguments(resources, free))
    except CommandFailed:
        return None
    return parse(f"{reply.out}\n{reply.err}")


def arguments(resources: Resources, free: Mapping[str, Any]) -> list[str]:
    """The call; the parameters go over the resources."""
    asked: dict[str, Any] = {
        "time": resources.minutes,
        "mem": f"{resources.memory_mb}M",
        "cpus_per_task": resources.cpus,
        **({"gpus_per_node": resources.gpus} if resources.gpus and not options.asks_gpus(dict(free)) else {}),
        **free,
    }
    words = [f"--{options.written(name)}" + ("" if value is True else f"={value}") for name, value in asked.items()]
    return ["sbatch", "--test-only", *words, "--wrap=true"]


def parse(text: str) -> datetime | None:
    """The moment in what sbatch prints; commands run with TZ=UTC."""
    found = _START.search(text)
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None
