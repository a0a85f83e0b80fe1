"""The rooms of the house, floor by floor, and the arrows between them, read from every import (`ast`).

An import counts wherever it stands: at the top, in a function, under TYPE_CHECKING (what a type names, a reader must
know). What is only named in a string is no arrow: that is how a registry finds what it does not depend on (kinds find
their work, the database's migrations are found by Alembic). An arrow ends at the module that is imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

FLOORS: tuple[tuple[str, ...], ...] = (
    ("jobs",),
    ("jobs/numbers",),
    ("jobs/node",),
    ("jobs/training",),
    ("jobs/kinds",),
    ("jobs/shortcuts",),
    ("db/migrations", "slurm"),
    ("db", "slurm/local", "slurm/cluster"),
    ("slurm/lab",),
    ("slurm/testcluster",),
    ("orchestrator",),
    (
        "orchestrator/code",
        "orchestrator/tables",
        "orchestrator/exchange",
        "orchestrator/studyfile",
        "orchestrator/mirroring",
    ),
    ("orchestrator/comparison", "orchestrator/stopping"),
    ("orchestrator/supervision", "orchestrator/figures", "orchestrator/tracking"),
    ("orchestrator/submitting", "orchestrator/views", "orchestrator/report"),
    ("orchestrator/upkeep", "orchestrator/claims", "orchestrator/rehearsal", "orchestrator/usage"),
    ("orchestrator/archives",),
    ("orchestrator/cli",),
)
"""From the ground up: a room imports rooms of lower floors only, so rooms of one floor know nothing of each other."""

HOUSES: Mapping[str, tuple[str, ...]] = {
    "jobs": ("jobs",),
    "db": ("db", "jobs"),
    "slurm": ("slurm", "jobs"),
    "orchestrator": ("orchestrator", "slurm", "db", "jobs"),
}
"""Top-level folder → the ones that it may import."""

ONLY: Mapping[str, tuple[str, ...]] = {"db": ("db/migrations", "jobs"), "db/migrations": ()}
"""Rooms that may import less than all below them: the store rests on the contract alone."""

DOORS: Mapping[str, str] = {
    "jobs/worker.py": "jobs/node",  # the name under which tasks were pickled cannot move
    "db/migrations/versions": "db/migrations",  # no package: Alembic loads it by its files
}
"""Files and folders that belong to another room than where they lie."""


@dataclass(frozen=True)
class Arrow:
    """One import."""

    file: str
    line: int
    target: str
    """The file that is imported."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.target}"


def room_of(file: str) -> str:
    """The room of a file: its folder, but for the doors."""
    folder = file.rpartition("/")[0]
    return DOORS.get(file) or DOORS.get(folder) or folder


def floor_of(room: str) -> int | None:
    """Its floor, 0 at the bottom; None where the house has no such room."""
    return next((number for number, rooms in enumerate(FLOORS) if room in rooms), None)


def arrows(sources: Mapping[str, str]) -> list[Arrow]:
    """All imports among these files. `sources`: path from the project's root → text."""
    modules = {_module(file): file for file in sources}
    found = []
    for file, text in sorted(sources.items()):
        for line, name in _imported(_module(file), file, ast.parse(text)):
            target = _nearest(name, modules)
            if target is not None and target != file:
                found.append(Arrow(file, line, target))
    return found


def wrong(found: Iterable[Arrow]) -> list[str]:
    """Each arrow that no rule allows, and each circle of modules, in a sentence that names the files."""
    listed = list(found)
    told = [sentence for arrow in listed if (sentence := _refused(arrow))]
    for circle in _circles(listed):
        told.append("a circle: " + "; ".join(str(arrow) for arrow in circle))
    return told


def _refused(arrow: Arrow) -> str | None:
    here, there = room_of(arrow.file), room_of(arrow.target)
    if here == there:
        return None
    up, down = floor_of(here), floor_of(there)
    if up is None or down is None:
        stranger = here if up is None else there
        return f"{arrow}, but '{stranger}' is no room of the house: give it a floor in tests/house/rooms.py"
    top, under = here.partition("/")[0], there.partition("/")[0]
    if under not in HOUSES[top] or there not in ONLY.get(here, (there,)):
        return f"{arrow}: {here}/ may not import {there}/"
    if down >= up:
        return f"{arrow}, which is upwards: {here}/ lies {'beneath' if down > up else 'beside'} {there}/"
    return None


def _imported(module: str, file: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    package = module if file.endswith("__init__.py") else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def _nearest(name: str, modules: Mapping[str, str]) -> str | None:
    """The file of a module, or of the module that has this name in it; a package's own `__init__` counts."""
    if name in modules:
        return modules[name]
    return modules.get(name.rpartition(".")[0])


def _module(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _circles(found: list[Arrow]) -> list[list[Arrow]]:
    """One circle per knot of modules that reach each other: the shortest way round from its first file."""
    after: dict[str, dict[str, Arrow]] = {}
    for arrow in found:
        after.setdefault(arrow.file, {}).setdefault(arrow.target, arrow)
    told: list[list[Arrow]] = []
    knotted: set[str] = set()
    for start in sorted(after):
        if start not in knotted and (circle := _way_back(start, after)):
            told.append(circle)
            knotted |= {arrow.file for arrow in circle}
    return told


def _way_back(start: str, after: Mapping[str, Mapping[str, Arrow]]) -> list[Arrow] | None:
    """The shortest way from a file back to itself."""
    ways: dict[str, list[Arrow]] = {start: []}
    queue = [start]
    for file in queue:
        for target, arrow in after.get(file, {}).items():
            if target == start:
                return [*ways[file], arrow]
            if target not in ways:
                ways[target] = [*ways[file], arrow]
                queue.append(target)
    return None


def sources() -> dict[str, str]:
    """The text of every module of the house."""
    files = [path for house in HOUSES for path in sorted((ROOT / house).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in files}


def sentence(room: str) -> str:
    """What a room says of itself: the first paragraph of its package's docstring."""
    text = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split())


def question(room: str) -> str:
    """The question that it answers: its first sentence."""
    first, mark, _ = sentence(room).partition("?")
    return first + mark
