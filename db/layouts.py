"""How a study's tables are laid out, as its study file says: kept with the study, so that every reader has them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

METRIC = "metric"
"""Among rows or columns: the metrics themselves."""
Statistic = Literal["mean", "min", "median", "max"]
Order = Literal["value", "reverse"]


class Layout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One `[table]`. Values are named as text, as a program is given them."""

    experiment: str = ""
    """Of this experiment alone; empty: of the whole study."""
    rows: tuple[str, ...] = ()
    """Keys whose values are rows; empty: what varies and is no column."""
    columns: tuple[str, ...] = (METRIC,)
    """Keys whose values are columns, the outer one first: nested headings."""
    metrics: tuple[str, ...] = ()
    """Empty: what is reported, the most important first."""
    show: tuple[Statistic, ...] = ("mean",)
    filters: tuple[str, ...] = ()
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """What a parameter or a metric is called."""
    values: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    """Key → value → what it is called."""
    order: dict[str, tuple[str, ...] | Order] = msgspec.field(default_factory=dict)
    """Key → its values in order (others follow), by value, or the other way round."""
    units: dict[str, str] = msgspec.field(default_factory=dict)
    digits: dict[str, Annotated[int, msgspec.Meta(ge=0, le=12)]] = msgspec.field(default_factory=dict)
    best: bool = True
    """The best of a column is bold, and what cannot be told from it has a mark."""
    baseline: dict[str, str] = msgspec.field(default_factory=dict)
    """Which row the others are compared with; empty: none."""
    caption: str = ""
    label: str = ""
    """For \\label in LaTeX."""


class Layouts(msgspec.Struct, frozen=True, kw_only=True, tag="layouts"):
    """The tables of a study from now on: those that its file has, none where it has none any more."""

    study: str
    tables: tuple[Layout, ...]
    at: datetime
