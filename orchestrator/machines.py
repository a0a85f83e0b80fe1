"""Making the backends from the settings, and choosing one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Mapping

from jobs.errors import BadInput
from jobs.layout import Layout
from jobs.words import BackendName
from orchestrator.settings import Settings
from slurm.backend import Backend


def makers(layout: Layout, settings: Settings) -> dict[BackendName, Callable[[], Backend]]:
    """How to make each backend, when it is first needed."""

    def local() -> Backend:
        from slurm.local_backend import LocalBackend

        own = settings.local
        return LocalBackend(layout, jobs_per_gpu=own.jobs_per_gpu, cpu_slots=own.cpu_slots, gpus=own.gpus)

    def slurm() -> Backend:
        from slurm.slurm_backend import SlurmBackend

        return SlurmBackend(layout)

    return {BackendName.LOCAL: local, BackendName.SLURM: slurm}


def pools_of(backend: Backend) -> Mapping[str, Collection[str]]:
    """The partitions of a backend with their nodes (local: its devices)."""
    return backend.pools()


def choose(wanted: str) -> BackendName:
    """The backend that `auto` means here: SLURM where sbatch is, but not inside an allocation. Raises BadInput."""
    if wanted == "auto":
        inside = "SLURM_JOB_ID" in os.environ
        return BackendName.SLURM if shutil.which("sbatch") and not inside else BackendName.LOCAL
    if wanted not in tuple(BackendName):
        raise BadInput(f"unknown backend '{wanted}': use auto, local or slurm")
    if wanted == BackendName.SLURM and shutil.which("sbatch") is None:
        raise BadInput("backend slurm needs SLURM's commands, and there is no sbatch here: use --backend local")
    return BackendName(wanted)
