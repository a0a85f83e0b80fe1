"""Whose checkpoints an execution went on from, back to the beginning: that work was not lost. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from db.usage import Run


class Link(StrEnum):
    """What is known of an execution's work up to where another one went on from."""

    WHOLE = "whole"
    """Up to its newest checkpoint it was kept."""
    MORE = "more"
    """That, and some more that it did not tell of."""
    LESS = "less"
    """Its newest checkpoint was not the one: nobody knows how much was kept before it."""
    UNKNOWN = "unknown"
    """It has checkpoints, and tells no time of them."""


def furthest(run: Run) -> int:
    """The step of the newest checkpoint that it had, its own or one that it went on from; -1: none."""
    return max(run.step, -1 if run.usage is None else max(run.usage.saved_step, run.usage.resumed_step))


def links(runs: Sequence[Run], step: int | None) -> dict[int, Link]:
    """Of those executions, oldest first, that the next one rests on: place → what was kept of it.

    `step`: that of the checkpoint that the next one went on from; None: nobody knows.
    """
    found: dict[int, Link] = {}
    for place in reversed(range(len(runs))):
        run = runs[place]
        if step == -1:
            break
        if run.usage is None or step is None:
            if furthest(run) >= 0:
                found[place], step = Link.UNKNOWN, None
            continue
        if furthest(run) < step or run.usage.resumed_step >= step:
            continue  # it never came there, or began there and added nothing that was used
        saved = run.usage.saved_step
        found[place] = Link.WHOLE if saved == step else Link.LESS if saved > step else Link.MORE
        step = run.usage.resumed_step
    return found
