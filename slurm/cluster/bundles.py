"""A bundle in SLURM's queue: one row stands for a list of jobs, and its runners' ledgers say which is where.

SLURM's record of the task is evidence for those alone that it ran last; what was never started is returned.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from jobs import bundles
from jobs.bundles import Key, Ledgers, Standing, Step
from jobs.files import make_folder, names, open_private, read_json, read_lines
from jobs.layout import Layout
from jobs.records import Manifest
from jobs.words import Cause
from slurm import causes
from slurm.backend import LiveAttempt, Observation, Phase
from slurm.cluster.rows import Row
from slurm.cluster.states import phase_of_row

TaskKey = tuple[str, int]
"""(token, index of the task that runs the list)."""
_WAITS = (Phase.PENDING, Phase.HELD)
_ITS_OWN = (Cause.ERROR, Cause.LAUNCH_FAILURE, Cause.KILLED, Cause.GPU_FAULT)
"""How a task ends by what runs in it, and not by SLURM, a node or a person."""
_OVER = (Phase.ENDED, Phase.ABSENT)
_DONE = (Step.ENDED, Step.RETURNED, Step.CANCELLED)


def task_key(attempt: LiveAttempt) -> TaskKey:
    """Of the task that is to run it."""
    return attempt.token, attempt.listed_in


def may_have_begun(row: Row | None, attempt: LiveAttempt) -> bool:
    """Whether a runner may have written anything: five thousand waiting tasks must not cost as many listings."""
    return row is None or phase_of_row(row) not in _WAITS or bool(row.restarts) or attempt.running


class BundleFiles:
    """Reads ledgers again only where they have grown, and writes marks."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._read: dict[TaskKey, tuple[tuple[tuple[str, int], ...], Ledgers]] = {}
        self._lists: dict[str, tuple[Key, ...]] = {}
        self._marked: set[tuple[TaskKey, Key]] = set()

    def ledgers(self, task: TaskKey) -> Ledgers:
        """What the runners of that task wrote. Raises OSError where the folder does not answer."""
        files = self._layout.ledgers(*task)
        stamp = tuple((path.name, path.stat().st_size) for _, path in files)
        known = self._read.get(task)
        if known is not None and known[0] == stamp:
            return known[1]
        found = bundles.read((restart, list(read_lines(path, bundles.BundleLine))) for restart, path in files)
        self._read[task] = stamp, found
        return found

    def forget_all_but(self, tasks: Collection[TaskKey]) -> None:
        """Those that have nobody left who lives."""
        self._read = {task: known for task, known in self._read.items() if task in tasks}
        tokens = {token for token, _ in tasks}
        self._lists = {token: keys for token, keys in self._lists.items() if token in tokens}
        self._marked = {(task, key) for task, key in self._marked if task in tasks}

    def is_marked(self, attempt: LiveAttempt) -> bool:
        """Whether its runner was told by us to end it, or not to start it. A new supervisor tells it once more."""
        return (task_key(attempt), attempt.key) in self._marked

    def mark(self, live: Sequence[LiveAttempt]) -> list[LiveAttempt]:
        """Tell the runners of these to end them. Those are returned whose whole task is to end: nobody else of its list
        is left. Raises OSError."""
        together: dict[TaskKey, list[LiveAttempt]] = defaultdict(list)
        for attempt in live:
            together[task_key(attempt)].append(attempt)
        found = []
        for task, mine in together.items():
            make_folder(self._layout.bundle(*task))
            for attempt in mine:
                os.close(open_private(self._mark(attempt), os.O_WRONLY))
                self._marked.add((task, attempt.key))
            if self._nobody_left(task, mine[0].bundle):
                found.append(mine[0])
        return found

    def _mark(self, attempt: LiveAttempt) -> Path:
        return self._layout.cancel_mark(*task_key(attempt), attempt.job, attempt.attempt)

    def _nobody_left(self, task: TaskKey, size: int) -> bool:
        token, index = task
        if token not in self._lists:
            manifest = read_json(self._layout.manifest(token), Manifest)
            if manifest is None:
                return False
            self._lists[token] = tuple((one.job, one.attempt) for one in manifest.tasks)
        listed = self._lists[token][index * size : (index + 1) * size]
        there = set(names(self._layout.bundle(token, index)))
        standings = self.ledgers(task).standings
        return all(
            self._layout.cancel_mark(token, index, *key).name in there
            or (key in standings and standings[key].step in _DONE)
            for key in listed
        )


