"""Settings: `orch.toml` beside the store, then ORCH_* variables, then options of a command."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from jobs.errors import BadInput
from jobs.words import PRESETS, BackendName, Cause


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the sections: an unknown key is refused."""


class Local(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[local]`: slots of this host."""

    jobs_per_gpu: int = 1
    cpu_slots: int | None = None
    gpus: tuple[str, ...] | None = None


class Slurm(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[slurm]`: defaults of every submission; `setup` are shell lines before the worker."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    nodes: int | None = None
    setup: tuple[str, ...] = ()
    signal_delay_seconds: int = 90
    sbatch: dict[str, str | int | bool] = msgspec.field(default_factory=dict)
    """Any other sbatch parameter by its long name."""


class Supervision(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[supervisor]`: how often SLURM is asked, and how long an idle supervisor stays."""

    poll_seconds: float = 15.0
    poll_most_seconds: float = 60.0
    idle_minutes: float = 2.0


class Resubmission(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[resubmission]`: budgets per cause and the first backoff."""

    budgets: dict[Cause, int] = msgspec.field(default_factory=dict)
    overall: int = 50
    backoff_seconds: float = 5.0
    backoff_most_seconds: float = 300.0


class Nodes(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[nodes]`: when a node is excluded, and for how long."""

    strikes: int = 3
    strike_hours: float = 6.0
    exclude_hours: float = 1.0
    largest_share: float = 0.5


class Settings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of orch.toml."""

    study: str = "default"
    preset: str = "report"
    backend: str = "auto"
    data_dir: str | None = None
    dataset: str | None = None
    local: Local = Local()
    slurm: Slurm = Slurm()
    supervisor: Supervision = Supervision()
    resubmission: Resubmission = Resubmission()
    nodes: Nodes = Nodes()


VARIABLES = {
    "ORCH_STUDY": ("study",),
    "ORCH_PRESET": ("preset",),
    "ORCH_BACKEND": ("backend",),
    "ORCH_DATA": ("data_dir",),
    "ORCH_DATASET": ("dataset",),
    "ORCH_JOBS_PER_GPU": ("local", "jobs_per_gpu"),
    "ORCH_CPU_SLOTS": ("local", "cpu_slots"),
    "ORCH_POLL_SECONDS": ("supervisor", "poll_seconds"),
    "ORCH_IDLE_MINUTES": ("supervisor", "idle_minutes"),
    "ORCH_BACKOFF_SECONDS": ("resubmission", "backoff_seconds"),
    "ORCH_STRIKES": ("nodes", "strikes"),
}
"""Environment variable → its place in the settings."""


def load(root: Path) -> Settings:
    """The settings of the store in `root` (`orch.toml` lies beside it). Raises BadInput."""
    path = root.parent / "orch.toml"
    values: dict[str, Any] = {}
    if path.exists():
        try:
            values = msgspec.toml.decode(path.read_bytes())
        except (OSError, msgspec.DecodeError) as error:
            raise BadInput(f"{path} cannot be read: {error}") from None
    for variable, place in VARIABLES.items():
        if os.environ.get(variable):
            inner = values
            for name in place[:-1]:
                inner = inner.setdefault(name, {})
            inner[place[-1]] = os.environ[variable]
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise BadInput(f"bad setting in {path} or an ORCH_ variable: {error}") from None
    if settings.preset not in PRESETS:
        raise BadInput(f"unknown preset '{settings.preset}': use one of {', '.join(PRESETS)}")
    if settings.backend not in ("auto", *BackendName):
        raise BadInput(f"unknown backend '{settings.backend}': use auto, local or slurm")
    return settings


def hours(value: float) -> timedelta:
    """A setting in hours as a duration."""
    return timedelta(hours=value)
