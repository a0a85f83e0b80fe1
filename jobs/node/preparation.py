"""A user's program made ready to start: its arguments, its working folder, its environment.

Where its code was kept, it runs in a tree of its own (jobs/node/worktree.py), and everything that named the submitted
tree points there: the arguments, the working folder, PYTHONPATH, the folders that its Python imports from, and what
PATH and other variables name of it.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.commands import variable
from jobs.errors import OrchError
from jobs.files import make_folder, write_json
from jobs.node import interpreter, redirection, worktree
from jobs.node.context import Context
from jobs.node.environment import BEFORE_SETUP, compose, prepend
from jobs.odd import from_text, to_text
from jobs.patience import patiently
from jobs.records import Code, Record, Surroundings
from jobs.snapshots import Snapshot
from jobs.templates import fill

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class ProgramRecord(Record, frozen=True, kw_only=True):
    """`program.json` of an execution: the command as it was started. Names are text (jobs/odd.py)."""

    argv: tuple[str, ...]
    cwd: str
    code: str = ""
    """The snapshot; empty for a live folder."""
    missing_secrets: tuple[str, ...] = ()


class EnvironmentFileError(OrchError):
    """The file of secrets cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A program that is about to start."""

    argv: list[str]
    cwd: Path
    environment: dict[str, str]
    tree: worktree.Worktree | None
    missing: tuple[str, ...] = ()
    """Names of secrets that it does not get."""
    values: Mapping[str, Any] = field(default_factory=dict)
    python: Path | None = None
    """The Python that runs it (the one of PATH where it is none itself)."""
    search: str = ""
    """PYTHONPATH before it pointed into a tree of this execution."""
    """What stands for {name} in arguments and declared paths."""

    def path(self, given: str) -> Path:
        """Where a declared path lies: relative to the program's working folder, and in its own tree."""
        (filled,) = fill([from_text(given)], self.values)
        return self.cwd / (filled if self.tree is None else self.tree.redirect(filled))

    def settle(self) -> list[str]:
        """After its end: remove from its tree what it did not change. What stays, sorted."""
        return self.tree.settle() if self.tree is not None else []


def prepare(context: Context, here: Mapping[str, str] | None = None, code: Path | None = None) -> Prepared:
    """Make the program of a `command` job ready. Raises SnapshotError, EnvironmentFileError, BadInput or OSError.

    `here`: this node's environment, where that is not the process's own; `code`: where snapshots lie, where that is not
    the store.
    """
    config = context.config
    terms = context.terms
    out = context.folder / "out"
    patiently(lambda: make_folder(out), unwanted=context.stop_requested)
    original = context.cwd
    tree = None
    if terms.code is not None and terms.code.snapshot:
        name = terms.code.snapshot
        kept, project = code or context.store / "code", context.store.parent.resolve()
        home, apart = context.folder / "work", (context.store.resolve(), context.store, context.folder)
        root, origin = terms.code.root, terms.code.origin
        tree = patiently(
            lambda: worktree.make(kept, name, project, home, apart, root, origin), unwanted=context.stop_requested
        )
    values = {name: from_text(value) for name, value in {**config.parameters, **terms.written}.items()}
    own = {"seed": context.seed, "job": context.job, "out": out, **stage_values(context)}
    filled = {**own, **values}
    argv = fill([from_text(word) for word in config.argv], filled)
    environment, missing = _environment(terms.surroundings, os.environ if here is None else here)
    python, searched = interpreter.interpreter(argv, environment, original), environment.get("PYTHONPATH", "")
    cwd = original
    if tree is not None:
        cwd = tree.place(original)
        cwd.mkdir(parents=True, exist_ok=True)  # an empty folder holds no file of the snapshot
        argv = [argv[0] if "/" not in argv[0] else tree.redirect(argv[0]), *map(tree.argument, argv[1:])]
        argv = [tree.outside_again(word, original) for word in argv]
        paths = [tree.home / path for path in terms.code.paths] if terms.code is not None else []
        search = tree.redirect(environment.get("PYTHONPATH", ""))
        chosen = {name: environment[name] for name in _chosen(terms.surroundings) if name in environment}
        environment.update(redirection.point_variables(tree.held, chosen, tree.home, tree.original))
        if paths or search:
            environment["PYTHONPATH"] = prepend(search or None, [str(path) for path in paths])
        environment.update(git_variables(terms.code, tree.snapshot))
    environment.update({variable(name): str(value) for name, value in values.items()})
    environment.update(
        ORCH_RESULT=str(context.folder / "result.json"),
        ORCH_CHECKPOINT_DIR=str(context.folder / "checkpoints"),
        ORCH_OUT=str(out),
        ORCH_WORKDIR=str(original),
        ORCH_STUDY_CWD=str(original),
        ORCH_SEED=str(context.seed),
        ORCH_JOB=str(context.job),
    )
    if len(context.input_folders) == 1:
        environment["ORCH_AFTER_OUT"] = str(next(iter(context.input_folders.values())) / "out")
    environment.pop("PYTHONSAFEPATH", None)  # it protects our worker; the user's script may import its neighbours
    record = ProgramRecord(
        argv=tuple(to_text(word) for word in argv),
        cwd=to_text(str(cwd)),
        code=tree.snapshot.hash if tree is not None else "",
        missing_secrets=tuple(missing),
    )
    patiently(
        lambda: write_json(context.folder / "program.json", record, durable=False), unwanted=context.stop_requested
    )
    return Prepared(
        argv=argv,
        cwd=cwd,
        environment=environment,
        tree=tree,
        missing=tuple(missing),
        values=filled,
        python=python,
        search=searched,
    )


