"""Jobs that a finished job asks for (evolution's next generation): enqueued with the acceptance, idempotently."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from db import jobs
from db.entries import Template
from db.jobs import StoredJob, Wanted
from db.store import Writer
from jobs.kind import kind_named
from jobs.records import Spawn


def spawn(writer: Writer, parent: StoredJob, wanted: Sequence[Spawn], at: datetime) -> list[int]:
    """The ids of the spawned jobs, made where they were not there. They run as their parent's command asked."""
    launching = parent.launching
    ids: list[int] = []
    for item in wanted:
        kind = kind_named(item.kind)
        config = msgspec.convert(item.config, kind.config)
        resources = launching.asked.over(kind.resources(config), device=launching.device)
        template = Template(
            kind=kind.name,
            kind_version=kind.version,
            preset=config.preset,
            config=msgspec.to_builtins(config),
            dataset=getattr(config, "dataset", ""),
            launching=msgspec.structs.replace(launching, resources=resources),
        )
        needs = tuple(ids[int(need[1:])] if need.startswith("#") else int(need) for need in item.needs)
        (key,) = kind.keys(config, [item.seed])
        job = Wanted(template=0, seed=item.seed, key=key, needs=needs, tolerant=item.tolerate_failure)
        ids += jobs.ensure(writer, parent.study, [template], [job], at).ids
    return ids
