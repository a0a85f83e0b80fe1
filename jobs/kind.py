"""What a job kind declares, and the registry of all kinds.

A new kind is one module in `jobs/kinds/` with a `KIND`, or an entry point of the group `orch.jobs` in another package.
Options, validation, dedupe, dispatch, status and tables all come from the declaration.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import msgspec

from jobs.errors import BadInput
from jobs.words import PRESETS

if TYPE_CHECKING:
    from jobs.context import Context


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """What one job asks of a machine: `gpus` are whole devices (0 = CPU only).

    `gpu_memory_mb`: what it needs of each GPU's memory at most (0 = unknown); no more share a local GPU than it holds.
    """

    cpus: int = 1
    memory_mb: int = 2000
    gpus: int = 0
    minutes: int = 60
    gpu_memory_mb: int = 0


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Resource options of a command; None: the kind's own. They hold for the jobs that its jobs ask for, too."""

    cpus: int | None = None
    gpus: int | None = None
    memory_mb: int | None = None
    minutes: int | None = None
    gpu_memory_mb: int | None = None

    def over(self, base: Resources, *, device: str) -> Resources:
        """The kind's resources with what was asked for; on `cpu` no GPU is requested. Raises BadInput."""
        given = msgspec.structs.asdict(base)
        given.update({name: value for name, value in msgspec.structs.asdict(self).items() if value is not None})
        if device == "cpu":
            if self.gpus:
                raise BadInput("--gpus and --device cpu exclude each other: drop one of them")
            given["gpus"] = 0
        elif device == "cuda":
            given["gpus"] = max(1, given["gpus"])
        for name in ("cpus", "memory_mb", "minutes"):
            if given[name] < 1:
                raise BadInput(f"{name} must be at least 1 (got {given[name]})")
        if given["gpus"] < 0:
            raise BadInput(f"--gpus must not be negative (got {given['gpus']})")
        return Resources(**given)


class Config(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of every kind's config: the seed is not part of it.

    Defaults are the values of the preset `report`. A field at its default is left out of the canonical form, so a
    new field with a default keeps old job keys; changing a default must raise the kind's version.
    """

    preset: str = "report"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that a job reports. `unit` is shown in headings ('%', 'M', 's', ''); accuracies are percent."""

    name: str
    label: str
    unit: str = ""
    higher_is_better: bool = True
    per_epoch: bool = False


@dataclass(frozen=True, kw_only=True)
class JobKind:
    """The declaration of a kind.

    `run(context)` does the work on a node and returns the result's numbers; it is looked up lazily as
    "module:function" so that the declaration never imports torch.
    """

    name: str
    version: int
    help: str
    config: type[Config]
    run: str
    resources: Callable[[Any], Resources]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    checkpoints: bool = True
    """Whether a job of this kind resumes from checkpoints (runs under srun, gets USR2 and is requeued at its limit)."""
    needs_data: bool = True
    """Whether the config has a field `dataset` that must be there before the job starts."""

    def function(self) -> Callable[[Context], Mapping[str, float]]:
        """The work itself; imports what it needs (torch)."""
        module, _, name = self.run.partition(":")
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]

    def configure(self, values: Mapping[str, Any], preset: str = "report") -> Config:
        """A validated config: the preset's values, then `values` (text or typed). Raises BadInput."""
        if preset not in PRESETS:
            raise BadInput(f"unknown preset '{preset}': use one of {', '.join(PRESETS)}")
        fields = {f.name: f for f in msgspec.structs.fields(self.config)}
        for key in values:
            if key not in fields or key == "preset":
                near = get_close_matches(key, [name for name in fields if name != "preset"], n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(sorted(fields))}"
                raise BadInput(f"{self.name} has no setting '{key}': {hint}")
        merged = {**self.presets.get(preset, {}), **values, "preset": preset}
        try:
            return msgspec.convert(merged, self.config, strict=False)
        except msgspec.ValidationError as error:
            text = str(error)
            what, _, where = text.partition(" - at `$.")
            key = where.rstrip("`")
            given = f" (got {merged[key]!r})" if key in merged else ""
            wanted = what.partition(", got")[0] if given else what
            raise BadInput(f"bad value for '{key or self.name}' of {self.name}: {wanted}{given}") from None

    def keys(self, config: Config, seeds: Iterable[int]) -> list[str]:
        """The job key per seed: hash of kind, kind version, canonical config (defaults left out) and seed."""
        head = msgspec.json.encode([self.name, self.version, msgspec.to_builtins(config)], order="sorted")
        shared = hashlib.sha256(head)
        found = []
        for seed in seeds:
            digest = shared.copy()
            digest.update(b"/%d" % seed)
            found.append(digest.hexdigest()[:32])
        return found


@cache
def kinds() -> dict[str, JobKind]:
    """Every kind by name: the modules of `jobs.kinds`, then the entry points `orch.jobs` of other packages."""
    import jobs.kinds

    found: dict[str, JobKind] = {}
    for module in sorted(pkgutil.iter_modules(jobs.kinds.__path__), key=lambda m: m.name):
        kind = getattr(importlib.import_module(f"jobs.kinds.{module.name}"), "KIND", None)
        if isinstance(kind, JobKind):
            found[kind.name] = kind
    for point in entry_points(group="orch.jobs"):
        kind = point.load()
        if not isinstance(kind, JobKind):
            raise BadInput(f"entry point '{point.name}' of orch.jobs is not a JobKind: fix or remove that package")
        if kind.name in found:
            raise BadInput(f"entry point '{point.name}' of orch.jobs redefines the kind '{kind.name}': rename it")
        found[kind.name] = kind
    return found


def kind_named(name: str) -> JobKind:
    """The kind of that name. Raises BadInput with the nearest match."""
    found = kinds()
    if name not in found:
        near = get_close_matches(name, found, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known kinds: {', '.join(sorted(found))}"
        raise BadInput(f"unknown job kind '{name}': {hint}")
    return found[name]
