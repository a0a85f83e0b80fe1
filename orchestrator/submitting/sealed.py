"""Slices are for programs that hold the seal: others would be cut off again and again, and be wrong afterwards."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from db import jobs
from db.jobs import StoredJob
from db.sealing import Seals
from jobs.bundles import OPTION as BUNDLE
from jobs.errors import BadInput
from jobs.words import BackendName
from orchestrator.submitting.planning import Launch
from orchestrator.supervision.sliced import holds_seal, plans
from orchestrator.supervision.slicing import OPTION


def check(connection: Connection, found: Iterable[StoredJob]) -> None:
    """Raise BadInput for one that is to be run in slices and must not be."""
    asking = [job for job in found if job.launching.options.get(OPTION)]
    if not asking:
        return
    seals = Seals(connection)
    for job in asking:
        if job.launching.backend != BackendName.SLURM:
            raise BadInput(f"job {job.id} runs on this host: --slices is for SLURM, whose queue has holes to fill")
        known = seals.of_job(job)
        if not holds_seal(known):
            why = f"was found '{known.seal.verdict}'" if known is not None else "was not rehearsed with this code"
            words = shlex.join(job.config["argv"]) if job.kind == "command" else job.kind
            how = f"orch rehearse {'-- ' if job.kind == 'command' else ''}{words}"
            raise BadInput(f"--slices is for programs that are right after resuming, and this one {why}: run '{how}'")


def admit(connection: Connection, launch: Launch, new: Sequence[int], *, dry_run: bool) -> list[str]:
    """Check the jobs of these ids, and say in which pieces the first of them is to be run. Raises BadInput."""
    if not launch.options.get(OPTION) or not new:
        return []
    cut = jobs.get_many(connection, new)
    if dry_run and cut[0].launching.code is None and cut[0].kind == "command":
        return ["--slices: refused where the program does not hold the seal; a dry run keeps no code, and cannot tell"]
    check(connection, cut)
    found = plans(connection, cut[:1]).get(cut[0].id)
    if found is None:
        return [f"--slices: without effect, since {cut[0].launching.resources.minutes} minutes are one piece"]
    return [f"in slices of {found.minutes} min ({found.why}): at most {found.pieces} pieces for each job"]


def taken_out(options: dict[str, Any]) -> tuple[str, ...]:
    """Take out of the options of jobs that run here what is for SLURM's queue alone; for the note that says so."""
    return tuple(name for name in (OPTION, BUNDLE) if options.pop(name, 0))
