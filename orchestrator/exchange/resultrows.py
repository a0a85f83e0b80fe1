"""Rows of results from a CSV or JSON lines file, each checked and named by its line. Pure but for the reading."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import msgspec

from db.launching import Origin
from jobs import architectures
from jobs.errors import BadInput
from jobs.kind import kinds
from jobs.records import Edge
from jobs.words import PRESETS
from orchestrator.exchange import columns, reading, values
from orchestrator.exchange.columns import (
    COLUMNS,
    CONFIG,
    METRIC,
    ORIGIN,
    REQUIRED,
    SETTING,
    TEXTS,
    WHOLE,
)
from orchestrator.exchange.reading import NONSENSE, Fields

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
    """Without `search`, which is the name of a search here (`search`) and the id of a job in the store."""
    metrics: Mapping[str, float | None]
    edges: tuple[Edge, ...] | None
    search: str = ""
    origin: Origin | None = None
    """Of a row that `orch export` wrote."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Those that stood in columns of their own: an earlier orch took them for metrics."""

    @cached_property
    def key(self) -> str:
        """The same for the same row: by what it is, not by what it measured; of an exported row by its job's name.

        Never that of a job of orch, whose settings are known in full.
        """
        if self.origin is not None and self.origin.key:
            return _hashed(["import", self.origin.key])
        return self.own_key

    @cached_property
    def own_key(self) -> str:
        """The key of the row in a person's own file. An exported row that is called so was one: an earlier orch did
        not say it in the origin."""
        return self._key(self.config)

    @cached_property
    def earlier_key(self) -> str:
        """The key that an earlier orch gave it, which knew no settings in columns."""
        if not self.settings:
            return self.own_key
        return self._key({name: value for name, value in self.config.items() if name not in self.settings})

    def _key(self, config: Mapping[str, Any]) -> str:
        edges = None if self.edges is None else [list(edge) for edge in self.edges]
        identity = ["import", self.kind, self.preset, self.dataset, config, self.seed, edges]
        return _hashed([*identity, self.search] if self.search else identity)

    @property
    def failed(self) -> bool:
        return self.origin is not None and self.origin.state == "failed"


