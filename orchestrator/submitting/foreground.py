"""`orch run` and `orch submit --debug`: one job in the foreground, in a temporary folder, nothing recorded."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from db import jobs, results
from db.jobs import StoredJob
from db.store import Store
from jobs.errors import BadInput, StoreError
from jobs.kind import kind_named
from jobs.layout import Layout
from jobs.node import foreground
from jobs.node.foreground import Ended, Order, say
from jobs.odd import to_text
from jobs.records import Code, Surroundings, Task
from jobs.words import JobState
from orchestrator.code import plugins
from orchestrator.settings import Settings
from orchestrator.submitting import program
from orchestrator.supervision.handover import job_file, resources_of

PREFIX = "orch-run-"
NAMED = 5
"""Files that are named one by one."""
Keep = Callable[[Path], tuple[Code | None, Surroundings | None]]
"""Keeps the code as it is now in a folder: the code, and the environment where it is kept too."""


def of_store(store: Store, number: int, *, debugger: bool) -> int:
    """Run a job of the store in the foreground: its exit code. Raises BadInput, SnapshotError."""
    with store.read() as connection:
        job = jobs.get(connection, number)
        inputs = _inputs(connection, store.layout, job)
    return _run(store.layout, job, inputs, None, debugger=debugger).code


def again(store: Store, number: int, out: int) -> Ended:
    """The same, with what it prints sent to the descriptor `out`: how it ended, with its numbers."""
    with store.read() as connection:
        job = jobs.get(connection, number)
        inputs = _inputs(connection, store.layout, job)
    return _run(store.layout, job, inputs, None, debugger=False, out=out)


def of_submit(layout: Layout, job: StoredJob, keep: Keep | None, *, debugger: bool) -> int:
    """Run a job that a submit would make, with the code as it is now. Raises BadInput, SnapshotError."""
    inputs: dict[str, str] = {}
    if job.needs:
        with Store(layout.root).read() as connection:
            inputs = _inputs(connection, layout, job)
    return _run(layout, job, inputs, keep, debugger=debugger).code


def _inputs(connection: Connection, layout: Layout, job: StoredJob) -> dict[str, str]:
    """The results that it reads, as a manifest names them. Raises BadInput where one is not there."""
    if job.imported:
        raise BadInput(f"job {job.id} was imported: it ran elsewhere, and there is nothing of it to run here")
    inputs = {}
    for needed in jobs.get_many(connection, job.needs):
        place = results.accepted_execution(connection, needed.id)
        if place is not None:
            inputs[str(needed.id)] = layout.relative(layout.attempt(needed.id, place[0]) / place[1])
        elif not (job.tolerant and needed.state is JobState.FAILED):
            raise BadInput(
                f"job {job.id} reads the result of job {needed.id}, which is {needed.state} and has none: run that one "
                f"first ('orch explain {needed.id}')"
            )
    return inputs


def _run(
    layout: Layout,
    job: StoredJob,
    inputs: dict[str, str],
    keep: Keep | None,
    *,
    debugger: bool,
    out: int | None = None,
) -> Ended:
    kind_named(job.kind)
    terms = job.launching.terms()
    with _folder() as folder:
        code = layout.code
        if keep is not None:
            code = folder / "code"
            kept, around = keep(code)
            terms = msgspec.structs.replace(terms, code=kept, surroundings=around)
        order = Order(
            store=to_text(str(layout.root)),
            code=to_text(str(code)),
            folder=to_text(str(folder)),
            job=job_file(job),
            task=Task(job=job.id, attempt=0, generation=0, resources=resources_of(job), inputs=inputs, resume=False),
            terms=terms,
            pdb=debugger,
        )
        say(f"job {job.id} ({job.kind}, seed {job.seed}) in the foreground: nothing is recorded; {_code(terms.code)}")
        say(_devices())
        if terms.options.get("setup"):
            say("the setup lines of orch.toml are for nodes, and are not run here")
        ended = foreground.run(order, os.environ, out)
        for remark in ended.remarks:
            say(remark)
        if ended.wrote:
            keep_folder(folder, ended.wrote)
        return ended


def keep_folder(folder: Path, wrote: tuple[str, ...]) -> None:
    """Leave what it wrote, and name it; what only orch needed is removed."""
    for path in folder.iterdir():
        if path.name not in ("work", "out", "checkpoints"):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    more = f" and {len(wrote) - NAMED} more" if len(wrote) > NAMED else ""
    say(f"what it wrote is in {folder}: {', '.join(map(to_text, wrote[:NAMED]))}{more}; remove it when you are done")


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder, removed at the end unless it holds what the job wrote."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    except OSError as error:
        raise StoreError(
            f"temporary files cannot be written ({error.strerror}): name a folder for them with TMPDIR"
        ) from None
    try:
        yield folder
    finally:
        if not any(path.name in ("work", "out", "checkpoints") for path in _filled(folder)):
            shutil.rmtree(folder, ignore_errors=True)


def _filled(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir() and any(not one.is_dir() for one in path.rglob("*"))]


def _code(code: Code | None) -> str:
    if code is None:
        return "orch's own code"
    if not code.snapshot and code.package:
        return f"the code is that of {code.package}, as it is installed"
    if not code.snapshot:
        return "the code is the live folder's (--code live)"
    return f"code snapshot {code.snapshot}"


def _devices() -> str:
    found = os.environ.get("CUDA_VISIBLE_DEVICES")
    if found is None:
        return "no slot is taken: it sees every GPU of this machine, as this shell does (CUDA_VISIBLE_DEVICES is unset)"
    return f"no slot is taken: CUDA_VISIBLE_DEVICES={found}, as in this shell"


def kept_now(
    job: StoredJob, root: Path, project: Path, settings: Settings, given: Mapping[str, str], *, live: bool
) -> Keep:
    """How the code of a program is kept for a run in the foreground. Temporary folders inside the tree are no code."""
    place = program.place_of(job, project)
    code_tree = msgspec.structs.replace(settings.code, ignore=(*settings.code.ignore, f"{PREFIX}*/"))
    settings = msgspec.structs.replace(settings, code=code_tree)

    def keep(code: Path) -> tuple[Code | None, Surroundings | None]:
        found, around, _ = program.keep(code, root, job.config["argv"], place, settings, given, live=live)
        return found, around

    return keep


def kind_kept_now(job: StoredJob, root: Path, project: Path, settings: Settings) -> Keep:
    """The same for a kind of another package."""

    def keep(code: Path) -> tuple[Code | None, Surroundings | None]:
        return plugins.kept_now(code, root, job.kind, project, program.limits(settings)), None

    return keep
