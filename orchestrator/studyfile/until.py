"""The keys of `[study]` that say when it has enough seeds: until, at_most, anytime."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.studyfile.tables import Table


@dataclass(frozen=True, kw_only=True)
class Until:
    """A rule as `--until`, `--at-most` and `--anytime` take it; None: not said."""

    text: str | None = None
    at_most: int | None = None
    anytime: bool | None = None


def until(head: Table) -> Until:
    """What `[study]` says of it. Raises BadInput."""
    found = Until(text=head.text("until"), at_most=head.whole("at_most", 1, 1_000_000), anytime=head.flag("anytime"))
    for key in ("at_most", "anytime"):
        if getattr(found, key) is not None and found.text is None:
            head.fail(key, 'belongs to a rule: name that too, like until = "lr=0.1 > lr=0.01 on test_acc"')
    return found
