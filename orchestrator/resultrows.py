"""Rows of results from a CSV or JSON lines file, each checked and named by its line. Pure but for the reading."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from jobs import space
from jobs.errors import BadInput
from jobs.kind import kinds
from jobs.records import Edge
from jobs.words import PRESETS

REQUIRED = ("kind", "seed")
TEXTS = ("kind", "method", "dataset", "architecture", "preset")
WHOLE = ("search_epoch", "seed", "repeat")
CONFIG = "config"
"""Column with further settings as a JSON object, as `orch export` writes it."""
NO_METRICS = frozenset({*TEXTS, *WHOLE, CONFIG})
METHODS = ("", "A", "B")
SHOWN = 5
"""So many bad rows are named."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One checked row. `edges` is None where its architecture is not known."""

    line: int
    kind: str
    seed: int
    preset: str
    dataset: str
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    edges: tuple[Edge, ...] | None

    @property
    def key(self) -> str:
        """The same for the same row: by what it is, not by what it measured.

        Never that of a job of orch, whose settings are known in full.
        """
        edges = None if self.edges is None else [list(edge) for edge in self.edges]
        identity = ["import", self.kind, self.preset, self.dataset, self.config, self.seed, edges]
        return hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()[:32]


def read(path: Path) -> list[Row]:
    """All rows of a file. Raises BadInput, which names every bad row by its line (the first few)."""
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise BadInput(f"cannot tell the format of '{path.name}': end it in .csv or .jsonl")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"cannot read '{path}': {error.strerror}; give a .csv or .jsonl file") from None
    except UnicodeDecodeError:
        raise BadInput(f"'{path}' is no UTF-8 text: save it as UTF-8") from None
    source = _csv(path, text) if path.suffix.lower() == ".csv" else _json_lines(text)
    rows: list[Row] = []
    wrong: list[str] = []
    for line, fields in source:
        try:
            rows.append(check(line, fields))
        except BadInput as error:
            wrong.append(f"line {line}: {error}")
    wrong += _repeated(rows)
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise BadInput(f"{path.name} was not imported, {'; '.join(wrong[:SHOWN])}{more}")
    if not rows:
        raise BadInput(f"'{path}' holds no rows: it needs a heading with kind and seed, and a line for each result")
    return rows


Fields = Mapping[str, Any]


