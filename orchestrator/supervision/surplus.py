"""Which checkpoints of a succeeded job nothing needs any more, by `[clean] keep`. Only decides, removes nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from db import cleaning, results
from db.cleaning import EndedExecution
from db.store import Store
from jobs.files import names, read_json
from jobs.kind import kinds
from jobs.layout import Layout
from jobs.node.checkpoints import RECORD, CheckpointRecord
from jobs.reported import Reported

PROGRAMS = frozenset({"command"})
"""Kinds whose checkpoint folder holds files of a person's own program."""
_PARTS = re.compile(r"\d+[-_]of[-_]\d+|(?:rank|shard|part|worker|gpu|device|process)[-_]?\d+", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
BREATH_SECONDS = 120.0
"""Longer than a heartbeat's pause, a lagging file server and clocks that differ."""
NOT_ACCEPTED = "checkpoints of executions that were not accepted"
NO_BEST = "older checkpoints of succeeded jobs (no metric says which is best, so the last one stays)"


@dataclass(frozen=True, kw_only=True)
class Surplus:
    """Paths to remove in this order, and why nothing needs them."""

    paths: tuple[Path, ...]
    why: str


def folder_of(layout: Layout, execution: EndedExecution) -> Path | None:
    """Its checkpoint folder; None where there is none, or where a link leads out of the store."""
    folder = layout.attempt(execution.job, execution.attempt) / execution.name / "checkpoints"
    if folder.is_symlink() or not folder.is_dir():
        return None
    inside = folder.relative_to(layout.runs)
    return folder if folder.resolve() == layout.runs.resolve() / inside else None


def breathes(layout: Layout, execution: EndedExecution) -> bool:
    """Whether somebody wrote its heartbeat just now: a copy that was given up for lost, and that nobody sees."""
    folder = layout.attempt(execution.job, execution.attempt) / execution.name
    try:
        if (folder / "outcome.json").exists():
            return False
        return abs(time.time() - (folder / "heartbeat").stat().st_mtime) < BREATH_SECONDS
    except OSError:
        return False


def surplus(store: Store, execution: EndedExecution, keep: str) -> Surplus | None:
    """What of one execution can go. `keep`: last, best or none. Raises OSError."""
    folder = folder_of(store.layout, execution)
    there = names(folder) if folder is not None else []
    if folder is None or not there:
        return None
    if not execution.accepted and breathes(store.layout, execution):
        return None
    if not execution.accepted:
        return Surplus(paths=(folder,), why=NOT_ACCEPTED)
    if execution.needed:
        return None
    if keep == "none":
        return Surplus(paths=(folder,), why="checkpoints of succeeded jobs ([clean] keep = none)")
    why = f"checkpoints of succeeded jobs other than the {keep} one ([clean] keep = {keep})"
    if execution.kind in PROGRAMS:
        epoch = _best_epoch(store, execution) if keep == "best" else None
        gone = of_program(there, epoch)
        told = why if keep == "last" or (epoch is not None and _has(there, epoch)) else NO_BEST
    else:
        steps = {int(found[1]): name for name in there if (found := RECORD.match(name))}
        if not steps:
            return None
        step = _best_step(folder, steps, execution.kind) if keep == "best" else max(steps)
        told = why if step is not None else NO_BEST
        kept = steps[max(steps) if step is None else step]
        # a payload without its record is torn by definition, so the record goes first
        gone = [name for name in there if name not in (kept, Path(kept).with_suffix(".pt").name)]
        gone.sort(key=lambda name: (not name.endswith(".json"), name))
    return Surplus(paths=tuple(folder / name for name in gone), why=told) if gone else None


def of_program(there: Collection[str], epoch: int | None) -> list[str]:
    """Of a program's own files: those of which a later one has the same name but for its number. Pure.

    `epoch`: the best one, whose files stay in the place of the last ones where there are some. Parts of one checkpoint
    (`rank0`, `1-of-4`) are no numbers, and a name that says 'best' or 'last' always stays.
    """
    alike: dict[str, list[str]] = {}
    for name in there:
        if not re.search("best|last|latest|final", name, re.IGNORECASE):
            alike.setdefault(_shape(name), []).append(name)
    gone: list[str] = []
    for some in alike.values():
        chosen = [name for name in some if epoch is not None and epoch in _numbers(name)]
        newest = max(map(_numbers, some))
        kept = chosen if len(chosen) == 1 else [name for name in some if _numbers(name) == newest]
        gone += [name for name in some if name not in kept]
    return sorted(gone)


def _has(there: Sequence[str], epoch: int) -> bool:
    return sum(epoch in _numbers(name) for name in there) > 0


def _shape(name: str) -> str:
    """The name with its numbers left out, those that say which part it is of a checkpoint kept."""
    parts = _PARTS.findall(name)
    return "\0".join([_NUMBER.sub("#", _PARTS.sub("\1", name)), *parts])


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(found) for found in _NUMBER.findall(_PARTS.sub("", name)))


def _best_step(folder: Path, steps: Mapping[int, str], kind: str) -> int | None:
    """The step whose history ends with the best value of the kind's first metric per epoch; None where none tells."""
    declared = kinds().get(kind)
    metric = next((one for one in declared.metrics if one.per_epoch), None) if declared else None
    values = {}
    for step, name in steps.items():
        record = read_json(folder / name, CheckpointRecord)
        value = record.history[-1].values.get(metric.name) if metric and record and record.history else None
        if value is not None:
            values[step] = value
    return best(values, metric.higher_is_better) if metric else None


def _best_epoch(store: Store, execution: EndedExecution) -> int | None:
    """The epoch with the best value of the first metric of which a person said which way is better."""
    with store.read() as connection:
        told = Reported.of(cleaning.launching_of(connection, execution.job).options).metrics
        found = next(((name, one) for name, one in told.items() if one.higher_is_better is not None), None)
        if found is None:
            return None
        name, one = found
        points = results.points(connection, execution.job)
    values = {epoch: value for epoch, numbers in points if (value := numbers.get(name)) is not None}
    return best(values, bool(one.higher_is_better))


def best(values: Mapping[int, float], higher: bool) -> int | None:
    """The place of the best value, the latest of equal ones; None without any. Pure."""
    return max(values, key=lambda at: (values[at] if higher else -values[at], at), default=None)
