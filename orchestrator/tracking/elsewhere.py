"""`orch export --to`: what of a study is written, left as it is and taken away in a folder of another tool's."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from db import journal, results
from db.rows import ResultRow
from db.store import Store
from jobs.errors import BadInput, StoreError
from jobs.files import read_bytes
from orchestrator.tracking import eventfiles, mirror, mlflowstore, wandbruns
from orchestrator.tracking.runs import Run, is_exported, runs


class Writer(Protocol):
    """A tool's own way to write one run."""

    def path(self, run: Run) -> str:
        """Where its folder lies, relative to the export's."""
        ...

    def write(self, run: Run, folder: Path) -> Path:
        """Write it somewhere below `folder`: where."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A package that may be missing, the extra that brings it, and who writes with it."""

    package: str
    extra: str
    writer: str
    made: Callable[[Path], Writer]


TOOLS: Mapping[str, Tool] = {
    "tensorboard": Tool(
        package="tensorboard",
        extra="tensorboard",
        writer=eventfiles.WRITER,
        made=lambda folder: eventfiles.EventFiles(),
    ),
    "wandb-offline": Tool(
        package="wandb", extra="wandb", writer=wandbruns.WRITER, made=lambda folder: wandbruns.WandbRuns()
    ),
    "mlflow-files": Tool(
        package="mlflow", extra="mlflow", writer=mlflowstore.WRITER, made=lambda folder: mlflowstore.MlflowStore(folder)
    ),
}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export did: jobs by id, and what it did not take."""

    written: tuple[int, ...] = ()
    unchanged: tuple[int, ...] = ()
    removed: int = 0
    without: int = 0
    """Jobs without an accepted result."""
    dropped: int = 0
    superseded: int = 0
    """Earlier results of jobs that were run anew."""


def store_id(store: Store) -> str:
    """Sixteen digits that no other store has, and a rebuilt or a copied one keeps: of its journal's first file."""
    path = journal.path_of(store.layout.journal, 1)
    try:
        return journal.hash_of(read_bytes(path, journal.MOST_BYTES))[:16]
    except OSError as error:
        raise StoreError(f"cannot tell which store this is: {path}: {error.strerror}; see 'orch doctor'") from None


def export(
    store: Store,
    study: str,
    rows: Sequence[ResultRow],
    everything: Sequence[ResultRow],
    to: str,
    folder: Path,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> Exported:
    """Write `rows` of a study; take away what is there of `everything` and has no such result now. Raises BadInput.

    `step(done, total)`: after each run.
    """
    tool = TOOLS[to]
    if importlib.util.find_spec(tool.package) is None:
        raise BadInput(
            f"--to {to} needs the package {tool.package}, which is not installed: pip install 'orch[{tool.extra}]'"
        )
    if store.root.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise BadInput(f"'{folder}' is inside of the store: name a folder of your own")
    with store.read() as connection:
        accepted = results.acceptances(connection, study)
        superseded = results.set_aside(connection, study)
        wanted = [row for row in rows if is_exported(row, accepted)]
        counted = Exported(
            without=sum(row.dropped is None and not is_exported(row, accepted) for row in rows),
            dropped=sum(row.dropped is not None for row in rows),
            superseded=superseded,
        )
        there = {f"{study}/{row.job}" for row in everything if is_exported(row, accepted)}
        if not wanted and not folder.exists():
            return counted
        written: list[int] = []
        unchanged: list[int] = []
        with mirror.opened(folder, to, store_id(store)) as place:
            gone = [key for key in place.note.runs if key.rpartition("/")[0] == study and key not in there]
            place.remove(gone)
            writer: Writer | None = None
            try:
                for run in runs(connection, place.note.store, wanted, accepted):
                    digest = run.digest(tool.writer)
                    writer = writer or tool.made(folder)
                    path = writer.path(run)
                    if place.is_current(run, digest, path):
                        unchanged.append(run.job)
                    else:
                        place.put(run, digest, path, lambda aside, writer=writer, run=run: writer.write(run, aside))  # type: ignore[misc]
                        written.append(run.job)
                    step(len(written) + len(unchanged), len(wanted))
            finally:
                if writer is not None:
                    writer.close()
    return Exported(
        written=tuple(written),
        unchanged=tuple(unchanged),
        removed=len(gone),
        without=counted.without,
        dropped=counted.dropped,
        superseded=superseded,
    )
