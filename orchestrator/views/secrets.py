"""Which secrets a program would not get if it were sent now: their values are never kept with a submit."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Collection, Sequence
from pathlib import Path

from db.jobs import StoredJob
from jobs.errors import BadInput
from jobs.node.preparation import EnvironmentFileError, read_environment_file
from jobs.records import Surroundings
from jobs.words import BackendName
from orchestrator.settings import Settings
from orchestrator.terms import as_sent
from orchestrator.views.status import SupervisorView
from orchestrator.views.words import listed
from slurm.local.processes import names_of


def _names_in(file: str | None) -> tuple[frozenset[str], str]:
    """The names in the file of `[env] file`, as it is on this host; why it cannot be used, as a sentence, or ''."""
    if not file:
        return frozenset(), ""
    try:
        return frozenset(read_environment_file(Path(file).expanduser())), ""
    except EnvironmentFileError as error:
        return frozenset(), str(error)


def travels(export: object, name: str) -> bool:
    """Whether a variable goes from the supervisor to a SLURM job under `--export` (sbatch(1)). Pure."""
    words = [word.strip() for word in str(export).split(",")]
    return "ALL" in words or name in [word.partition("=")[0] for word in words]


def predicted(
    around: Surroundings,
    export: object,
    here: Collection[str] | None,
    filed: Collection[str],
    file: str | None,
    *,
    running: bool,
) -> list[str]:
    """A sentence for each way in which secrets would be missing. Pure.

    `export`: what sbatch is given as --export, None for nothing and on this host; `here`: the names in the environment
    of the supervisor or, where none is `running`, of this shell, which would start one; None where nobody can look;
    `filed`: the names in `file`, which `[env] file` names.
    """
    wanted = [name for name in around.secrets if name not in {*filed, *around.kept, *around.given}]
    stays = [name for name in wanted if export is not None and not travels(export, name)]
    absent = [] if here is None else [name for name in wanted if name not in stays and name not in here]
    told = []
    if stays:
        told.append(
            f"the program will not get {listed(stays)}: under export={export} no secret travels to the node; "
            + _into_the_file(stays, file)
        )
    if absent:
        it = _them(absent)
        whose = "the supervisor was started without" if running else "a supervisor started from this shell is without"
        anew = " and start it anew ('orch supervise --stop', then 'orch supervise')" if running else ""
        told.append(
            f"the program will not get {listed(absent)}: {whose} {it}, and secrets are never written down; "
            f"export {it}{anew}, or {_into_the_file(absent, file)}"
        )
    return told


def _into_the_file(names: Sequence[str], file: str | None) -> str:
    if file:
        return f"put {_them(names)} into {file}, which [env] file of orch.toml names"
    return f"put {_them(names)} into a file of yours (chmod 600) that [env] file of orch.toml names (read on the node)"


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


def of_job(job: StoredJob, settings: Settings, holder: SupervisorView | None) -> list[str]:
    """What is foreseen of a job that was not started yet."""
    around = job.launching.surroundings
    if around is None or not around.secrets:
        return []
    file = settings.env.file or around.file
    filed, fault = _names_in(file)
    sent = job.launching
    if job.launching.backend == BackendName.SLURM:
        with contextlib.suppress(BadInput):  # said elsewhere
            sent = as_sent(job.launching, settings.slurm)
    elif fault:
        return [f"it will fail: {fault}"]
    export = dict(sent.options.get("slurm") or {}).get("export") if sent.backend == BackendName.SLURM else None
    running = holder is not None and holder.alive
    here: Collection[str] | None = os.environ
    if holder is not None and holder.alive:
        here = names_of(holder.pid) if holder.host == socket.gethostname() else None
    return predicted(around, export, here, filed, file, running=running)
