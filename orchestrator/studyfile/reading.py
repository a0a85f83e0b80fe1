"""A study file (TOML) as experiments. Every error names the file, the table and the key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from db.layouts import Layout
from jobs.commands import Parameter
from jobs.errors import BadInput
from orchestrator.studyfile.layouts import layouts
from orchestrator.studyfile.points import Sweep
from orchestrator.studyfile.source import text_of, values_of
from orchestrator.studyfile.sweeps import sweep
from orchestrator.studyfile.tables import Table, shown
from orchestrator.studyfile.until import Until, until
from orchestrator.studyfile.values import of_typed
from orchestrator.text import plain

MOST_EXPERIMENTS = 1000
MOST_SEED = 999_999_999
TERMS = (
    "backend",
    "cpus",
    "gpus",
    "mem",
    "gpu_mem",
    "time",
    "jobs_per_gpu",
    "checkpoint_every",
    "retry_oom_mem",
    "hang_after",
    "slices",
    "bundle",
    "cold",
    "resume",
    "partition",
    "account",
    "qos",
    "constraint",
    "exclude_nodes",
    "nodes",
    "launcher",
    "ranks_per_node",
    "priority",
)
"""How jobs are run: the options of `orch submit` of the same name (`exclude_nodes` is --exclude)."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One `[[experiment]]`: a program or a kind, its seeds and its sweep."""

    place: str
    """File and table, for a sentence."""
    name: str
    command: Sequence[str] | None
    kind: str
    seeds: Sequence[int]
    sweep: Sweep
    terms: Mapping[str, Any] = field(default_factory=dict)
    """Options of `orch submit` as a command line would give them; only those that the file names."""
    sbatch: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    preset: str | None = None
    device: str | None = None
    result_files: Sequence[str] = ()
    tensorboard: Sequence[str] = ()
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What is said of each number that it reports: pattern, label, unit, digits, better."""
    after: str = ""
    """The experiment before: a job waits for the one of the same parameters and seed there."""
    names_seeds: bool = False
    stop_signal: str | None = None
    unused_ok: bool = False
    live: bool = False
    canary: bool | None = None
    """Whether one of many new jobs goes first; None: as usual."""
    tables: Sequence[Layout] = ()


@dataclass(frozen=True, kw_only=True)
class StudyFile:
    """What the file says."""

    path: Path
    name: str
    experiments: Sequence[Experiment]
    max_running: int | None = None
    """How many of its jobs are with the machines at once; 0: no bound. None: as it was."""
    max_fails: int | None = None
    """After so many failures nothing more is sent; 0: no bound."""
    tables: Sequence[Layout] = ()
    """How its results are laid out: the whole study's first, then those of its experiments."""
    until: Until = field(default_factory=Until)
    """When it has enough seeds."""


def read(path: Path) -> StudyFile:
    """The study in this file. Raises BadInput."""
    return parse(text_of(path), path)


def parse(text: str, path: Path) -> StudyFile:
    """The study that this text describes. Pure. Raises BadInput."""
    whole = Table(str(path), values_of(text, path))
    head = whole.inner("study", f"{path}, [study]")
    name, bounds, rule = path.stem, dict[str, int | None](), Until()
    if head is not None:
        name = head.text("name") or name
        _check_name(head, "name", name)
        bounds = {key: head.whole(key, 0, 1_000_000) for key in ("max_running", "max_fails")}
        rule = until(head)
        head.finish()
    found: list[Experiment] = []
    several = whole.several("experiment")
    if len(several) > MOST_EXPERIMENTS:
        raise BadInput(f"{path} has {len(several)} experiments: at most {MOST_EXPERIMENTS} are possible; a grid is one")
    for number, inner in enumerate(several, 1):
        one = _experiment(Table(f"{path}, [[experiment]] {_called(inner, number)}", inner))
        if any(other.name == one.name for other in found):
            raise BadInput(f"{path}: two experiments are called '{one.name}': rename one of them")
        found.append(one)
    tables = (*layouts(whole, "table"), *(layout for one in found for layout in one.tables))
    whole.finish()
    if not found:
        raise BadInput(f"{path} has no [[experiment]]: 'orch init' writes an example")
    for one in found:
        if one.after and one.after not in {other.name for other in found if other is not one}:
            near = get_close_matches(one.after, [other.name for other in found if other is not one], n=1)
            hint = f": did you mean '{near[0]}'?" if near else ": name one of this file"
            raise BadInput(f"{one.place}: after names '{one.after}', which is no other experiment{hint}")
    return StudyFile(path=path, name=name, experiments=tuple(found), tables=tables, until=rule, **bounds)


def _called(values: Any, number: int) -> str:
    name = values.get("name") if isinstance(values, dict) else None
    return f"'{plain(name)[:64]}'" if isinstance(name, str) and name else f"number {number}"


