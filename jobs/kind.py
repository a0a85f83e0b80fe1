"""What a job kind declares, and the registry of all kinds.

A new kind is one module in `jobs/kinds/` with a `KIND`, or an entry point of the group `orch.jobs` in another package.
Options, validation, dedupe, dispatch, status and tables all come from the declaration.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import msgspec

from jobs import trust
from jobs.errors import BadInput
from jobs.resources import Resources
from jobs.words import PRESETS

KINDS = "jobs.kinds"
"""The package whose modules are the kinds that ship with orch."""


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
    digits: int | None = None
    """Decimals that tables show; None: as many as the spread of the values gives a meaning."""


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
    spawns: tuple[str, ...] = ()
    """Kinds of jobs that its jobs ask for when they end; nobody submits those by hand."""

    def function(self) -> Callable[..., Mapping[str, float | None]]:
        """The work itself, to be called with the `Context` of jobs/node/context.py; imports what it needs (torch)."""
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


def kinds() -> dict[str, JobKind]:
    """Every kind by name: the modules of `jobs.kinds`, then the entry points `orch.jobs` of other packages."""
    return _found()[0]


def origin(name: str) -> EntryPoint | None:
    """The entry point that a kind of another package came from; None for those that ship with orch."""
    return _found()[1].get(name)


@cache
def _found() -> tuple[dict[str, JobKind], dict[str, EntryPoint]]:
    found: dict[str, JobKind] = {}
    origins: dict[str, EntryPoint] = {}
    house = importlib.import_module(KINDS)  # by name, like a plug-in: nothing here depends on any kind
    for module in sorted(pkgutil.iter_modules(house.__path__), key=lambda m: m.name):
        kind = getattr(importlib.import_module(f"{KINDS}.{module.name}"), "KIND", None)
        if isinstance(kind, JobKind):
            found[kind.name] = kind
    for point in entry_points(group="orch.jobs"):
        if not _trusted(point):
            continue
        kind = point.load()
        if not isinstance(kind, JobKind):
            raise BadInput(f"entry point '{point.name}' of orch.jobs is not a JobKind: fix or remove that package")
        if kind.name in found:
            raise BadInput(f"entry point '{point.name}' of orch.jobs redefines the kind '{kind.name}': rename it")
        found[kind.name] = kind
        origins[kind.name] = point
    return found, origins


def _trusted(point: EntryPoint) -> bool:
    """Whether a package's code may be loaded: not from a working folder that others can write, which Python searches
    where it was started with `-m` or with a relative PYTHONPATH. Says so."""
    try:
        place = Path(str(point.dist.locate_file(""))).resolve() if point.dist else None
        if place is None or place != Path.cwd().resolve():
            return True
        facts = place.stat()
    except OSError:
        return True
    if facts.st_uid in (os.geteuid(), trust.ROOT) and not facts.st_mode & trust.OTHERS_WRITE:
        return True
    print(
        f"Warning: the job kind '{point.name}' is not loaded: others can write {place}, where it lies", file=sys.stderr
    )
    return False


def kind_named(name: str) -> JobKind:
    """The kind of that name. Raises BadInput with the nearest match."""
    found = kinds()
    if name not in found:
        near = get_close_matches(name, found, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known kinds: {', '.join(sorted(found))}"
        raise BadInput(f"unknown job kind '{name}': {hint}")
    return found[name]
