"""The values of a row of results: a text, a number, an architecture, a config, an origin; each checked. Pure."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from db.launching import Origin
from jobs import architectures
from jobs.errors import BadInput
from jobs.records import Edge
from jobs.reported import MOST_DIGITS
from orchestrator.exchange.columns import MOST_TEXT, MOST_WHOLE, ORIGIN


def as_text(name: str, value: Any) -> str:
    """A text that can be printed, without the spaces around it. Raises BadInput."""
    if not isinstance(value, str):
        raise BadInput(f"{name} must be text (got {short(repr(value))})")
    if len(value) > MOST_TEXT:
        raise BadInput(f"{name} is {len(value)} letters long: at most {MOST_TEXT} are taken")
    bare = value.strip()
    if not bare.isprintable():
        raise BadInput(f"{name} holds signs that cannot be printed: remove them (got {short(repr(bare))})")
    return bare


def as_whole(name: str, value: Any) -> int:
    """A whole number that the database can hold, 0 or more. Raises BadInput."""
    number = as_number(name, value)
    if number != int(number) or number < 0:
        raise BadInput(f"{name} must be a whole number, 0 or more (got '{short(str(value))}')")
    exact = isinstance(value, int) or (isinstance(value, str) and value.isdigit())
    whole = int(value) if exact else int(number)
    if whole > MOST_WHOLE:
        raise BadInput(f"{name} is too large: at most {MOST_WHOLE} (got '{short(str(value))}')")
    return whole


def as_number(name: str, value: Any) -> float:
    """A finite number. Raises BadInput."""
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is str and value.isascii() and "_" not in value:  # as every cell of a CSV that is right
        try:
            if math.isfinite(found := float(value)):
                return found
        except ValueError:
            pass
    name = short(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadInput(f"{name} must be a number (got {short(repr(value))})")
    if isinstance(value, str) and not (value.isascii() and "_" not in value):
        raise BadInput(f"{name} must be a number (got '{short(value)}')")
    try:
        number = float(value)
    except ValueError:
        raise BadInput(f"{name} must be a number (got '{short(str(value))}')") from None
    except OverflowError:  # an integer with hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise BadInput(f"{name} must be finite (got '{short(str(value))}')")
    return number


def as_edges(text: str) -> tuple[Edge, ...] | None:
    """The edges of an architecture; None where none is told. Raises BadInput."""
    if not text:
        return None
    if text.lower().endswith(".json"):
        raise BadInput(f"architecture '{short(text)}' is a file's name: write its edges, such as 0-2,3-7, or vgg19")
    return architectures.parse(text)


def as_config(value: Any) -> dict[str, Any]:
    """The settings in the column `config`. Raises BadInput."""
    if value is None:
        return {}
    found = _object(value)
    if found is None:
        raise BadInput(f"config must be a JSON object (got {short(repr(value))})")
    return found


def _object(value: Any) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(value) if isinstance(value, str) else value
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    return dict(found) if isinstance(found, dict) else None


def writable(found: dict[str, Any], what: str) -> dict[str, Any]:
    """The same, once it is sure that the store can hold it. Raises BadInput."""
    try:
        msgspec.json.encode(found)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise BadInput(f"{what} cannot be kept ({short(str(error), 120)}): change or remove it") from None
    return found


def as_origin(value: Any) -> Origin | None:
    """What `orch export` says of a job; a number in that column is a metric, as ever. Raises BadInput."""
    if value is None:
        return None
    found = _object(value)
    if found is None:
        try:
            as_number(ORIGIN, value)
        except BadInput:
            raise BadInput(f"origin must be as 'orch export' writes it (got {short(repr(value))})") from None
        return None
    try:
        origin = msgspec.convert(found, Origin)
        msgspec.json.encode(origin)
    except (msgspec.ValidationError, ValueError) as error:
        raise BadInput(f"origin must be as 'orch export' writes it: {short(str(error), 120)}") from None
    if not math.isfinite(origin.gpu_seconds + origin.cpu_seconds):
        raise BadInput("origin must be as 'orch export' writes it: its gpu_seconds or cpu_seconds are not finite")
    digits = [one.digits for one in origin.declared.values() if one.digits is not None]
    if any(not 0 <= count <= MOST_DIGITS for count in digits):
        raise BadInput(f"origin must be as 'orch export' writes it: digits are 0 to {MOST_DIGITS}")
    if not origin.key:
        raise BadInput("origin must be as 'orch export' writes it: it has no key; leave the column empty")
    return origin


def as_search(value: Any, origin: Origin | None) -> str:
    """The name of the row's search. Raises BadInput."""
    if origin is not None and origin.search:
        return origin.search
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise BadInput(f"search must name a search (got {short(repr(value))})")
    return "" if value in (None, "", 0) else as_text("search", str(value))


def short(text: str, most: int = 60) -> str:
    """The beginning of a text, for a sentence."""
    return text if len(text) <= most else text[:most] + "…"
