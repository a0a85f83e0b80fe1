"""The columns of an exchanged file: which names are whose, and how a metric that is called like a column is written."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from jobs.errors import BadInput
from jobs.kind import kinds

REQUIRED = ("kind", "seed")
TEXTS = ("kind", "method", "dataset", "architecture", "preset")
WHOLE = ("search_epoch", "seed", "repeat")
CONFIG = "config"
"""Column with further settings as a JSON object, as `orch export` writes it."""
ORIGIN = "origin"
"""Column with what a job was in its own store, as a JSON object (db/launching.py: Origin); `orch export` writes it."""
COLUMNS = frozenset({*TEXTS, *WHOLE, CONFIG, ORIGIN})
NUMBERS = ("test_accuracy", "params", "shortcuts")
"""Metrics whatever the kind's settings are called (`random-baseline` has a setting `shortcuts` too)."""
MOST_WHOLE = 2**63 - 1
"""The database's largest integer."""
MOST_TEXT = 1000
"""Letters of a kind, a data set or a method; an architecture of all 105 edges has 585."""
METRIC = "metrics."
"""A column `metrics.x` is the metric x, whatever x is."""
SETTING = "config."
"""A column `config.x` is the setting x."""


@cache
def settings(kind: str) -> Mapping[str, Any]:
    """The settings of a kind that may be columns, with their types; none for a kind that is not installed."""
    declared = kinds().get(kind)
    if declared is None:
        return {}
    fields = {field.name: field.type for field in msgspec.structs.fields(declared.config)}
    return {name: fields[name] for name in fields if name not in COLUMNS and name not in NUMBERS}


@cache
def followed(kind: str, preset: str) -> Mapping[str, Any]:
    """The settings that a row follows where it names none: the preset's, else the kind's defaults."""
    declared = kinds().get(kind)
    if declared is None:
        return {}
    fields = {field.name: field.default for field in msgspec.structs.fields(declared.config)}
    return {**fields, **declared.presets.get(preset, {})}


@cache
def taken() -> frozenset[str]:
    """Names that a metric may not have as a column: it is written as `metrics.NAME`."""
    return frozenset({*COLUMNS, "params_m", *(name for kind in kinds() for name in settings(kind))})


def heading(metric: str) -> str:
    """The column of a metric in an exported file."""
    odd = metric != metric.strip() or not metric.isprintable() or metric.startswith(("=", "+", "-", "@"))
    plain = metric and not odd and metric not in taken() and not metric.startswith((METRIC, SETTING))
    return metric if plain else METRIC + metric


def stripped(column: str) -> str:
    """A heading without the spaces around it; those of a metric's name stay."""
    return column if column.startswith(METRIC) else column.strip()


def typed(kind: str, name: str, value: Any) -> Any:
    """A setting's value by its type. Raises BadInput."""
    kind_of = settings(kind).get(name)
    if kind_of is None:
        known = ", ".join(sorted(settings(kind))) or "none, since the kind is not installed"
        raise BadInput(f"{kind} has no setting '{name}' (known: {known}): leave out the column {SETTING}{name}")
    if isinstance(value, str) and typing.get_origin(kind_of) is tuple:
        value = [part.strip() for part in value.split(",")]
    try:
        return msgspec.to_builtins(msgspec.convert(value, kind_of, strict=False))
    except msgspec.ValidationError as error:
        raise BadInput(f"bad value for the setting '{name}': {error} (got {value!r})") from None
