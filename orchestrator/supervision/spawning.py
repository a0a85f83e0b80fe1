"""Jobs that a finished job asks for (evolution's next generation): enqueued with the acceptance, idempotently."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from db import creation, jobs
from db.creation import Wanted
from db.jobs import StoredJob
from db.launching import Template
from db.writer import Writer
from jobs.errors import BadInput, OrchError
from jobs.kind import kind_named
from jobs.records import Spawn

log = logging.getLogger(__name__)

ABSURD = (OrchError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError)
"""What a kind raises of a config that no worker of ours asks for."""


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A job that can be made. `needs` are ids, or negative: −1 stands for the first job asked for, and so on."""

    template: Template
    seed: int
    key: str
    needs: tuple[int, ...]
    tolerant: bool


def spawn(writer: Writer, parent: StoredJob, wanted: Sequence[Spawn], at: datetime) -> list[int]:
    """The ids of the spawned jobs, made where they were not there. They run as their parent's command asked.

    All or none: where one cannot be made, none is, with a warning, and the parent's result counts all the same.
    """
    try:
        asked = [_asked(writer, parent, item, position) for position, item in enumerate(wanted)]
    except ABSURD as error:
        log.warning("job %d asks for jobs that cannot be made, so none is: %s", parent.id, error)
        return []
    ids: list[int] = []
    for item in asked:
        needs = tuple(ids[-need - 1] if need < 0 else need for need in item.needs)
        job = Wanted(template=0, seed=item.seed, key=item.key, needs=needs, tolerant=item.tolerant)
        ids += creation.ensure(writer, parent.study, [item.template], [job], at).ids
    return ids


def _asked(writer: Writer, parent: StoredJob, item: Spawn, position: int) -> _Asked:
    """Raises one of ABSURD."""
    launching = parent.launching
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
    msgspec.json.encode(template)
    needs = []
    for need in item.needs:
        if need.startswith("#"):
            if not 0 <= int(need[1:]) < position:
                raise BadInput(f"'{need}' names no job before it")
            needs.append(-int(need[1:]) - 1)
        else:
            needs.append(jobs.get(writer.connection, int(need)).id)
    (key,) = kind.keys(config, [item.seed])
    return _Asked(template=template, seed=item.seed, key=key, needs=tuple(needs), tolerant=item.tolerate_failure)
