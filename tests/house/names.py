"""Names inside texts, which no import checks: code handed to another Python, `-m` commands, paths in comments."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.house.rooms import HOUSES, ROOT

_HOUSE = rf"(?:{'|'.join(HOUSES)})"
_FROM = re.compile(rf"\bfrom ({_HOUSE}(?:\.\w+)*) import (\w+(?: as \w+)?(?:, \w+(?: as \w+)?)*)")
_IMPORT = re.compile(rf"\bimport ({_HOUSE}(?:\.\w+)+)")
_RUN = re.compile(rf"-m[\"', ]+({_HOUSE}(?:\.\w+)+)")
_WORK = re.compile(rf"^({_HOUSE}(?:\.\w+)+):(\w+)$")
_FILE = re.compile(
    r"\b(?:jobs|db|slurm|orchestrator|docs|tests|benchmarks|examples)/[\w/-]+\.(?:py|md|sql|css|js|j2)\b"
)


def missing(name: str, text: str) -> Iterator[str]:
    """Each module, name in a module, or file that a Python text names in strings and comments and that is not there."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for wanted in imported(node.value):
                if not known(wanted):
                    yield f"{name}:{node.lineno} names {wanted}"
    for wanted in _RUN.findall(text):
        if not known(wanted):
            yield f"{name} names {wanted}"
    for path in _FILE.findall(text):
        if not (ROOT / path).exists():
            yield f"{name} names {path}"


def imported(text: str) -> Iterator[str]:
    """The dotted names that a text would import or run."""
    for module, names in _FROM.findall(text):
        yield from (f"{module}.{name.split()[0]}" for name in names.split(", "))
    for pattern in (_IMPORT, _RUN):
        yield from pattern.findall(text)
    for module, name in _WORK.findall(text):
        yield f"{module}.{name}"


def known(dotted: str) -> bool:
    """Whether it is a module of the project, or a name at the top of one."""
    parts = dotted.split(".")
    if _file(parts) is not None:
        return True
    file = _file(parts[:-1])
    return file is not None and parts[-1] in set(_tops(ast.parse(file.read_text()).body))


def _file(parts: list[str]) -> Path | None:
    base = ROOT.joinpath(*parts)
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _tops(body: Iterable[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from _tops(node.body)
