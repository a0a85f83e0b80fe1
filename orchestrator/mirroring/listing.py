"""What lies in a store's folders, as far as a round copies it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from db.mirrored import MirroredAttempt
from jobs.files import names, read_json
from jobs.layout import Layout
from jobs.node.checkpoints import RECORD, CheckpointRecord
from jobs.node.progress import reached
from orchestrator.mirroring.plan import OF_SUBMISSIONS, PROGRAMS, RECORDS, Listed, Plan, add, resumable, settled

_LOOKED_FOR = frozenset({*RECORDS, "out", "checkpoints"})
EXECUTION_DEPTH = 5
"""Of `runs/0/12/1/e0-0af31c/outcome.json`, in slashes: other records need not be there."""
_OF_CODE = (".json", ".patch", ".lock")


def plan(
    layout: Layout, attempts: Sequence[MirroredAttempt], code: Collection[str], since: datetime | None = None
) -> Plan:
    """What a round copies. `since`: what a complete round that began then has is left out. Raises OSError."""
    made = Plan(folders=snapshots(layout, code))
    going: dict[int, list[tuple[MirroredAttempt, str, Sequence[Listed]]]] = {}
    for attempt in attempts:
        if settled(attempt, since):
            continue
        path = layout.attempt(attempt.job, attempt.number)
        folder = path.relative_to(layout.root).as_posix()
        executions = [_look(one, attempt) for one in layout.executions(attempt.job, attempt.number)]
        executions.sort(key=lambda one: one.name)
        made.records.append(f"{path.parent.relative_to(layout.root).as_posix()}/job.json")
        token = layout.submission(attempt.token).relative_to(layout.root).as_posix()
        made.records += [f"{token}/{name}" for name in OF_SUBMISSIONS]
        add(made, attempt, folder, executions)
        if attempt.goes_on:
            going.setdefault(attempt.job, []).append((attempt, folder, executions))
    for some in going.values():
        for path_of in resumable(some):
            made.checkpoints += _files(layout.root, path_of) if path_of.endswith("/") else [path_of]
    made.records = list(dict.fromkeys(made.records))
    return made


def lacking(
    layout: Layout, plan: Plan, attempts: Sequence[MirroredAttempt], since: datetime | None = None
) -> frozenset[str]:
    """What a round should have found in the store and is not there: somebody removes it, or did. Raises OSError."""
    gone = {name for name in plan.records if _is_of_execution(name) and not (layout.root / name).exists()}
    for attempt in attempts:
        if settled(attempt, since):
            continue
        folder = layout.attempt(attempt.job, attempt.number)
        for name, finished in attempt.executions:
            for record in ("started.json", *(["outcome.json"] if finished else [])):
                if not (folder / name / record).exists():
                    gone.add((folder / name / record).relative_to(layout.root).as_posix())
    return frozenset(gone)


def _is_of_execution(path: str) -> bool:
    return path.count("/") == EXECUTION_DEPTH


def _look(path: Path, attempt: MirroredAttempt) -> Listed:
    files = frozenset(names(path)) & _LOOKED_FOR
    steps: tuple[int, ...] = ()
    far = -1
    if attempt.goes_on and "checkpoints" in files:
        folder = path / "checkpoints"
        if attempt.kind in PROGRAMS:
            far = max(0, reached(path)) if any(_files(path, "checkpoints/")) else -1
        else:
            steps = tuple(sorted(_whole(folder)))
    return Listed(name=path.name, files=files, steps=steps, reached=far)


def _whole(folder: Path) -> Iterator[int]:
    """The steps of checkpoints whose payload has its size."""
    for name in names(folder):
        if RECORD.match(name):
            record = read_json(folder / name, CheckpointRecord)
            payload = (folder / name).with_suffix(".pt")
            if record is not None and payload.is_file() and payload.stat().st_size == record.bytes:
                yield record.step


def _files(root: Path, folder: str) -> list[str]:
    """The files below a folder, links as themselves; none where it is a link that may lead anywhere."""
    top = root / folder
    if top.is_symlink():
        return []
    return sorted(Path(where, name).relative_to(root).as_posix() for where, _, inner in os.walk(top) for name in inner)


def snapshots(layout: Layout, code: Collection[str]) -> list[str]:
    """Code snapshots that some job names, and what is known of them; those that are just being taken are left out."""
    found = []
    for where in (layout.code, layout.code / "origins", layout.code / "software"):
        below = where.relative_to(layout.root).as_posix()
        for name in names(where):
            if name.startswith("."):
                continue
            if name in code and where == layout.code and (where / name).is_dir():
                found.append(f"{below}/{name}/")
            elif name.endswith(_OF_CODE) and (name.partition(".")[0] in code or name.endswith(".lock")):
                found.append(f"{below}/{name}")
    return found


def journal(layout: Layout, after: int, upto: int) -> list[str]:
    """The journal's files `after` + 1 to `upto`."""
    from db.journal import path_of

    return [path_of(layout.journal, n).relative_to(layout.root).as_posix() for n in range(after + 1, upto + 1)]
