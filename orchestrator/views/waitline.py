"""The one line of `--wait` in a terminal: a bar, a count and a clock that are whole, and as many words as fit. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from rich.cells import cell_len
from rich.text import Text

from orchestrator.tables.keys import text as shown
from orchestrator.tables.varying import by_importance, is_house
from orchestrator.views.tables import GAP
from orchestrator.views.words import number

BAR, LEAST_BAR = 40, 10
MOST_NUMBERS = 3
HOUSE_NUMBER = "test_accuracy"


def line(done: int, total: int, seconds: float, states: Sequence[str], report: Sequence[str], width: int) -> Text:
    """'━━━━──── 3/18 0:01:12 2 running, 13 queued · job 4 …'; parts are left out whole, the last ones first.

    The bar is a quarter of the line, and left out where that is only a few cells.
    """
    count, clock = f"{done}/{total}", str(timedelta(seconds=int(seconds)))
    bar = min(BAR, (width + 1) // 4)
    text = Text()
    room = width - cell_len(count) - cell_len(clock) - 2 * GAP
    if bar >= LEAST_BAR:
        full = bar * done // total if total else 0
        text.append("━" * full, "green").append("─" * (bar - full), "dim").append(" " * GAP)
        room -= bar + GAP
    told = joined(states, ", ", room)
    if told == ", ".join(states):
        told = joined([told, *report] if told else report, " · ", room)
    text.append(count, "bold").append(" " * GAP).append(clock, "dim")
    return text.append(f"{' ' * GAP}{told}" if told else "")


def joined(parts: Sequence[str], between: str, room: int) -> str:
    """As many parts as fit, the first ones."""
    found = ""
    for part in parts:
        more = f"{found}{between}{part}" if found else part
        if cell_len(more) > room:
            break
        found = more
    return found


def report(
    job: int,
    kind: str,
    epoch: int,
    epochs: int,
    latest: Mapping[str, float | None],
    given: Mapping[str, object],
    varying: Sequence[str],
) -> list[str]:
    """['job 3 (lr 0.1, opt sgd) epoch 7/150', 'val/acc 91.2', …]: to see that it learns."""
    place = f"epoch {epoch}/{epochs}" if epochs else f"epoch {epoch}"
    if is_house(kind):
        accuracy = latest.get(HOUSE_NUMBER)
        return [f"job {job} {place}" + (f" {accuracy:.2f} %" if accuracy is not None else "")]
    who = named(given, varying)
    told = [f"{name} {number(latest[name])}" for name in by_importance(latest)[:MOST_NUMBERS]]
    return [f"job {job}{f' ({who})' if who else ''} {place}", *told]


def named(values: Mapping[str, object], names: Sequence[str]) -> str:
    """'lr 0.1, opt sgd': a job by what tells it from the others."""
    return ", ".join(f"{name} {shown(values[name])}" for name in names if values.get(name) is not None)
