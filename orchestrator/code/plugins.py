"""The code of a kind of another package: kept like a program's where it is a source tree, its version where it is not.

A package that is installed editable, or found on PYTHONPATH, runs from its source tree, which a person edits; one that
was installed as a wheel is changed by an upgrade alone.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path, PurePosixPath

from jobs.commands import folder_of
from jobs.errors import BadInput, StoreError
from jobs.kind import kind_named, origin
from jobs.node import interpreter
from jobs.records import Code
from orchestrator.code.snapshots import take
from orchestrator.code.tree import Limits, root_of

MARKS = ("pyproject.toml", "setup.py", "setup.cfg")
"""Files in the folder of a project."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a kind's code comes from."""

    package: str
    """The package and its version: 'mine 1.2'."""
    root: Path | None
    """Its source tree; None where it was installed as a wheel."""
    imported_from: Path | None = None
    """The folder in it that Python imports from."""


def source(kind: str) -> Source | None:
    """None for the kinds that ship with orch. Raises BadInput for an unknown kind."""
    kind_named(kind)
    point = origin(kind)
    if point is None:
        return None
    package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
    here = _imported_from(point)
    if here is None or any(here.is_relative_to(place) for place in _installed()):
        return Source(package=package, root=None)
    project = next((one for one in (here, *here.parents) if any((one / mark).is_file() for mark in MARKS)), here)
    return Source(package=package, root=root_of(here, project), imported_from=here)


def _imported_from(point: EntryPoint) -> Path | None:
    """The folder that holds the top of its package."""
    file = getattr(sys.modules.get(point.module), "__file__", None)
    if not file:
        return None
    path = Path(file).resolve()
    depth = point.module.count(".") + (path.name == "__init__.py")
    return path.parents[depth]


def _installed() -> list[Path]:
    """Folders in which pip keeps packages."""
    found = [*site.getsitepackages(), site.getusersitepackages(), *map(sysconfig.get_path, ("purelib", "platlib"))]
    return [Path(path).resolve() for path in found]


def keep(
    code: Path, store: Path, found: Source, project: Path, limits: Limits, environ: Mapping[str, str], *, live: bool
) -> tuple[Code, list[str]]:
    """Keep the code of a kind as it is now, inside `holding`. With it: what could not be kept, a sentence each."""
    answer = interpreter.ask(code, Path(sys.executable), environ)
    try:
        software = interpreter.keep(code, answer, None) if answer is not None else None
    except OSError as error:
        raise StoreError(f"what is installed cannot be kept ({error}): make room or mend that") from None
    if found.root is None:
        said = f"the code of this kind is not kept, since {found.package} is installed as a package: its version is"
        return Code(software=software, package=found.package), [said]
    if live:
        return Code(software=software), []
    shown = folder_of(PurePosixPath(found.root), PurePosixPath(project)) or "."
    taken = take(code, found.root, shown, limits, store)
    assert found.imported_from is not None
    paths = [found.imported_from.relative_to(found.root).as_posix()]
    if answer is not None:
        paths += interpreter.inside(answer, found.root, taken.snapshot.outside)
    kept = Code(
        snapshot=taken.snapshot.hash,
        paths=tuple(dict.fromkeys(paths)),
        software=software,
        commit=taken.commit,
        dirty=taken.dirty,
        patch=taken.patch,
        root=shown,
        package=found.package,
    )
    return kept, []


def kept_now(code: Path, store: Path, kind: str, project: Path, limits: Limits) -> Code:
    """The code of a kind as it is now, for the next generation of its jobs (inside `holding`). Raises BadInput."""
    found = source(kind)
    if found is None:
        raise BadInput(f"{kind} is a kind of orch itself: its code is orch's own")
    return keep(code, store, found, project, limits, os.environ, live=False)[0]