def _hashed(identity: list[Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()[:32]


def read(path: Path) -> list[Row]:
    """All rows of a file. Raises BadInput, which names every bad row by its line (the first few)."""
    rows: list[Row] = []
    wrong: list[str] = []
    for line, fields in reading.lines(path):
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


def check(line: int, fields: Fields) -> Row:
    """One row. Raises BadInput without the line."""
    if NONSENSE in fields:
        text = str(fields[NONSENSE])
        raise BadInput(text if len(fields) == 1 else "has a value under a column without a name")
    given = {name: value for name, value in fields.items() if value is not None and value != ""}
    for name in REQUIRED:
        if name not in given:
            raise BadInput(f"has no {name}")
    origin = values.as_origin(given.get(ORIGIN))
    texts = {name: values.as_text(name, given.get(name, "")) for name in TEXTS}
    if not texts["kind"]:
        raise BadInput("has no kind")
    whole = {name: values.as_whole(name, given[name]) for name in WHOLE if name in given}
    preset = texts["preset"] or "report"
    if preset not in PRESETS:
        raise BadInput(f"unknown preset '{values.short(preset)}': use one of {', '.join(PRESETS)}")
    measured, chosen = _split(texts["kind"], given, origin)
    if not measured and origin is None:
        raise BadInput("has no number: give test_accuracy or another metric")
    edges = values.as_edges(texts["architecture"])
    told = values.as_config(given.get(CONFIG))
    for name in chosen.keys() & told.keys():
        if name != "search" and columns.typed(texts["kind"], name, told[name]) != chosen[name]:
            raise BadInput(
                f"says {name} {values.short(str(chosen[name]))} in a column and {told[name]!r} in config: keep one"
            )
    chosen = {name: value for name, value in chosen.items() if name not in told}
    config = {**chosen, **told}
    search = values.as_search(config.pop("search", None), origin)
    metrics: dict[str, float | None] = dict(measured)
    if origin is not None and origin.key:
        for name in ("method", "search_epoch", "repeat"):
            if found := texts.get(name) or whole.get(name):
                config[name] = found
        metrics |= dict.fromkeys(origin.lacking)
        dataset = texts["dataset"]
    else:
        known = columns.followed(texts["kind"], preset)
        config = {name: value for name, value in config.items() if name not in chosen or value != known.get(name)}
        _measure(texts["kind"], measured, edges)
        metrics = dict(measured)
        if preset != "report":
            config["preset"] = preset
        _place(texts, whole, config)
        if texts["kind"] == "evaluate" and not texts["method"]:
            edges = () if not metrics.get("shortcuts") and edges is None else edges
            if edges is not None:
                config["architecture"] = architectures.text_of(edges)
        dataset = _dataset(texts["kind"], texts["dataset"])
    if origin is not None and origin.state == "failed" and metrics:
        raise BadInput("has numbers, but its origin says that it failed")
    row = Row(
        line=line,
        kind=texts["kind"],
        seed=whole["seed"],
        preset=preset,
        dataset=dataset,
        config=values.writable(config, "its config"),
        metrics=values.writable(metrics, "a metric's name"),
        edges=edges,
        search=search,
        origin=origin,
        settings=chosen,
    )
    if origin is not None and origin.key in (row.own_key, row.earlier_key):
        return replace(row, origin=msgspec.structs.replace(origin, imported=True))
    return row


def _split(kind: str, given: Fields, origin: Origin | None) -> tuple[dict[str, float], dict[str, Any]]:
    """The metrics and the settings among the columns.

    A setting that a kind reports as a metric too (`epochs`) is both, as of a job of orch. Raises BadInput.
    """
    metrics: dict[str, float] = {}
    chosen: dict[str, Any] = {}
    exported = origin is not None and origin.key != ""
    for column, value in given.items():
        if column in COLUMNS and not (column == ORIGIN and origin is None):
            continue
        name = column.removeprefix(METRIC)
        if column.startswith(SETTING):
            name = column.removeprefix(SETTING)
            if name in chosen:
                raise BadInput(f"has the setting '{values.short(name)}' twice: remove one of the columns")
            chosen[name] = value if name == "search" else columns.typed(kind, name, value)
            continue
        if column in columns.settings(kind):
            if column in chosen:
                raise BadInput(f"has the setting '{values.short(column)}' twice: remove one of the columns")
            chosen[column] = value if column == "search" else columns.typed(kind, column, value)
            if exported or not _reports(kind, column):
                continue
        if name in metrics:
            raise BadInput(f"has the metric '{values.short(name)}' twice: remove one of the columns")
        metrics[name] = values.as_number(name, value)
    return metrics, chosen


@cache
def _reports(kind: str, name: str) -> bool:
    declared = kinds().get(kind)
    return declared is not None and any(metric.name == name for metric in declared.metrics)


def _place(texts: Mapping[str, str], whole: Mapping[str, int], config: dict[str, Any]) -> None:
    """Which cell of a table the row belongs to, into `config`."""
    kind, method = texts["kind"], texts["method"]
    if method not in METHODS:
        raise BadInput(f"unknown method '{values.short(method)}': use A, B or nothing")
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


@lru_cache(maxsize=1024)
def _dataset(kind: str, name: str) -> str:
    """The data set by the name that orch has for it, where it knows it ('CIFAR-10' → 'cifar10')."""
    from jobs.training import datasets

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


def _measure(kind: str, metrics: dict[str, float], edges: tuple[Edge, ...] | None) -> None:
    """Units of the metrics that the kind declares, and what the architecture says of itself."""
    declared = kinds().get(kind)
    percent = {metric.name for metric in declared.metrics if metric.unit == "%"} if declared else set()
    for name in percent & metrics.keys():
        value = metrics[name]
        if not (value == 0 or 1 < value <= 100):
            raise BadInput(f"{name} must be percent, above 1 and up to 100 (got {value:g})")
    params_m = metrics.pop("params_m", None)
    if params_m is not None:
        metrics.setdefault("params", float(round(params_m * 1e6)))
    if _reports(kind, "params") and 0 < metrics.get("params", 1e9) < 1000:
        raise BadInput(f"params is a count, not millions (got {metrics['params']:g}): write millions in params_m")
    if edges is not None:
        told = metrics.setdefault("shortcuts", float(len(edges)))
        if told != len(edges):
            raise BadInput(f"shortcuts is {told:g}, but its architecture has {len(edges)}")


def _repeated(rows: Sequence[Row]) -> list[str]:
    first: dict[str, Row] = {}
    wrong = []
    for row in rows:
        earlier = first.setdefault(row.key, row)
        if earlier is not row:
            wrong.append(f"line {row.line}: is the same job as line {earlier.line}: give it another seed or repeat")
    return wrong