def of_job(attempt: LiveAttempt, seen: Observation, ledgers: Ledgers, *, marked: bool) -> Observation:
    """Where one job of a bundle is, where SLURM says of its task what `seen` holds. Pure.

    `marked`: it was cancelled, and whoever starts it will see that.
    """
    standing = ledgers.standings.get(attempt.key)
    alive = seen.phase not in _OVER
    if standing is not None and standing.step in _DONE:
        return _done(seen, standing)
    if standing is not None and (not alive or standing.runner == len(ledgers.runners) - 1):
        return _of_its_task(seen, standing)
    if marked and (not ledgers.runners or not alive):
        return replace(
            seen, phase=Phase.ENDED, cause=Cause.CANCELLED, evidence=("it was cancelled before its turn came",)
        )
    if not ledgers.runners and not alive:
        return seen  # nothing ever began: as of any task
    if not ledgers.runners:
        reason = _with_others(seen.reason) if seen.phase in _WAITS else f"its task begins on {seen.node or 'its node'}"
        return replace(seen, phase=seen.phase if seen.phase in _WAITS else Phase.PENDING, node=None, reason=reason)
    if not alive and seen.cause in _ITS_OWN and not _any_begun(ledgers):
        return seen  # the runner itself failed, and would again
    if not alive:
        text = "its task was over before its turn came"
        return replace(seen, cause=Cause.CANCELLED, evidence=(*seen.evidence, text), returned=True, previous=None)
    if seen.phase in _WAITS:
        return seen
    waits = f"its turn comes in {_named(attempt)}, which runs on {seen.node or 'its node'}: {_turn(attempt, ledgers)}"
    return replace(seen, phase=Phase.PENDING, node=None, reason=waits, previous=None)


def _done(seen: Observation, standing: Standing) -> Observation:
    """Its own end, by its runner; SLURM's word on the task says nothing of it."""
    line = standing.line
    told = replace(seen, phase=Phase.ENDED, node=line.node or seen.node, nodes=frozenset(), reason="", previous=None)
    if standing.step is Step.CANCELLED:
        return replace(told, cause=Cause.CANCELLED, evidence=("it was cancelled: its runner ended it",))
    if standing.step is Step.RETURNED:
        return replace(told, cause=Cause.CANCELLED, evidence=(line.text or "its runner gave it back",), returned=True)
    how = f"its worker on {line.node} ended with " + (
        f"exit code {line.code}" if line.code >= 0 else f"signal {-line.code}"
    )
    verdict = causes.from_log(line.text) or causes.from_exit(max(line.code, 0), max(-line.code, 0))
    words = [text for text in line.text.splitlines() if text.strip()][-1:]
    evidence = (how, *(words if line.cause else verdict.evidence))
    return replace(told, cause=line.cause or verdict.cause, evidence=evidence)


def _of_its_task(seen: Observation, standing: Standing) -> Observation:
    """It was started and its runner tells no end: what becomes of it is what becomes of the task."""
    if seen.phase is not Phase.ENDED:
        return seen
    if seen.cause is Cause.OUT_OF_MEMORY and not standing.over_mb:
        text = "its task was ended for memory, and it was not seen above its own share: it is sent alone"
        return replace(seen, evidence=(*seen.evidence, text), returned=True)
    if seen.cause is Cause.TIMEOUT and standing.late:
        text = "it began late in its task, and was cut off before its own time limit: it is sent alone"
        return replace(seen, evidence=(*seen.evidence, text), returned=True)
    return seen


def _named(attempt: LiveAttempt) -> str:
    return f"job {attempt.native_id}" + (f"_{attempt.task}" if attempt.task is not None else "")


def _with_others(reason: str) -> str:
    return f"{reason} (with others in one task)" if reason else "with others in one task"


def _any_begun(ledgers: Ledgers) -> bool:
    """Whether the newest runner got so far as to start or to end anything."""
    return any(standing.runner == len(ledgers.runners) - 1 for standing in ledgers.standings.values())


def _turn(attempt: LiveAttempt, ledgers: Ledgers) -> str:
    """Its place among those that wait there; those that were begun before it are none of them."""
    begun = sum(standing.runner == len(ledgers.runners) - 1 for standing in ledgers.standings.values())
    place = attempt.index % attempt.bundle + 1
    return f"{place} in its list, of which {begun} were begun"


def tasks_of(live: Sequence[LiveAttempt]) -> int:
    """How many of SLURM's tasks these attempts are."""
    bundled = {task_key(one) for one in live if one.bundle}
    return len(bundled) + sum(max(one.pieces, 1) for one in live if not one.bundle)
