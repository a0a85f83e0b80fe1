"""A person's program as jobs: what it is, and the code and environment that it is kept with."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from sqlalchemy import Connection

from db import jobs
from db.creation import Ensured
from db.jobs import StoredJob
from db.store import Store
from jobs.commands import canonical_config, folder_of, modern
from jobs.errors import BadInput, StoreError
from jobs.kind import kind_named
from jobs.node import interpreter
from jobs.node.environment import holds_secret, looks_secret
from jobs.node.environment import keep as keep_environment
from jobs.node.interpreter import Software
from jobs.odd import from_text, to_text
from jobs.records import Code, Surroundings
from jobs.templates import fill, stage_fields, used
from jobs.words import JobState
from orchestrator import text
from orchestrator.code import mentions, plugins, snapshots
from orchestrator.code.differences import Side
from orchestrator.code.snapshots import take
from orchestrator.code.tree import Limits, look, root_of
from orchestrator.settings import Settings
from orchestrator.studyfile.points import Point
from orchestrator.submitting.planning import Order
from orchestrator.submitting.points import check_fields

KIND = "command"
OWN_VARIABLES = ["RESULT", "METRICS", "CHECKPOINT_DIR", "OUT", "WORKDIR", "STUDY_CWD", "SEED", "JOB", "AFTER_OUT"]
"""What a job's program is given, each with ORCH_ before it (docs/run-folder.md)."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a program is submitted from."""

    cwd: Path
    project: Path
    """The store's parent folder."""

    @property
    def folder(self) -> str:
        """The working folder as the job is named by it."""
        return to_text(folder_of(PurePosixPath(self.cwd), PurePosixPath(self.project)))


def orders(
    argv: Sequence[str],
    points: Sequence[Point],
    seeds: Sequence[int],
    place: Place,
    after: str = "",
    needs: Sequence[Mapping[int, tuple[int, ...]]] = (),
) -> list[Order]:
    """One order per point of the sweep. Raises BadInput for a name in the arguments that is a slip."""
    if not argv[0].strip():
        raise BadInput("the command is empty: give a program after --")
    kind = kind_named(KIND)
    found = []
    for number, point in enumerate(points):
        values, words = point.values, (*argv, *point.args)
        check_fields(words, values, after)
        config = canonical_config(words, place.folder, values)
        found.append(
            Order(
                kind=kind,
                config=msgspec.convert(config, kind.config),
                seeds=seeds,
                needs_of=needs[number] if needs else {},
                written={name: item.written for name, item in values.items() if item.written != item.value},
            )
        )
    return found


def command_lines(orders: Sequence[Order], ensured: Ensured, most: int, after: str = "") -> list[str]:
    """The first command lines, as they will run. `ensured` holds the orders' jobs in their order."""
    found: list[str] = []
    ids = iter(ensured.ids)
    for order in orders:
        config = msgspec.to_builtins(order.config)
        for seed in order.seeds:
            if len(found) == most:
                return found
            values = {**config.get("parameters", {}), **order.written}
            known = {**stage_fields(config["argv"], after), "seed": seed, "job": next(ids), "out": "$ORCH_OUT"}
            filled = fill(config["argv"], {**known, **values})
            found.append(shlex.join(filled))
    return found


def remarks(argv: Sequence[str], seeds: Sequence[int], after: str = "") -> list[str]:
    """What a person should know before the jobs run."""
    if len(seeds) > 1 and "seed" not in used(argv) and (after in ("", "after") or not stage_fields(argv, after)):
        return [
            f"{len(seeds)} seeds of one command line: only ORCH_SEED tells the runs apart (or put {{seed}} into it)"
        ]
    return []


def given_environment(words: Mapping[str, str]) -> dict[str, str]:
    """`--env KEY=VALUE`. Raises BadInput for one whose value must not be written down."""
    for name, value in words.items():
        if not name or "=" in name or not name.isprintable() or any(sign.isspace() for sign in name):
            raise BadInput(f"--env takes NAME=VALUE (got the name '{text.plain(name)}')")
        if name.removeprefix("ORCH_") in OWN_VARIABLES and name.startswith("ORCH_"):
            raise BadInput(f"--env {name} would be overwritten: orch itself gives it to every job")
        if (field := re.search(r"\{(seed|job|out)\}", value)) is not None:
            raise BadInput(
                f"--env {name} holds {field[0]}, which is for arguments: write 'env {name}={value} PROGRAM …'"
            )
        if looks_secret(name) or holds_secret(value):
            raise BadInput(
                f"--env {name} looks like a secret, and secrets are never written down: export it where the supervisor "
                "starts and name it under [env] pass in orch.toml"
            )
    return dict(words)


def limits(settings: Settings) -> Limits:
    """How large a tree may be."""
    return Limits(files=settings.code.files, megabytes=settings.code.megabytes, ignore=settings.code.ignore)


def check(place: Place, settings: Settings, store: Path) -> None:
    """Raise BadInput where the code could not be kept."""
    look(root_of(place.cwd, place.project), limits(settings), store)


