"""A table of a TOML file, read key by key: what is missing, wrong or unknown is named with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, time
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

from jobs.errors import BadInput
from orchestrator.settings import sections
from orchestrator.studyfile.values import Number

T = TypeVar("T")
_KINDS: Mapping[type, str] = {bool: "true or false", int: "a whole number", str: "text in quotes", list: "a list"}


class Table:
    """The keys of one table. `place`: the file and the table, for a sentence."""

    def __init__(self, place: str, values: Any, wanted: str = "a table") -> None:
        if not isinstance(values, dict):
            raise BadInput(f"{place} must be {wanted} (got {shown(values)})")
        self.place = place
        self._values: dict[str, Any] = values
        self._asked: list[str] = []
        for key, value in values.items():
            if "\0" in key or any("\0" in text for text in _texts(value)):
                self.fail(
                    shown(key) if "\0" in key else key, "holds a NUL, which no program can be given: leave it out"
                )

    def fail(self, key: str, why: str) -> NoReturn:
        """Raise BadInput for this key."""
        raise BadInput(f"{self.place}: {key} {why}")

    def has(self, key: str) -> bool:
        """Whether the table has this key, which is known from now on."""
        self._asked.append(key)
        return key in self._values

    def get(self, key: str) -> Any:
        """The value, as it is."""
        return self._values[key] if self.has(key) else None

    def text(self, key: str) -> str | None:
        """A text that is not empty."""
        if not self.has(key):
            return None
        value = self._values[key]
        if not isinstance(value, str) or isinstance(value, Number):
            self.fail(key, f"must be text in quotes (got {shown(value)})")
        if not value.strip():
            self.fail(key, "is empty: name something, or leave it out")
        return value

    def flag(self, key: str) -> bool | None:
        """true or false."""
        if not self.has(key):
            return None
        value = self._values[key]
        if not isinstance(value, bool):
            self.fail(key, f"must be true or false (got {shown(value)})")
        return value

    def whole(self, key: str, least: int, most: int) -> int | None:
        """A whole number within these."""
        if not self.has(key):
            return None
        value = self._values[key]
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(key, f"must be a whole number (got {shown(value)})")
        if not least <= value <= most:
            self.fail(key, f"must be from {least} to {most} (got {value})")
        return value

    def words(self, key: str) -> list[str] | None:
        """A list of texts."""
        if not self.has(key):
            return None
        value = self._values[key]
        if not isinstance(value, list) or any(not isinstance(word, str) or isinstance(word, Number) for word in value):
            self.fail(key, f"must be a list of texts in quotes (got {shown(value)})")
        return list(value)

    def inner(self, key: str, name: str) -> Table | None:
        """A table below this one, called `name` in sentences."""
        return Table(name, self._values[key]) if self.has(key) else None

    def several(self, key: str) -> list[Any]:
        """The members of an array of tables."""
        if not self.has(key):
            return []
        value = self._values[key]
        if not isinstance(value, list):
            self.fail(key, f"must be a list of tables: write [[…{key}]] (got {shown(value)})")
        return value

    def items(self) -> Iterable[tuple[str, Any]]:
        """All keys, which are free names here."""
        self._asked += self._values
        return self._values.items()

    def finish(self) -> None:
        """Refuse what nobody asked for. Raises BadInput with the nearest match."""
        for key in self._values:
            if key not in self._asked:
                if key in sections() and isinstance(self._values[key], dict):
                    raise BadInput(
                        f"{self.place} has no key '{key}': [{key}] is for the whole store and stands in orch.toml "
                        "beside it"
                    )
                near = get_close_matches(key, self._asked, n=1)
                known = ", ".join(sorted(set(self._asked)))
                hint = f"did you mean '{near[0]}'?" if near else f"known keys: {known}"
                raise BadInput(f"{self.place} has no key '{key}': {hint}")


def _texts(value: Any) -> Iterable[str]:
    """The texts of a value that is no table."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def shown(value: Any) -> str:
    """A value for a sentence, short."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, date | time):
        return str(value)
    text = "true" if value is True else "false" if value is False else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
