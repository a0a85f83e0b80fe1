"""The comparison by some fields, on which tests of decisions rest, can fail."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from tests.helpers.matching import match


@dataclass(frozen=True)
class Thing:
    name: str
    size: int = 1


def test_only_the_named_fields_count() -> None:
    assert Thing("a", 2) == match(Thing, name="a")
    assert Thing("a", 2) != match(Thing, name="a", size=3)
    assert Thing("long name") == match(Thing, name=re.compile("g n"))
    assert Thing("long name") != match(Thing, name=re.compile("^n"))
    assert match(Thing, name="a") != "a"


def test_a_field_that_is_none_is_a_mistake() -> None:
    with pytest.raises(AttributeError):
        assert Thing("a") == match(Thing, nmae="a")


def test_what_was_wanted_is_shown() -> None:
    assert repr(match(Thing, name="a")) == "Thing(name='a', …)"
