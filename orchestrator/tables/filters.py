"""`--filter`: conditions on jobs by what they are given and by what they reported, typed. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from db.bunches import Bunch, Many, likes
from db.rows import ResultRow
from jobs.errors import BadInput
from jobs.words import JobState
from orchestrator.tables.keys import ALIASES, check, is_own, known, nearest, resolved, text, value
from orchestrator.tables.values import NOTHING, NUMBER, TRUTH, Name, known_as, parts, sort_of, unquoted

EQUAL = ("=", "!=")
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_SIGN = r"(<=|>=|!=|==|=|<|>)"
_FILTER = re.compile(rf"\s*(.*?[^\s<>=!])\s*{_SIGN}\s*(.*?)\s*", re.DOTALL)
_REST = re.compile(rf"\s*{_SIGN}\s*(.*?)\s*", re.DOTALL)
TRUTHS = ("blocked", "imported", "code_changed")
NUMBERS = ("job", "seed", "gpu_seconds", "cpu_seconds")


@dataclass(frozen=True)
class Filter:
    """One condition on a row, as in `method=A` or `val/acc>=93`."""

    key: str
    sign: str
    wanted: str
    source: str = ""
    """Where the values are taken from, if not from what has the name `key` (see `keys.resolved`)."""

    def keeps(self, row: ResultRow) -> bool:
        """Whether the condition holds. What a job has no value of is neither less nor more than anything."""
        return self.holds(value(row, self.name))

    @property
    def name(self) -> str:
        """What the values are called that it is about."""
        return self.source or self.key

    def among(self, bunch: Bunch) -> Bunch | None:
        """Those jobs of a bunch of which it holds."""
        if not is_own(bunch.like, self.name):
            return bunch if self.keeps(bunch.like) else None
        kept = [at for at, row in enumerate(bunch) if self.keeps(row)]
        return bunch.only(kept) if kept else None

    def holds(self, found: Any) -> bool:
        """Whether the condition holds of this value."""
        if self.sign in EQUAL:
            equal = text(found) == self.wanted or any(_equal(found, one) for one in parts(self.wanted))
            return equal == (self.sign == "=")
        return sort_of(found) == NUMBER and _ORDERS[self.sign](known_as(found), known_as(self.wanted))

    def check(self, rows: Iterable[ResultRow]) -> None:
        """Refuse what cannot be compared with the values of these rows. Raises BadInput."""
        name = ALIASES.get(self.key, self.key)
        if self.sign not in EQUAL and sort_of(self.wanted) != NUMBER:
            raise BadInput(f"cannot compare {self.key} {self.sign} '{self.wanted}': only numbers have an order")
        if name in ("state", "kind"):
            self._check_word(name, rows)
            return
        found = list(_values(rows, self.name))
        there = {sort_of(one) for one in found} - {NOTHING}
        if name in NUMBERS:
            there = {NUMBER}
        elif name in TRUTHS:
            there = {TRUTH}
        if self.sign not in EQUAL:
            if there and NUMBER not in there:
                example = next(text(one) for one in found if sort_of(one) != NOTHING)
                raise BadInput(
                    f"cannot compare {self.key} {self.sign} '{self.wanted}': only numbers have an order, and this is "
                    f"none (it is '{example}' in a job)"
                )
        elif len(there) == 1 and there <= {NUMBER, TRUTH}:
            (kind,) = there
            self._check_type(kind, "a number" if kind == NUMBER else "true or false")

    def _check_type(self, kind: int, what: str) -> None:
        for one in parts(self.wanted):
            if one != "none" and sort_of(unquoted(one)) != kind:
                raise BadInput(f"no {self.key} is '{one}': it is {what} in every job")

    def _check_word(self, name: str, rows: Iterable[ResultRow]) -> None:
        from jobs.kind import kinds

        have: Collection[str] = list(JobState) if name == "state" else {*kinds(), *(row.kind for row in likes(rows))}
        if self.sign not in EQUAL:
            raise BadInput(f"cannot compare {name} {self.sign} '{self.wanted}': only numbers have an order")
        for one in map(unquoted, parts(self.wanted)):
            if one not in have:
                raise BadInput(f"there is no {name} '{one}': {nearest(one, [str(word) for word in have])}")


def parse(words: str, names: Collection[str] = ()) -> Filter:
    """`name=value`, with !=, <, <=, > and >= as well; '=' and '!=' also take a list `a,b`. Raises BadInput.

    A name may hold any sign, as `val/acc` and `MAP@k` do; one with a comparison in it is only known by `names`.
    """
    stripped = words.strip()
    for name in sorted(names, key=len, reverse=True):
        if stripped.startswith(name) and (rest := _REST.fullmatch(stripped[len(name) :])) is not None:
            return Filter(name, _sign(rest[1]), rest[2])
    match = _FILTER.fullmatch(words)
    if match is None:
        raise BadInput(
            f"cannot read the filter '{words}': write it as key=value, like lr=0.1 or 'val/acc>=93' (=, !=, <, <=, > "
            "or >=)"
        )
    return Filter(match[1], _sign(match[2]), match[3])


def select(rows: Sequence[ResultRow], filters: Sequence[str]) -> Sequence[ResultRow]:
    """The rows that every filter keeps. Raises BadInput for an unknown name, or what cannot be compared."""
    if not filters:
        return rows
    names = known(rows) if rows else frozenset[str]()
    parsed = [parse(one, names) for one in filters]
    if rows:
        check([one.key for one in parsed], names, "key")
        parsed = [replace(one, source=resolved(one.key, rows)) for one in parsed]
        for one in parsed:
            one.check(rows)
    if isinstance(rows, Many):
        for one in parsed:
            rows = Many(kept for bunch in rows.bunches if (kept := one.among(bunch)) is not None)
        return rows
    return [row for row in rows if all(one.keeps(row) for one in parsed)]


def _values(rows: Iterable[ResultRow], name: str) -> Iterator[Any]:
    """What rows have by a name; once for those that share it."""
    if not isinstance(rows, Many):
        yield from (value(row, name) for row in rows)
        return
    for bunch in rows.bunches:
        yield from (value(row, name) for row in (bunch if is_own(bunch.like, name) else [bunch.like]))


def _sign(given: str) -> str:
    return "=" if given == "==" else given


def _equal(found: Any, wanted: str) -> bool:
    bare = unquoted(wanted)
    if known_as(found) == known_as(bare):
        return True
    # Quotes on either side mean the text itself; else text is text, and 0.1 is not the name "0.10".
    return (isinstance(found, Name) or isinstance(bare, Name) or sort_of(bare) not in (NUMBER, TRUTH)) and (
        text(found) == bare
    )
