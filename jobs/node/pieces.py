"""An attempt in slices: the tasks of one array run it one after the other, each a piece of it (docs/slices.md).

Which piece came when is told by numbers that pieces take by exclusive create: an array's index says nothing of it,
since SLURM may run a piece again, nor does a restart count, which repeats. SLURM starts them while orch is away, so a
piece itself sees that there is nothing left to do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from jobs.files import read_bytes
from jobs.layout import Layout
from jobs.node.endings import CommandFailed
from jobs.node.progress import reached
from jobs.node.stopping import HEARTBEAT_SECONDS, has_result
from jobs.patience import never, patiently, read_patiently, reading
from jobs.records import Outcome, Started, Task
from jobs.words import Cause

LAST_WORDLESS = 3
"""So many pieces in a row that left neither an outcome nor progress are enough."""

MOST_OF_IT = 0.75
"""A piece that was killed after so much of its time was killed by its limit."""


def needless(layout: Layout, task: Task, unwanted: Callable[[], bool] = never) -> str | None:
    """Why a piece has nothing to do: the job has a result, a piece before it ended for good, or a later attempt began.

    Raises OSError where a failing disk hides that.
    """
    if reading(lambda: has_result(layout, task.job, task.generation), unwanted):
        return "the job has its result"
    for path in reading(lambda: layout.executions(task.job, task.attempt), unwanted):
        outcome = read_patiently(path / "outcome.json", Outcome, unwanted)
        if outcome is not None and outcome.ending != "interrupted":
            return f"piece {path.name} ended for good ({outcome.cause})"
    for attempt in reading(lambda: layout.attempts(task.job), unwanted):
        if attempt > task.attempt and reading(partial(layout.executions, task.job, attempt), unwanted):
            return f"attempt {attempt} has begun"
    return None


def turn(layout: Layout, task: Task, unwanted: Callable[[], bool] = never) -> int:
    """The number of this piece among those of its attempt, which no other has. Raises OSError."""
    return patiently(lambda: layout.new_turn(task.job, task.attempt), unwanted=unwanted)


def check_progress(layout: Layout, task: Task, own: Path, unwanted: Callable[[], bool] = never) -> None:
    """Raises CommandFailed where the last pieces were killed in turn and none came further than those before them: too
    short slices, where each of them lasted for about a whole one."""
    found, lasted = [], {}
    for path in reading(lambda: layout.executions(task.job, task.attempt), unwanted):
        started = read_patiently(path / "started.json", Started, unwanted) if path != own else None
        if started is not None:
            said = read_patiently(path / "outcome.json", Outcome, unwanted) is not None
            lasted[started.restart] = _lasted(path)
            found.append((started.restart, said, reading(partial(reached, path), unwanted)))
    found.sort()
    last = found[-LAST_WORDLESS:]
    before = max((step for _, _, step in found[:-LAST_WORDLESS]), default=-1)
    wordless = len(last) == LAST_WORDLESS and not any(said for _, said, _ in last)
    if wordless and max(step for _, _, step in last) <= before:
        minutes = task.resources.minutes
        if min(lasted[turn] for turn, _, _ in last) >= MOST_OF_IT * minutes * 60:
            raise CommandFailed(too_short(minutes), Cause.TIMEOUT)
        raise CommandFailed(f"the last {LAST_WORDLESS} pieces were killed without progress", Cause.LOST)


def _lasted(execution: Path) -> float:
    """Seconds for which an execution's heart beat, by its own count."""
    try:
        return int(read_bytes(execution / "heartbeat", 64)) * HEARTBEAT_SECONDS
    except (OSError, ValueError):
        return 0.0


def too_short(minutes: int | None = None) -> str:
    """What a whole slice without a checkpoint means."""
    limit = f" ({minutes} minutes)" if minutes is not None else ""
    return f"no progress in a whole slice{limit}: give longer ones (--slices), or checkpoint more often"