def keep(
    code: Path,
    store: Path,
    argv: Sequence[str],
    place: Place,
    settings: Settings,
    given: Mapping[str, str],
    *,
    live: bool,
) -> tuple[Code, Surroundings, list[str]]:
    """Keep code, software and environment as they are now, inside `holding`. With them: what could not be kept."""
    kept, secrets = keep_environment(os.environ, settings.env.passed)
    surroundings = Surroundings(kept=kept, secrets=secrets, given=dict(given), file=settings.env.file)
    environ = {**os.environ, **given}
    python = interpreter.interpreter(argv, environ, place.cwd)
    answer = interpreter.ask(code, python, environ) if python is not None else None
    root = root_of(place.cwd, place.project)
    try:
        lock = interpreter.lock_beside(place.cwd, root)
        software = interpreter.keep(code, answer, lock) if answer is not None else None
    except OSError as error:
        raise StoreError(f"what is installed cannot be kept ({error}): make room or mend that") from None
    if live:
        return Code(software=software), surroundings, []
    shown = folder_of(PurePosixPath(root), PurePosixPath(place.project)) or "."
    words = [from_text(word) for word in argv]
    leading = {"PWD": os.environ.get("PWD", ""), **kept, **given}
    taken = take(code, root, shown, limits(settings), store, mentions.aliases(root, shown, words, leading))
    outside = [from_text(path) for path in taken.origin.outside]
    odd = mentions.remarks(words, given, environ, place.cwd, root, taken.snapshot, taken.origin)
    paths: tuple[str, ...] = ()
    if answer is not None:
        paths = interpreter.inside(answer, root, outside)
        odd += mentions.not_redirected(answer, root, paths)
    found = Code(
        snapshot=taken.snapshot.hash,
        paths=paths,
        software=software,
        commit=taken.commit,
        dirty=taken.dirty,
        patch=taken.patch,
        root=to_text(shown),
        origin=taken.origin_name,
    )
    return found, surroundings, odd


def place_of(job: StoredJob, project: Path) -> Place:
    """Where a program's job would be submitted from now."""
    folder = str(job.config.get("folder", "")) if job.kind_version > 1 else job.launching.cwd
    return Place(cwd=Path(os.path.normpath(project / from_text(folder))), project=project)


def code_now(store: Store, settings: Settings, job: StoredJob) -> Code:
    """The code of that job as it is now, kept for its next generation (inside `holding`). Raises BadInput."""
    if job.kind != KIND:
        project = store.root.parent.resolve()
        return plugins.kept_now(store.layout.code, store.root, job.kind, project, limits(settings))
    place = place_of(job, store.root.parent.resolve())
    if not place.cwd.is_dir():
        raise BadInput(
            f"{place.cwd}, where job {job.id} was submitted, is gone: 'orch retry --same-code' runs it as it was"
        )
    kept, _, _ = keep(store.layout.code, store.root, job.config["argv"], place, settings, {}, live=False)
    return kept


def present(store: Store, settings: Settings, job: StoredJob) -> tuple[Side, Software | None, Surroundings | None]:
    """What a submit of that program would keep now. Raises BadInput, SnapshotError."""
    if job.kind != KIND:
        found = plugins.source(job.kind)
        if found is None or found.root is None:
            raise BadInput(f"job {job.id} is a {job.kind}: only code that is kept can be compared with 'now'")
        tree = snapshots.present(store.layout.code, found.root, ".", limits(settings), store.root)
        answer = interpreter.ask(store.layout.code, Path(sys.executable), os.environ)
        return Side(snapshot=tree, home=found.root), interpreter.software(answer) if answer else None, None
    place = place_of(job, store.root.parent.resolve())
    root = root_of(place.cwd, place.project)
    snapshot = snapshots.present(store.layout.code, root, ".", limits(settings), store.root)
    kept, secrets = keep_environment(os.environ, settings.env.passed)
    python = interpreter.interpreter(job.config["argv"], os.environ, place.cwd)
    answer = interpreter.ask(store.layout.code, python, os.environ) if python is not None else None
    lock, _ = interpreter.named_lock(interpreter.lock_beside(place.cwd, root))
    software = interpreter.software(answer, lock) if answer is not None else None
    return Side(snapshot=snapshot, home=root), software, Surroundings(kept=kept, secrets=secrets)


def of_version_1(connection: Connection, study: str, place: Place) -> dict[str, list[StoredJob]]:
    """Key of version 2 → the jobs of version 1 in that study that are the same, the one that answers first.

    It is the succeeded one with the lowest id, else the one with the lowest id.
    """
    kind = kind_named(KIND)
    found: dict[str, list[StoredJob]] = {}
    for job in jobs.select(connection, study=study, kinds=[KIND]):
        if job.kind_version != 1 or job.imported:
            continue
        config = modern(job.config, job.launching.cwd, str(place.project), place.folder)
        if config is not None:
            (key,) = kind.keys(msgspec.convert(config, kind.config), [job.seed])
            found.setdefault(key, []).append(job)
    for same in found.values():
        same.sort(key=lambda job: (job.state is not JobState.SUCCEEDED, job.id))
    return found


def without_labels(values: Mapping[str, Any]) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """Settings, label, options (the signal): the last two are no part of what a job is. Raises BadInput."""
    from jobs.kinds.command import STOP_SIGNALS

    rest = dict(values)
    label = str(rest.pop("name", ""))
    signal = rest.pop("stop_signal", None)
    if signal is not None and signal not in STOP_SIGNALS:
        raise BadInput(f"--stop-signal (stop_signal) takes one of {', '.join(STOP_SIGNALS)} (got '{signal}')")
    known = {"argv"}
    wrong = [name for name in rest if name not in known]
    if wrong:
        raise BadInput(f"command has no setting '{wrong[0]}': parameters are given by --grid NAME=V1,V2")
    return rest, label, {"stop_signal": signal} if signal else {}
