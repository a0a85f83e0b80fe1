"""Settings: `orch.toml` beside the store, then ORCH_* variables, then options of a command."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from jobs import bundles, trust
from jobs.errors import BadInput
from jobs.files import open_regular
from jobs.words import PRESETS, BackendName, Cause
from orchestrator.amounts import size_bytes
from orchestrator.text import check
from orchestrator.toml import MOST_BYTES, check_keys, check_size


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the sections: an unknown key is refused."""


class Local(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[local]`: slots of this host."""

    jobs_per_gpu: int = 1
    cpu_slots: int | None = None
    gpus: tuple[str, ...] | None = None


class Slurm(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[slurm]`: what a command does not say, read when a job is sent; `setup` are shell lines before the worker."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    nodes: int | None = None
    setup: tuple[str, ...] | None = None
    signal_delay_seconds: int = 90
    bundle: int | None = None
    """So many jobs run at a time in one task, where a command says nothing (docs/bundles.md)."""
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
    ssh: bool = False
    """Whether hosts without SLURM that have fallen silent are asked by ssh (no password, five seconds)."""


class LabSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[lab]`: several servers as one cluster (docs/lab.md)."""

    folder: str | None = None
    """Where it lies, on what all hosts share; None: `lab` in the store's folder."""


class StoreSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[store]`: who may look into the store (nobody but its owner ever writes), and how large it may get."""

    readable: Literal["owner", "group"] = "owner"
    quota: str | None = None
    """How much it may hold, as 500G or 2T: `status` warns from nine tenths on."""
    mirror: str | None = None
    """Where the supervisor keeps a copy: a folder, or host:folder by ssh (docs/mirror.md)."""
    mirror_minutes: float = 10.0
    """From the begin of a round to the next."""
    mirror_limit: str | None = None
    """Bytes a second that a round may send, as 20M."""


class Clean(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[clean]`: which checkpoints of an accepted job stay once nothing needs them."""

    keep: Literal["last", "best", "none"] | None = None
    """None: all that `orch clean` does not take, and nothing is removed by itself."""


class CodeTree(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[code]`: what of a program's tree is kept with a submit; `ignore`: lines like those of .orchignore."""

    files: int = 50_000
    megabytes: float = 500.0
    ignore: tuple[str, ...] = ()


class Environment(Section, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"passed": "pass"}):
    """`[env]`: more variables that a program gets; `file` holds secrets and is read on the node."""

    passed: tuple[str, ...] = ()
    """Shell patterns of names, like WANDB_*."""
    file: str | None = None


class Notify(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[notify]`: whom to tell of failures, studies that are done, and a dispatch that stopped (docs/notify.md)."""

    command: str | tuple[str, ...] = ()
    """Reads the message on stdin; text is a shell's line."""
    urls: tuple[str, ...] = ()
    """Addresses for apprise, an optional package."""
    quiet_seconds: float = 30.0
    """What happens within this time is one message."""

    def argv(self) -> tuple[str, ...]:
        """The words of the command; none where there is none."""
        if isinstance(self.command, str):
            return ("sh", "-c", self.command) if self.command else ()
        return tuple(self.command)


class Settings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of orch.toml."""

    study: str = "default"
    preset: str = "report"
    backend: str = "auto"
    data_dir: str | None = None
    dataset: str | None = None
    store: StoreSettings = StoreSettings()
    local: Local = Local()
    slurm: Slurm = Slurm()
    supervisor: Supervision = Supervision()
    resubmission: Resubmission = Resubmission()
    nodes: Nodes = Nodes()
    lab: LabSettings = LabSettings()
    clean: Clean = Clean()
    code: CodeTree = CodeTree()
    env: Environment = Environment()
    notify: Notify = Notify()


def sections() -> set[str]:
    """The tables of orch.toml."""
    return {one.name for one in msgspec.structs.fields(Settings) if isinstance(one.default, Section)}


MOST_MINUTES = 60 * 24 * 365
SHELL_LINES = frozenset({("slurm", "setup"), ("notify", "command")})
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
    "ORCH_LAB": ("lab", "folder"),
    "ORCH_MIRROR_MINUTES": ("store", "mirror_minutes"),
}
"""Environment variable → its place in the settings."""


def load(root: Path, owners: frozenset[int] = frozenset()) -> Settings:
    """The settings of the store in `root` (`orch.toml` lies beside it). Raises BadInput.

    The file counts where it belongs to this user or to root (or to one of `owners`) and nobody else can write it: its
    lines are run in this user's name.
    """
    path = root.parent / "orch.toml"
    values: dict[str, Any] = {}
    if trust.check_orders(path, BadInput, owners):
        values = _values(path)
        _check_text(values, path)
    for variable, place in VARIABLES.items():
        if os.environ.get(variable):
            inner = values
            for name in place[:-1]:
                inner = inner.setdefault(name, {})
                if not isinstance(inner, dict):
                    raise BadInput(f"bad setting in {path}: '{name}' must be a table (got {str(inner)[:60]!r})")
            inner[place[-1]] = os.environ[variable]
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise BadInput(f"bad setting in {path} or an ORCH_ variable: {error}") from None
    if settings.store.quota is not None:
        size_bytes(settings.store.quota, f"[store] quota in {path}")
    _check_mirror(settings.store, path)
    if settings.slurm.bundle is not None:
        bundles.checked(settings.slurm.bundle, f"[slurm] bundle in {path}")
    if settings.preset not in PRESETS:
        raise BadInput(f"unknown preset '{settings.preset}': use one of {', '.join(PRESETS)}")
    if settings.backend not in ("auto", *BackendName):
        raise BadInput(f"unknown backend '{settings.backend}': use auto, local or slurm")
    return settings


def _check_mirror(settings: StoreSettings, path: Path) -> None:
    if settings.mirror_limit is not None:
        size_bytes(settings.mirror_limit, f"[store] mirror_limit in {path}")
    if not 0 < settings.mirror_minutes < MOST_MINUTES:
        raise BadInput(f"[store] mirror_minutes in {path} must be more than 0 (got {settings.mirror_minutes:g})")


def _values(path: Path) -> dict[str, Any]:
    """The tables of an `orch.toml`, whatever bytes lie there. Raises BadInput."""
    try:
        with open_regular(path) as handle:
            data = handle.read(MOST_BYTES + 1)
        check_size(data, path, "orch's own")
        text = data.decode("utf-8-sig")
        check_keys(text, path)
        return dict(msgspec.toml.decode(text))
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no UTF-8 text at byte {error.start}: save it as UTF-8") from None
    except RecursionError:
        raise BadInput(f"{path} cannot be read: it is nested too deeply") from None
    except (OSError, ValueError) as error:  # no TOML (a DecodeError); a number of thousands of digits
        raise BadInput(f"{path} cannot be read: {str(error).partition(': value has')[0]}") from None


def _check_text(values: dict[str, Any], path: Path) -> None:
    """Texts of orch.toml reach scripts, names and terminals: only shell lines may hold a control character."""
    for name, value in values.items():
        inner = value if isinstance(value, dict) else {"": value}
        check(f"a name in {path}:", [name, *inner])
        for key, one in inner.items():
            if (name, key) not in SHELL_LINES:
                check(f"{' '.join(filter(None, (name, key)))} in {path}:", one)


def hours(value: float) -> timedelta:
    """A setting in hours as a duration."""
    return timedelta(hours=value)
