"""A bundle in SLURM's queue: one row stands for a list of jobs, and its runners' ledgers say which is where.

SLURM's record of the task is evidence for those alone that it ran last; what was never started is returned.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from jobs import bundles
from jobs.bundles import Key, Ledgers, Step
from jobs.bundles import Standing as Place
from jobs.files import make_folder, names, open_private, read_json, read_lines
from jobs.layout import Layout
from jobs.records import Manifest
from jobs.resources import InQueue
from jobs.words import Cause
from slurm import causes
from slurm.backend import LiveAttempt, Observation, ObservationFailed, Phase, RowKey, Standing
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


class Bundles:
    """Of one backend. Reads ledgers again only where they have grown, and writes marks."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._read: dict[TaskKey, tuple[tuple[tuple[str, int], ...], Ledgers]] = {}
        self._lists: dict[str, tuple[Key, ...]] = {}
        self._marked: set[tuple[TaskKey, Key]] = set()
        self._begun: dict[TaskKey, Ledgers | None] = {}

    # ---- observing

    def look(self, live: Sequence[LiveAttempt], rows: Mapping[RowKey, Row | None]) -> None:
        """Once a cycle: what the runners wrote, where any may have begun."""
        bundled = [one for one in live if one.bundle]
        there = {task_key(one) for one in bundled}
        tokens = {token for token, _ in there}
        self._read = {task: known for task, known in self._read.items() if task in there}
        self._lists = {token: keys for token, keys in self._lists.items() if token in tokens}
        self._marked = {(task, key) for task, key in self._marked if task in there}
        self._begun = {}
        for task in {task_key(one): None for one in bundled if may_have_begun(rows[one.row_key], one)}:
            try:
                self._begun[task] = self._ledgers(task)
            except OSError:  # its folder does not answer now
                self._begun[task] = None

    def began(self, attempt: LiveAttempt) -> bool:
        """Whether its row's past is its own: of a bundle, those alone were on a node that were started there. Where no
        runner ever began, the first of the list speaks for all."""
        if not attempt.bundle:
            return True
        ledgers = self._begun.get(task_key(attempt))
        if ledgers is None or not ledgers.runners:
            return attempt.index % attempt.bundle == 0
        return attempt.key in ledgers.standings

    def where(self, attempt: LiveAttempt, seen: Observation) -> Observation | None:
        """Where it is, where SLURM says of its task what `seen` holds; None: what would tell does not answer now."""
        ledgers = self._begun.get(task_key(attempt), Ledgers())
        marked = (task_key(attempt), attempt.key) in self._marked
        return None if ledgers is None else of_job(attempt, seen, ledgers, marked=marked)

    def _ledgers(self, task: TaskKey) -> Ledgers:
        """Raises OSError where the folder does not answer."""
        files = self._layout.ledgers(*task)
        stamp = tuple((path.name, path.stat().st_size) for _, path in files)
        known = self._read.get(task)
        if known is not None and known[0] == stamp:
            return known[1]
        found = bundles.read((restart, list(read_lines(path, bundles.BundleLine))) for restart, path in files)
        self._read[task] = stamp, found
        return found

    # ---- changing

    def standing(self, attempt: LiveAttempt, task: Standing) -> Standing:
        """Of its task's: it waits until its turn has come; what the task asks for is nobody's alone to change.

        Raises ObservationFailed.
        """
        try:
            began = attempt.key in self._ledgers(task_key(attempt)).standings
        except OSError as error:
            raise ObservationFailed(f"a bundle's ledger cannot be read now: {error.strerror}") from None
        return Standing(waits=task.waits or not (began or task.over), over=task.over, terms=InQueue())

    def mark(self, live: Sequence[LiveAttempt]) -> list[LiveAttempt]:
        """Tell the runners of these to end them, or not to begin them; a new supervisor tells them once more.

        Those are returned whose whole task is to end: nobody else of its list is left. Raises ObservationFailed.
        """
        together: dict[TaskKey, list[LiveAttempt]] = defaultdict(list)
        for attempt in live:
            together[task_key(attempt)].append(attempt)
        try:
            return [mine[0] for task, mine in together.items() if self._mark(task, mine)]
        except OSError as error:
            raise ObservationFailed(f"a cancel cannot be written now: {error.strerror}") from None

    def _mark(self, task: TaskKey, live: Sequence[LiveAttempt]) -> bool:
        make_folder(self._layout.bundle(*task))
        for attempt in live:
            os.close(open_private(self._layout.cancel_mark(*task, *attempt.key), os.O_WRONLY))
            self._marked.add((task, attempt.key))
        return self._nobody_left(task, live[0].bundle)

    def _nobody_left(self, task: TaskKey, size: int) -> bool:
        token, index = task
        if token not in self._lists:
            manifest = read_json(self._layout.manifest(token), Manifest)
            if manifest is None:
                return False
            self._lists[token] = tuple((one.job, one.attempt) for one in manifest.tasks)
        listed = self._lists[token][index * size : (index + 1) * size]
        there = set(names(self._layout.bundle(token, index)))
        standings = self._ledgers(task).standings
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
    if not alive and seen.cause in _ITS_OWN and not ledgers.begun:
        return seen  # the runner itself failed, and would again
    if not alive:
        text = "its task was over before its turn came"
        return replace(seen, cause=Cause.CANCELLED, evidence=(*seen.evidence, text), returned=True, previous=None)
    if seen.phase in _WAITS:
        return seen
    place = attempt.index % attempt.bundle + 1
    waits = f"it is number {place} in the list of {_named(attempt)}, which runs on {seen.node or 'its node'}"
    return replace(seen, phase=Phase.PENDING, node=None, reason=waits, previous=None)


def _done(seen: Observation, standing: Place) -> Observation:
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


def _of_its_task(seen: Observation, standing: Place) -> Observation:
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


def tasks_of(live: Sequence[LiveAttempt]) -> int:
    """How many of SLURM's tasks these attempts are."""
    bundled = {task_key(one) for one in live if one.bundle}
    return len(bundled) + sum(max(one.pieces, 1) for one in live if not one.bundle)
