"""The bytes of a study file as TOML values: what is no file, no text or no TOML is refused with its place."""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from jobs.errors import BadInput
from jobs.files import open_regular
from orchestrator.studyfile.values import Number
from orchestrator.text import plain
from orchestrator.toml import MOST_BYTES, check_keys, check_size


def text_of(path: Path) -> str:
    """What the file holds; a byte order mark is no part of it. Raises BadInput; a FIFO or a device never blocks."""
    try:
        with open_regular(path) as handle:
            data = handle.read(MOST_BYTES + 1)
        check_size(data, path, "a study file")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}{_near(path, error)}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no UTF-8 text at byte {error.start}: save it as UTF-8") from None


def _near(path: Path, error: OSError) -> str:
    """A file of almost that name."""
    if not isinstance(error, FileNotFoundError):
        return ""
    try:
        there = [one.name for one in path.parent.glob("*.toml") if one.is_file()]
    except OSError:
        return ""
    near = get_close_matches(path.name, there, n=1)
    return f": did you mean '{path.parent / near[0]}'?" if near else ""


def values_of(text: str, path: Path) -> dict[str, Any]:
    """The tables of this text. Pure. Raises BadInput."""
    check_keys(text, path)
    try:
        return tomllib.loads(text, parse_float=Number.read)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path} is no TOML: {error}{_line(text, str(error))}") from None
    except RecursionError:
        raise BadInput(f"{path} cannot be read: it is nested too deeply") from None
    except ValueError as error:  # Python's own: a whole number of more than 4300 digits
        raise BadInput(f"{path} cannot be read: {str(error).split(':')[0]}") from None


def _line(text: str, error: str) -> str:
    """The line that an error of tomllib names, and the table that it stands in."""
    found = re.search(r"at line (\d+)", error)
    lines = text.split("\n")[: int(found[1])] if found else text.rstrip().split("\n")
    heads = [line.split("#")[0].strip() for line in lines[:-1] if line.lstrip().startswith("[")]
    return (f", below {plain(heads[-1])[:60]}" if heads else "") + f": {plain(lines[-1].strip())[:80]}"