def _chosen(surroundings: Surroundings | None) -> tuple[str, ...]:
    """Names of variables that are the submitter's and not the node's."""
    return () if surroundings is None else (*surroundings.kept, *surroundings.given)


def git_variables(code: Code | None, snapshot: Snapshot) -> dict[str, str]:
    """ORCH_GIT_COMMIT and ORCH_GIT_DIRTY of this submit; nothing where there is no commit."""
    commit, dirty = (code.commit, code.dirty) if code is not None and code.commit else (snapshot.commit, snapshot.dirty)
    return {} if commit is None else {"ORCH_GIT_COMMIT": commit, "ORCH_GIT_DIRTY": str(int(dirty))}


def stage_values(context: Context) -> dict[str, str]:
    """What a command gets of the one job that it comes after: `{train.out}`, `{train.result.best}`."""
    stage = context.options.get("after")
    if not stage or len(context.inputs) != 1:
        return {}
    ((job, outcome),) = context.inputs.items()
    numbers = {name: value for name, value in (outcome.result or {}).items() if value is not None}
    return {
        f"{stage}.out": str(context.input_folders[job] / "out"),
        **{f"{stage}.result.{name}": number_text(value) for name, value in numbers.items()},
    }


def number_text(value: float) -> str:
    """A number as a program is given it: a whole one without a point, else so that it reads back as the same."""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _environment(surroundings: Surroundings | None, inherited: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The program's environment, and the names of secrets that are nowhere."""
    here = dict(inherited)
    if surroundings is None:
        return here, []
    secrets = {name: here[name] for name in surroundings.secrets if name in here}
    if surroundings.file:
        secrets |= read_environment_file(Path(surroundings.file).expanduser())
    before = _before_setup(here.pop(BEFORE_SETUP, None))
    made = compose(here, surroundings.kept, before, surroundings.given, secrets)
    return made, [name for name in surroundings.secrets if name not in made]


def _before_setup(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    pairs = (os.fsdecode(item).partition("=") for item in data.split(b"\0") if item)
    return {name: value for name, sign, value in pairs if sign}


def read_environment_file(path: Path) -> dict[str, str]:
    """NAME=VALUE lines of the user's own file (0600). Raises EnvironmentFileError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, encoding="utf-8") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise EnvironmentFileError(f"{path}, the file of [env] in orch.toml, is no file: name another one")
            if found.st_uid != os.geteuid():
                raise EnvironmentFileError(f"{path}, the file of [env] in orch.toml, belongs to somebody else")
            if found.st_mode & 0o077:
                raise EnvironmentFileError(f"{path} holds secrets that others can read: chmod 600 {path}")
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise EnvironmentFileError(f"the file of [env] in orch.toml, {path}, cannot be read here: {reason}") from None
    values: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, sign, value = line.strip().removeprefix("export ").partition("=")
        if not sign or "\0" in value or not _NAME.fullmatch(name.strip()):
            raise EnvironmentFileError(f"line {number} of {path} is no NAME=VALUE: mend it, or begin it with #")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        values[name.strip()] = value
    return values
