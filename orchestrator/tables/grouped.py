"""Groups of jobs that agree in every key, with what they measured. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.tables.keys import text
from orchestrator.tables.values import as_data


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One metric of one group; all None where no job has it."""

    n: int
    mean: float | None
    std: float | None
    min: float | None
    median: float | None
    max: float | None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Jobs that agree in every key. n counts those with a result; repeats of one architecture count once."""

    keys: tuple[Any, ...]
    n: int
    expected: int
    spreads: tuple[Spread, ...]
    values: tuple[tuple[float | None, ...], ...] = ()
    """For each metric the value of every unit, in one order; None where it has none."""
    replicates: tuple[Any, ...] = ()
    """For each unit what it shares with those that it is paired with: its search or its seed; None for none."""
    open: tuple[bool, ...] = ()
    """For each metric whether a job that may still report it has not ended yet."""
    decimals: tuple[int, ...] = ()
    """For each metric the most decimals that a job's own value has (orchestrator/tables/digits.py)."""


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """The groups in order of their keys."""

    by: tuple[str, ...]
    metrics: tuple[str, ...]
    groups: tuple[Group, ...]
    studies: tuple[str, ...]
    notes: tuple[str, ...]
    digits: tuple[int | None, ...] = ()
    """For each metric the decimals that are declared for it; None where there are none."""
    headings: tuple[str, ...] = ()
    """For each metric what a table calls it."""
    better: tuple[bool | None, ...] = ()
    """For each metric whether a higher value is the better one; None where nobody knows."""
    house: bool = False
    """Whether jobs of the house's study are among them."""
    apart: tuple[str, ...] = ()
    """Keys whose values are never compared with each other, besides data set and preset."""
    title: str = ""
    """What the table is of; empty: what it is grouped by."""

    def contract(self) -> dict[str, Any]:
        """Plain data: {"by", "metrics", "rows": [{"by": {...}, "n", "expected", "metrics": {name: {...}}}]}."""
        return {
            "by": list(self.by),
            "metrics": list(self.metrics),
            "rows": [
                {
                    "by": dict(zip(self.by, map(_plain, group.keys), strict=True)),
                    "n": group.n,
                    "expected": group.expected,
                    "metrics": {
                        name: dict(vars(spread)) for name, spread in zip(self.metrics, group.spreads, strict=True)
                    },
                }
                for group in self.groups
            ],
            "notes": list(self.notes),
        }


def _plain(found: Any) -> Any:
    """A key as JSON has it: a number, a truth value or a list however it was written; a kind's own list as text."""
    return text(found) if isinstance(found, list | tuple) else as_data(found)