def _check_name(table: Table, key: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        table.fail(key, f"must be a word of letters, digits, '_', '.' and '-', at most 64 (got {shown(name)})")


def _experiment(table: Table) -> Experiment:
    name = table.text("name")
    if name is None:
        raise BadInput(f'{table.place} has no name: give it one, like name = "train"')
    _check_name(table, "name", name)
    command, kind = table.words("command"), table.text("kind")
    if (command is None) == (kind is None):
        why = "both" if command is not None else "neither"
        raise BadInput(f"{table.place} has {why} of command and kind: give it one of them")
    if command is not None and (not command or not command[0].strip()):
        table.fail("command", "is empty: name a program")
    if kind == "command":
        table.fail("kind", 'is "command": write command = ["python", …] instead')
    found = Experiment(
        place=table.place,
        name=name,
        command=command,
        kind=kind or "command",
        seeds=_seeds(table),
        sweep=sweep(table),
        terms=_terms(table),
        sbatch=_sbatch(table),
        env=_env(table),
        preset=table.text("preset"),
        device=table.text("device"),
        result_files=_paths(table, "result_file"),
        tensorboard=_paths(table, "tensorboard"),
        metrics=_metrics(table),
        after=table.text("after") or "",
        names_seeds=table.has("seeds"),
        stop_signal=table.text("stop_signal"),
        unused_ok=bool(table.flag("unused_ok")),
        live=_live(table),
        canary=table.flag("canary"),
        tables=layouts(table, "experiment.table", name),
    )
    table.finish()
    for key, given in (
        ("env", found.env),
        ("stop_signal", found.stop_signal),
        ("code", found.live),
        ("after", found.after),
        ("unused_ok", found.unused_ok),
        ("result_file", found.result_files),
        ("tensorboard", found.tensorboard),
        ("metrics", found.metrics),
        ("canary", found.canary),
    ):
        if command is None and given:
            table.fail(key, "is for a command: a kind has none")
    return found


def _seeds(table: Table) -> list[int]:
    value = table.get("seeds")
    if value is None:
        return [0]
    if isinstance(value, list):
        if not value:
            table.fail("seeds", "is empty: name at least one")
        for seed in value:
            if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MOST_SEED:
                table.fail("seeds", f"must be whole numbers from 0 to {MOST_SEED} (got {shown(seed)})")
            if value.count(seed) > 1:
                table.fail("seeds", f"names seed {seed} twice: name each once")
        return list(value)
    return list(range(table.whole("seeds", 1, 1_000_000) or 1))


def _terms(table: Table) -> dict[str, Any]:
    """Numbers and texts, as the command line would give them."""
    found: dict[str, Any] = {}
    for key in TERMS:
        value = table.get(key)
        if value is None:
            continue
        if isinstance(value, bool) != (key == "cold") or not isinstance(value, str | int):
            wanted = "true or false" if key == "cold" else "a number or text in quotes"
            table.fail(key, f"must be {wanted} (got {shown(value)})")
        found[key] = value if isinstance(value, int) else str(value)
    return found


def _sbatch(table: Table) -> list[str]:
    """`[experiment.sbatch]` or a list of words, as `--sbatch` takes them."""
    value = table.get("sbatch")
    if value is None or isinstance(value, list):
        return table.words("sbatch") or []
    found = []
    inner = table.inner("sbatch", f"{table.place}, [experiment.sbatch]")
    assert inner is not None
    for key, item in inner.items():
        if item is True:
            found.append(key)
        elif isinstance(item, str | int) and item is not False:
            found.append(f"{key}={item}")
        else:
            inner.fail(key, f"must be a number, text or true (got {shown(item)})")
    return found


def _env(table: Table) -> dict[str, str]:
    inner = table.inner("env", f"{table.place}, [experiment.env]")
    found = {}
    for key, item in inner.items() if inner is not None else ():
        if isinstance(item, dict | list):
            inner.fail(key, f"must be one value (got {shown(item)})")  # type: ignore[union-attr]
        if not key or "=" in key:
            inner.fail(shown(key), "is no variable's name: it has a sign at least, and no '='")  # type: ignore[union-attr]
        found[key] = of_typed(item).written
    return found


def _paths(table: Table, key: str) -> list[str]:
    """One path, or a list of them."""
    if isinstance(table.get(key), list):
        if not table.get(key):
            table.fail(key, "is empty: name something, or leave it out")
        return table.words(key) or []
    path = table.text(key)
    return [path] if path is not None else []


def _metrics(table: Table) -> dict[str, dict[str, Any]]:
    inner = table.inner("metrics", f"{table.place}, [experiment.metrics]")
    found: dict[str, dict[str, Any]] = {}
    for name, value in inner.items() if inner is not None else ():
        if not isinstance(value, dict):
            inner.fail(name, f"must be a table: write [experiment.metrics.{name}] (got {shown(value)})")  # type: ignore[union-attr]
        Table(f"{table.place}, [experiment.metrics.{name}]", value)  # no NUL in it
        found[name] = value
    return found


def _live(table: Table) -> bool:
    value = table.text("code")
    if value not in (None, "kept", "live"):
        table.fail("code", f'must be "kept" or "live" (got {shown(value)})')
    return value == "live"


def settings(fixed: Mapping[str, Parameter]) -> dict[str, Any]:
    """Parameters as the settings of a kind: text, which the kind types; a list as a list."""
    import json

    return {
        name: json.loads(item.written) if item.written.startswith("[") and not item.quoted else item.written
        for name, item in fixed.items()
    }
