"""What a result row has by name: an attribute, a metric or a setting, with the kind's default where it was left out."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from db.rows import ResultRow
from jobs.errors import BadInput
from jobs.space import LONG_SPAN

ATTRIBUTES = (
    "job",
    "study",
    "kind",
    "preset",
    "dataset",
    "seed",
    "state",
    "blocked",
    "imported",
    "architecture",
    "device_name",
    "code",
    "code_changed",
    "gpu_seconds",
)


def long_share(row: ResultRow) -> float | None:
    """The share (0..1) of a row's shortcuts with span ≥ 4; None without shortcuts or where they are unknown."""
    if row.edges is None:
        return row.metrics.get("long_share")
    if not row.edges:
        return None
    return sum(1 for source, target in row.edges if target - source >= LONG_SPAN) / len(row.edges)


DERIVED: Mapping[str, Callable[[ResultRow], float | None]] = {
    "params_m": lambda row: None if (count := row.metrics.get("params")) is None else count / 1e6,
    "long_share": long_share,
    "gpu_hours": lambda row: row.gpu_seconds / 3600,
}


@cache
def defaults(kind: str, preset: str, imported: bool = False) -> Mapping[str, Any]:
    """The settings of a kind that a config leaves out; empty for a kind that is not installed.

    A job's config holds what its preset sets; an imported row's does not, so it is taken to follow its preset.
    """
    import msgspec

    from jobs.kind import kinds

    declared = kinds().get(kind)
    if declared is None:
        return {}
    found = {
        field.name: field.default
        for field in msgspec.structs.fields(declared.config)
        if field.default is not msgspec.NODEFAULT
    }
    return {**found, **declared.presets.get(preset, {})} if imported else found


def setting(row: ResultRow, key: str) -> Any:
    """A setting of the row's config (dotted into mappings), the kind's default where it is left out, else None.

    A point of a command's grid answers by its bare name too: `lr` for `parameters.lr`.
    """
    parameters = row.config.get("parameters")
    if isinstance(parameters, Mapping) and key in parameters:
        return parameters[key]
    head, _, rest = key.partition(".")
    value = row.config[head] if head in row.config else defaults(row.kind, row.preset, row.imported).get(head)
    for part in rest.split(".") if rest else ():
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def number(row: ResultRow, metric: str) -> float | None:
    """A metric of the row's result, or one derived from it; None where it has none."""
    if metric in DERIVED:
        return DERIVED[metric](row)
    return row.metrics.get(metric)


def value(row: ResultRow, key: str) -> Any:
    """By name: attribute, then metric, then setting; 'config.x' and 'metrics.x' ask for one of them only."""
    if key.startswith("config."):
        return setting(row, key.removeprefix("config."))
    if key.startswith("metrics."):
        return number(row, key.removeprefix("metrics."))
    if key in ATTRIBUTES:
        found = getattr(row, key)
        return str(found) if key == "state" else found
    measured = number(row, key)
    return setting(row, key) if measured is None else measured


def known(rows: Iterable[ResultRow]) -> set[str]:
    """Every name that `value` answers for at least one of these rows."""
    names = {*ATTRIBUTES, *DERIVED}
    for row in rows:
        names |= row.metrics.keys() | row.config.keys() | defaults(row.kind, row.preset, row.imported).keys()
        names |= {
            f"{key}.{inner}" for key, found in row.config.items() if isinstance(found, Mapping) for inner in found
        }
        names |= set(row.config.get("parameters", {}))
    return names


def check(names: Sequence[str], rows: Sequence[ResultRow], what: str) -> None:
    """Raise BadInput with the nearest match for a name that none of the rows has."""
    have = known(rows)
    for name in names:
        bare = name.removeprefix("config.").removeprefix("metrics.")
        if bare not in have:
            near = get_close_matches(bare, have, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(have))}"
            raise BadInput(f"no row has the {what} '{name}': {hint}")


@dataclass(frozen=True)
class Filter:
    """One condition on a row, as in `method=A` or `test_accuracy>=93`."""

    key: str
    sign: str
    wanted: str

    def keeps(self, row: ResultRow) -> bool:
        return _compare(value(row, self.key), self.sign, self.wanted)


_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_FILTER = re.compile(r"^\s*([\w.]+)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*$")


def parse_filter(text: str) -> Filter:
    """`key=value`, with !=, <, <=, > and >= as well; '=' also takes a list `a,b`. Raises BadInput."""
    match = _FILTER.match(text)
    if match is None:
        raise BadInput(f"cannot read the filter '{text}': write it as key=value, e.g. method=A or test_accuracy>=93")
    return Filter(*match.groups())


def select(rows: Sequence[ResultRow], filters: Sequence[str]) -> list[ResultRow]:
    """The rows that every filter keeps. Raises BadInput for an unknown key."""
    parsed = [parse_filter(text) for text in filters]
    if rows:
        check([one.key for one in parsed], rows, "key")
    return [row for row in rows if all(one.keeps(row) for one in parsed)]


def text(found: Any) -> str:
    """A value as a table shows it: 'none' for nothing, 12 for 12.0, true and false as in settings."""
    if found is None:
        return "none"
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return f"{found:g}" if abs(found) < 1e6 else f"{found:.0f}"
    if isinstance(found, list | tuple):
        return ",".join(text(one) for one in found)
    return str(found)


def _compare(found: Any, sign: str, wanted: str) -> bool:
    if sign in ("=", "!="):
        equal = any(_equal(found, one.strip()) for one in wanted.split(",")) or _equal(found, wanted)
        return equal == (sign == "=")
    try:
        return found is not None and _SIGNS[sign](float(found), float(wanted))
    except (TypeError, ValueError):
        raise BadInput(f"cannot compare {found!r} {sign} '{wanted}': only numbers have an order") from None


def _equal(found: Any, wanted: str) -> bool:
    if isinstance(found, int | float) and not isinstance(found, bool):
        try:
            return float(found) == float(wanted)
        except ValueError:
            return False
    return text(found) == wanted
