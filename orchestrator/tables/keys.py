"""What a result row has by name: an attribute, a metric or a setting, with the kind's default where it was left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from db.bunches import OWN, likes
from db.rows import ResultRow
from jobs.architectures import LONG_SPAN
from jobs.commands import canonical_number
from jobs.errors import BadInput
from jobs.metrics import PLACE
from orchestrator.tables import arguments, varying
from orchestrator.tables.values import TEXT, Name, Sorted, known_as, sort_of

_DIGITS = re.compile(r"\d")
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
    "label",
    "code",
    "code_changed",
    "gpu_seconds",
    "cpu_seconds",
)


ALIASES: Mapping[str, str] = {"gpu": "device_name", "name": "label"}
"""Shorter names of attributes."""


def long_share(row: ResultRow) -> float | None:
    """The share (0..1) of a row's shortcuts with span ≥ 4; None without shortcuts or where they are unknown."""
    if row.edges is None:
        return row.metrics.get("long_share")
    if not row.edges:
        return None
    return sum(1 for source, target in row.edges if target - source >= LONG_SPAN) / len(row.edges)


DERIVED_DIGITS: Mapping[str, int] = {"params_m": 2}
DERIVED: Mapping[str, Callable[[ResultRow], float | None]] = {
    "params_m": lambda row: None if (count := row.metrics.get("params")) is None else count / 1e6,
    "long_share": long_share,
    "gpu_hours": lambda row: None if row.gpu_seconds is None else row.gpu_seconds / 3600,
    "cpu_hours": lambda row: None if row.cpu_seconds is None else row.cpu_seconds / 3600,
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

    A point of a command's grid answers by its bare name too: `lr` for `parameters.lr`, and so does what its command
    line sets: `lr` for `--lr 0.1`.
    """
    parameters = row.config.get("parameters")
    if isinstance(parameters, Mapping) and key in parameters:
        return _parameter(row, parameters[key], key)
    head, _, rest = key.partition(".")
    value = row.config[head] if head in row.config else defaults(row.kind, row.preset, row.imported).get(head)
    if head == "parameters" and isinstance(parameters, Mapping) and rest in parameters:
        return _parameter(row, parameters[rest], rest)
    for part in rest.split(".") if rest else ():
        value = value.get(part) if isinstance(value, Mapping) else None
    return _of_the_line(row, key) if value is None else value


def _of_the_line(row: ResultRow, key: str) -> Any:
    """What a program's command line says: its options, its other words, which program it is and of which experiment."""
    argv = row.config.get("argv", ())
    if (found := arguments.given(argv).get(key)) is not None:
        return found
    if key == "experiment":
        return row.experiment or None
    if not argv:
        return None
    if key.startswith("argument "):
        return varying.given(row.config).get(key)
    return varying.program(row.config) if key == "program" else None


def _parameter(row: ResultRow, text: Any, name: str) -> Any:
    """A parameter's one text: a job of version 1 holds it as it was written ('0.10'), and is of the same cell."""
    if not isinstance(text, str):
        return text
    return Name(text) if name in row.config.get("quoted", ()) else canonical_number(text) or text


def number(row: ResultRow, metric: str) -> float | None:
    """A metric of the row's result, or one derived from it; None where it has none.

    'metrics.x' is x, for metrics that are called like an attribute (`seed`).
    """
    if metric.startswith("metrics.") and metric not in row.metrics:
        return number(row, metric.removeprefix("metrics."))
    derived = DERIVED[metric](row) if metric in DERIVED else None
    return row.metrics.get(metric) if derived is None else derived


def value(row: ResultRow, key: str) -> Any:
    """By name: attribute, then metric, then setting; 'config.x' and 'metrics.x' ask for one of them only."""
    if key.startswith("config."):
        return setting(row, key.removeprefix("config."))
    if key.startswith("metrics."):
        return number(row, key.removeprefix("metrics."))
    key = ALIASES.get(key, key)
    if key in ATTRIBUTES:
        found = getattr(row, key)
        return str(found) if key == "state" else found
    measured = number(row, key)
    return setting(row, key) if measured is None else measured


def is_own(row: ResultRow, key: str) -> bool:
    """Whether jobs of one bunch (db/bunches.py), that row among them, may differ in what `value` gives by that name."""
    name = ALIASES.get(key, key)
    bare = name.removeprefix("metrics.")
    return not key.startswith("config.") and (
        name in OWN or bare in DERIVED or name in row.metrics or bare in row.metrics
    )


def alike(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """One row for each configuration: the others have the very same settings, kind and experiment (by identity).

    What depends on nothing else is asked of these: a study has far fewer configurations than seeds.
    """
    return list({_configuration(row): row for row in likes(rows)}.values())


def _configuration(row: ResultRow) -> tuple[Any, ...]:
    return id(row.config), id(row.declared), row.kind, row.preset, row.imported, row.experiment


def known(rows: Sequence[ResultRow]) -> set[str]:
    """Every name that `value` answers for at least one of these rows, now or once they have ended."""
    from jobs.kind import kinds

    names = {*ATTRIBUTES, *ALIASES, *DERIVED}
    names.update(*{tuple(row.metrics) for row in likes(rows)})
    different = alike(rows)
    for row in different:
        names |= row.declared.keys() - PLACE
        names |= row.config.keys() | defaults(row.kind, row.preset, row.imported).keys()
        names |= {
            f"{key}.{inner}" for key, found in row.config.items() if isinstance(found, Mapping) for inner in found
        }
        names |= parameters(row)
        if "argv" in row.config:
            names |= {"program", *(key for key in varying.given(row.config) if key.startswith("argument "))}
        if row.experiment:
            names.add("experiment")
    names |= {one.name for kind in {row.kind for row in different} & kinds().keys() for one in kinds()[kind].metrics}
    return names


def check(names: Sequence[str], have: Collection[str], what: str) -> None:
    """Raise BadInput with the nearest match for a name that is none of those that the rows have (see `known`)."""
    for name in names:
        bare = name.removeprefix("config.").removeprefix("metrics.")
        if name not in have and bare not in have:
            raise BadInput(f"no row has the {what} '{name}': {nearest(name, have)}")


def nearest(name: str, have: Collection[str]) -> str:
    """What was meant by a name that there is not: the one that is most like it, else all that there are."""
    folded = {one.casefold(): one for one in sorted(have, reverse=True)}
    near = get_close_matches(name.casefold(), folded, n=1)
    return f"did you mean '{folded[near[0]]}'?" if near else f"known: {', '.join(sorted(have))}"


def likely(name: str, have: Collection[str]) -> str | None:
    """The one of these that a name is probably a slip of; names that differ by a digit alone (top1, top5) are two."""
    folded = {one.casefold(): one for one in sorted(have, reverse=True)}
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.8)
    return folded[near[0]] if near and _DIGITS.sub("", near[0]) != _DIGITS.sub("", name.casefold()) else None


def resolved(key: str, rows: Iterable[ResultRow]) -> str:
    """A name as a key: where it is a parameter of some jobs, it is that of all, also where a program reports it too."""
    return f"config.{key}" if any(key in parameters(row) for row in alike(rows)) else key


class Column:
    """The values of one key in many rows, looked up once for those that share a configuration."""

    def __init__(self, key: str, rows: Iterable[ResultRow]) -> None:
        self.key = key
        name = ALIASES.get(key, key)
        bare = name.removeprefix("metrics.")
        self._settled = key.startswith("config.") or not (
            name != bare or name in ATTRIBUTES or name in DERIVED or any(name in row.metrics for row in likes(rows))
        )
        self._found: dict[tuple[Any, ...], tuple[Any, Sorted]] = {}

    def of(self, row: ResultRow) -> tuple[Any, Sorted]:
        """What the row has by that name (see `value`), and what that is known as."""
        if self._settled:
            name = _configuration(row)
            if name not in self._found:
                found = value(row, self.key)
                self._found[name] = found, known_as(found)
            return self._found[name]
        found = value(row, self.key)
        if not isinstance(found, str):
            return found, known_as(found)
        name = type(found), found  # a text in quotes equals the bare one, and is another value
        if name not in self._found:
            self._found[name] = found, known_as(found)
        return self._found[name]


def parameters(row: ResultRow) -> set[str]:
    """The names that a program's job was given values by: in its grid, or as literal options of its command line."""
    return {*row.config.get("parameters", ()), *arguments.given(row.config.get("argv", ()))}


def spelt(values: Iterable[Any]) -> list[str]:
    """Values of one key as a table shows them: text in quotes where another value that is none is spelt like it.

    So 0.5 and "0.5" are two names for two rows, and none (no value) is told from a text "none".
    """
    listed = list(values)
    meant: dict[str, set[Sorted]] = {}
    for one in listed:
        meant.setdefault(text(one), set()).add(known_as(one))
    return [
        f'"{text(one)}"' if isinstance(one, str) and sort_of(one) == TEXT and len(meant[text(one)]) > 1 else text(one)
        for one in listed
    ]


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
