"""Lines of a CSV or JSON lines file as fields by name, each with its line number."""

from __future__ import annotations

import csv
import io
import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jobs.errors import BadInput
from orchestrator.exchange.columns import REQUIRED, stripped
from orchestrator.text import from_cell

SUFFIXES = (".csv", ".jsonl")
NONSENSE = ""
"""The field that says what is wrong with a line as a whole."""

Fields = Mapping[str, Any]


def lines(path: Path) -> Iterator[tuple[int, Fields]]:
    """(line number, fields) of each line that is not blank. Raises BadInput where the file as a whole is none."""
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(f"cannot tell the format of '{path.name}': end it in .csv or .jsonl")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadInput(f"cannot read '{path}': it is no file; give a .csv or .jsonl file")
        text = path.read_bytes().decode("utf-8-sig")  # no translated line ends: a quoted value may hold them
    except OSError as error:
        raise BadInput(f"cannot read '{path}': {error.strerror}; give a .csv or .jsonl file") from None
    except UnicodeDecodeError:
        raise BadInput(f"'{path}' is no UTF-8 text: save it as UTF-8") from None
    return _csv(path, text) if path.suffix.lower() == ".csv" else _json_lines(text)


def _csv(path: Path, text: str) -> Iterator[tuple[int, Fields]]:
    before = csv.field_size_limit(max(len(text), 131_072))  # a config may be long
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        heading = [from_cell(stripped(name)) for name in next(reader, [])]
        if any(name not in heading for name in REQUIRED):
            missing = next(name for name in REQUIRED if name not in heading)
            raise BadInput(f"'{path.name}' has no column '{missing}': its first line must name the columns, by commas")
        twice = next((name for name in heading if heading.count(name) > 1), None)
        if twice is not None:
            raise BadInput(f"'{path.name}' has two columns '{_short(twice)}' in line 1: rename or remove one")
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(heading):
                yield reader.line_num, {NONSENSE: f"has {len(values)} values for {len(heading)} columns"}
                continue
            yield reader.line_num, dict(zip(heading, map(_bare, values), strict=True))
    except csv.Error as error:
        raise BadInput(f"'{path.name}' is no CSV in line {reader.line_num}: {error}") from None
    finally:
        csv.field_size_limit(before)


def _bare(cell: str) -> str:
    bare = cell.strip()
    return from_cell(bare) if bare.startswith("'") else bare


def _json_lines(text: str) -> Iterator[tuple[int, Fields]]:
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: JSON may hold U+2028
        if not line.strip():
            continue
        try:
            found = json.loads(line, object_pairs_hook=_once, parse_constant=_no_constant)
            if not isinstance(found, dict):
                raise ValueError(f"it is {_KINDS.get(type(found), 'a number')}")
        except (ValueError, RecursionError) as error:
            why = "it is nested too deeply" if isinstance(error, RecursionError) else _short(str(error), 120)
            yield number, {NONSENSE: f"is no JSON object of values ({why})"}
        else:
            yield number, found


_KINDS = {list: "a list", str: "text", bool: "a truth value", type(None): "nothing"}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it names '{_short(twice)}' twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number: leave it out where there is none")


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[:most] + "…"