def _csv(path: Path, text: str) -> Iterator[tuple[int, Fields]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        heading = [name.strip() for name in next(reader, [])]
        if any(name not in heading for name in REQUIRED):
            missing = next(name for name in REQUIRED if name not in heading)
            raise BadInput(f"'{path.name}' has no column '{missing}': its first line must name the columns, by commas")
        twice = next((name for name in heading if heading.count(name) > 1), None)
        if twice is not None:
            raise BadInput(f"'{path.name}' has two columns '{twice}': rename or remove one")
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(heading):
                yield reader.line_num, {"": f"has {len(values)} values for {len(heading)} columns"}
                continue
            yield reader.line_num, {name: value.strip() for name, value in zip(heading, values, strict=True)}
    except csv.Error as error:
        raise BadInput(f"'{path.name}' is no CSV in line {reader.line_num}: {error}") from None


def _json_lines(text: str) -> Iterator[tuple[int, Fields]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield number, msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError as error:
            yield number, {"": f"is no JSON object ({error})"}


def check(line: int, fields: Fields) -> Row:
    """One row. Raises BadInput without the line."""
    if "" in fields:
        raise BadInput(str(fields[""]) if len(fields) == 1 else "has a value under a column without a name")
    given = {name: value for name, value in fields.items() if value is not None and value != ""}
    for name in REQUIRED:
        if name not in given:
            raise BadInput(f"has no {name}")
    texts = {name: _text(name, given.get(name, "")) for name in TEXTS}
    whole = {name: _whole(name, given[name]) for name in WHOLE if name in given}
    preset = texts["preset"] or "report"
    if preset not in PRESETS:
        raise BadInput(f"unknown preset '{preset}': use one of {', '.join(PRESETS)}")
    if texts["method"] not in METHODS:
        raise BadInput(f"unknown method '{texts['method']}': use A, B or nothing")
    metrics = {name: _number(name, value) for name, value in given.items() if name not in NO_METRICS}
    if not metrics:
        raise BadInput("has no number: give test_accuracy or another metric")
    edges = _edges(texts["architecture"])
    _measure(metrics, edges)
    config = _config(given.get(CONFIG))
    if preset != "report":
        config["preset"] = preset
    _place(texts, whole, config, metrics)
    if texts["kind"] == "evaluate" and not texts["method"]:
        edges = () if not metrics.get("shortcuts") and edges is None else edges
        if edges is not None:
            config["architecture"] = space.text_of(edges)
    dataset = _dataset(texts["kind"], texts["dataset"])
    return Row(
        line=line,
        kind=texts["kind"],
        seed=whole["seed"],
        preset=preset,
        dataset=dataset,
        config=config,
        metrics=metrics,
        edges=edges,
    )


def _place(texts: Mapping[str, str], whole: Mapping[str, int], config: dict[str, Any], metrics: Fields) -> None:
    """Which cell of a table the row belongs to, into `config`."""
    kind, method = texts["kind"], texts["method"]
    if kind in ("evaluate", "random-baseline"):
        if method and "search_epoch" not in whole:
            raise BadInput(f"has method {method} but no search_epoch: give both, or neither")
        if not method and whole.get("search_epoch"):
            raise BadInput("has a search_epoch but no method: give both, or neither")
    if kind == "search" and not method:
        raise BadInput("is a search without a method: give A or B")
    if method:
        config["method"] = method
    for name in ("search_epoch", "repeat"):
        if whole.get(name):
            config[name] = whole[name]


def _dataset(kind: str, name: str) -> str:
    """The data set by the name that orch has for it, where it knows it ('CIFAR-10' → 'cifar10')."""
    from jobs import datasets

    declared = kinds().get(kind)
    if not name:
        if declared is not None and declared.needs_data:
            raise BadInput("has no dataset: numbers of unknown data are never put in a table")
        return ""
    plain = "".join(sign for sign in name.lower() if sign.isalnum())
    for known in datasets.names():
        if plain == "".join(sign for sign in known if sign.isalnum()):
            return known
    return name


def _measure(metrics: dict[str, float], edges: tuple[Edge, ...] | None) -> None:
    """Units, and what the architecture says of itself."""
    for name, value in metrics.items():
        if name.endswith("_accuracy") and not (value == 0 or 1 < value <= 100):
            raise BadInput(f"{name} must be percent, above 1 and up to 100 (got {value:g})")
    params_m = metrics.pop("params_m", None)
    if params_m is not None:
        metrics.setdefault("params", round(params_m * 1e6))
    if 0 < metrics.get("params", 1e9) < 1000:
        raise BadInput(f"params is a count, not millions (got {metrics['params']:g}): write millions in params_m")
    if edges is not None:
        told = metrics.setdefault("shortcuts", float(len(edges)))
        if told != len(edges):
            raise BadInput(f"shortcuts is {told:g}, but its architecture has {len(edges)}")


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{name} must be text (got {value!r})")
    return value.strip()


def _whole(name: str, value: Any) -> int:
    number = _number(name, value)
    if number != int(number) or number < 0:
        raise BadInput(f"{name} must be a whole number, 0 or more (got '{value}')")
    return int(number)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadInput(f"{name} must be a number (got {value!r})")
    try:
        number = float(value)
    except ValueError:
        raise BadInput(f"{name} must be a number (got '{value}')") from None
    if not math.isfinite(number):
        raise BadInput(f"{name} must be finite (got '{value}')")
    return number


def _edges(text: str) -> tuple[Edge, ...] | None:
    if not text:
        return None
    if text.endswith(".json"):
        raise BadInput(f"architecture '{text}' is a file's name: write its edges, such as 0-2,3-7, or vgg19")
    return space.parse(text)


def _config(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    try:
        found = msgspec.json.decode(value) if isinstance(value, str) else value
    except msgspec.DecodeError:
        found = None
    if not isinstance(found, dict):
        raise BadInput(f"config must be a JSON object (got {value!r})")
    return dict(found)


def _repeated(rows: Sequence[Row]) -> list[str]:
    first: dict[str, Row] = {}
    wrong = []
    for row in rows:
        earlier = first.setdefault(row.key, row)
        if earlier is not row:
            wrong.append(f"line {row.line}: is the same job as line {earlier.line}: give it another seed or repeat")
    return wrong
