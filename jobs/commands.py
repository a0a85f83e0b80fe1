"""What a `command` job is: program and arguments, working folder, typed parameters. Pure.

A parameter written as a plain decimal number is compared by its exact decimal value (`1`, `1.0` and `1e0` are one
value), never as a float; text in quotes stays text. The program gets the value as it was first written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from jobs.errors import BadInput

_NUMBER = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d{1,4000}))?", re.ASCII)
_VALUE = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^,]*?))\s*(?:,|$)""")
_PLAIN_DIGITS = 21


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One value of a parameter. `value` is its canonical text: two that are one value have the same."""

    value: str
    written: str
    """What the program gets."""
    quoted: bool = False
    """Text in quotes: a name, whatever it looks like."""

    @property
    def is_number(self) -> bool:
        return not self.quoted and _NUMBER.fullmatch(self.value) is not None


def parameter(text: str) -> Parameter:
    """A value as it stands on the command line without quotes: a plain decimal number, else text."""
    return Parameter(value=canonical_number(text) or text, written=text)


def name_of_text(text: str) -> Parameter:
    """A value in quotes."""
    return Parameter(value=text, written=text, quoted=_NUMBER.fullmatch(text) is not None)


def canonical_number(text: str) -> str | None:
    """The one text of a plain decimal number: '0.10' → '0.1', '1e0' → '1'; None where it is none (`nan`, `1_000`)."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    whole, _, fraction = match.group(2).partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = int(match.group(3) or 0) - len(fraction)
    stripped = digits.rstrip("0")
    if not stripped:
        return "0"
    exponent += len(digits) - len(stripped)
    sign = "-" if match.group(1) == "-" else ""
    point = len(stripped) + exponent  # where the decimal point stands
    if 0 < point <= _PLAIN_DIGITS:
        padded = stripped.ljust(point, "0")
        return sign + padded[:point] + (f".{padded[point:]}" if padded[point:] else "")
    if -5 < point <= 0:
        return f"{sign}0.{'0' * -point}{stripped}"
    mantissa = stripped[0] + (f".{stripped[1:]}" if stripped[1:] else "")
    return f"{sign}{mantissa}e{point - 1}"


def values_of(text: str) -> list[Parameter]:
    """`0.1,0.01` or `"1.1","1.10"`: the values of a list with commas; quotes keep a value as text. Raises BadInput."""
    found, at = [], 0
    while at <= len(text):
        match = _VALUE.match(text, at)
        if match is None:
            raise BadInput(f"'{text}' cannot be read as values with commas between: close the quotes in it")
        double, single, bare = match.groups()
        if bare is not None and ('"' in bare or "'" in bare) and bare[:1] in "\"'":
            raise BadInput(f"'{text}' cannot be read as values with commas between: close the quotes in it")
        found.append(parameter(bare) if bare is not None else name_of_text(double if double is not None else single))
        if match.end() == len(text):
            if match.group().rstrip().endswith(",") and bare is not None:
                found.append(parameter(""))
            break
        at = match.end()
    return found


def distinct(name: str, values: Sequence[Parameter]) -> None:
    """Refuse an empty value and two that are one. Raises BadInput."""
    seen: dict[tuple[str, bool], Parameter] = {}
    for item in values:
        if not item.written and not item.quoted:
            raise BadInput(f'{name} has an empty value: write "" if you mean it, or drop a comma')
        other = seen.setdefault((item.value, item.quoted), item)
        if other is not item:
            if other.written == item.written:
                raise BadInput(f"{name} has the repeated value '{item.written}': give it once")
            raise BadInput(f"{name}: {other.written} and {item.written} are one number: quote them if they are names")


def folder_of(cwd: PurePosixPath, project: PurePosixPath) -> str:
    """A working folder as a job is named by it: relative to the store's project inside it ('' is the project)."""
    if not cwd.is_relative_to(project):
        return str(cwd)
    return "" if cwd == project else str(cwd.relative_to(project))


def modern(config: Mapping[str, Any], cwd: str, project: str, folder: str) -> dict[str, Any] | None:
    """The config, in kind version 2, of a job of version 1; None where it is no job of the working folder `folder`.

    Its label and signal are no part of what it is. A recorded working folder that is gone may have been moved with its
    project: it is taken for `folder` where its path ends like it, and for the project where that has no such folder.
    """
    place = PurePosixPath(cwd)
    if folder_of(place, PurePosixPath(project)) != folder:
        gone = str(place).endswith("/" + folder) if folder else not _exists(f"{project}/{place.name}")
        if not gone or _exists(cwd):
            return None
    values = {name: parameter(text) for name, text in dict(config.get("parameters") or {}).items()}
    return canonical_config(tuple(config["argv"]), folder, values)


def _exists(path: str) -> bool:
    from pathlib import Path

    return Path(path).exists()


def canonical_config(argv: Sequence[str], folder: str, values: Mapping[str, Parameter]) -> dict[str, Any]:
    """Everything that a command job is, besides its seed."""
    config: dict[str, Any] = {"argv": list(argv)}
    if folder:
        config["folder"] = folder
    if values:
        config["parameters"] = {name: item.value for name, item in sorted(values.items())}
    quoted = sorted(name for name, item in values.items() if item.quoted)
    if quoted:
        config["quoted"] = quoted
    return config


def variable(name: str) -> str:
    """The environment variable in which a program finds a parameter: ORCH_PARAM_LR for `lr`."""
    return "ORCH_PARAM_" + re.sub(r"[^A-Za-z0-9_]", "_", name).upper()
