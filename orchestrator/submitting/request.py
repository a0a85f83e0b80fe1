"""What a person asks `orch submit` for, and whether it can be done here: its words, its device, its data."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.errors import BadInput
from jobs.kind import kind_named
from jobs.reported import Reported
from jobs.resources import Asked
from jobs.words import BackendName
from orchestrator import text
from orchestrator.settings import Settings
from orchestrator.studyfile.points import Point
from orchestrator.supervision.machines import choose


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person asks `orch submit` for."""

    kind: str
    """A job kind, or `table2`."""
    seeds: Sequence[int]
    study: str
    preset: str
    values: Mapping[str, Any] = field(default_factory=dict)
    """Config fields by name, text or typed."""
    backend: str = "auto"
    backend_named: bool = False
    """Whether the command itself names the backend."""
    device: str = "auto"
    asked: Asked = field(default_factory=Asked)
    data_dir: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    grid: Sequence[str] = ()
    zipped: Sequence[str] = ()
    """`--zip`: lists that go together."""
    points: Sequence[Point] | None = None
    """The points of a study file, instead of `grid` and `zipped`."""
    after: str = ""
    """How the arguments name the job before: {after.out}."""
    after_jobs: tuple[int, ...] = ()
    """`--after`: jobs that must have succeeded before all of these."""
    needs: Sequence[Mapping[int, tuple[int, ...]]] = ()
    """For each point: seed → jobs that must have succeeded before."""
    label: str = ""
    """The experiment of a study file."""
    cwd: Path | None = None
    """Where the program's files lie; None: here."""
    from_search: str | None = None
    from_evolve: str | None = None
    """`--from-evolve`: the front of these evolutions."""
    search_epochs: Sequence[int] | None = None
    repeats: int = 1
    match: str = "count+params"
    env: Mapping[str, str] = field(default_factory=dict)
    """`--env` of a command."""
    reported: Reported = field(default_factory=Reported)
    """Where a command's numbers are."""
    unused_ok: bool = False
    live: bool = False
    """`--code live`: the program runs from its folder as it is when a job starts."""
    priority: int | None = None
    """Higher ones are sent first; None: not named, so 0 for new jobs."""
    canary: bool | None = None
    """Whether one of the new jobs goes first; None: where they are many, of a program that never ran."""
    max_running: int | None = None
    """So many jobs of the study run at once; 0: no limit; None: as it was."""
    max_fails: int | None = None


def check_text(request: Request) -> None:
    """Names go into scripts, tables and terminals: they hold no control characters. Raises BadInput.

    A command's arguments may: `python -c` takes lines.
    """
    if request.device not in ("auto", "cpu", "cuda"):
        raise BadInput(f"unknown device '{request.device}': use auto, cpu or cuda")
    text.check("the study", request.study)
    text.check("the preset", request.preset)
    text.check("the sweep", list(request.grid))
    for name, value in request.values.items():
        if name != "argv":
            text.check(f"{name}:", value)


def values_of(settings: Settings, request: Request) -> dict[str, Any]:
    """What the command sets, and the data set of orch.toml where it names none."""
    values = dict(request.values)
    if settings.dataset and request.kind != "command":
        values.setdefault("dataset", settings.dataset)
    return values


def data_dir_of(settings: Settings, request: Request) -> Path | None:
    """The folder of data sets that the command or orch.toml names."""
    return request.data_dir or (Path(settings.data_dir) if settings.data_dir else None)


def ensure_data(settings: Settings, request: Request) -> None:
    """Fetch or find the data sets now: a job that finds none on its node has waited in vain."""
    from jobs.training import datasets

    values = values_of(settings, request)
    if request.kind == "table2":
        configs = [kind_named("search").configure({**values, "method": "A"}, request.preset)]
    elif request.from_search or request.from_evolve:
        return  # they have read the same data
    else:
        kind = kind_named(request.kind)
        configs = [kind.configure(values, request.preset)] if kind.needs_data else []
    for name in sorted({str(getattr(config, "dataset", "")) for config in configs} - {""}):
        datasets.ensure(name, data_dir_of(settings, request))


def check_device(request: Request) -> None:
    """`report` on a CPU would take weeks: it is refused unless it is asked for by name."""
    if request.preset != "report" or request.kind == "command" or request.device == "cpu":
        return
    if choose(request.backend) is BackendName.LOCAL and not _gpus_here():
        raise BadInput(
            "preset 'report' is meant for a GPU and there is none here: use --preset demo for real training in "
            "seconds, or --device cpu if you mean it"
        )


def _gpus_here() -> bool:
    from slurm.local import gpus

    try:
        return bool(gpus.visible(os.environ.get("CUDA_VISIBLE_DEVICES"), gpus.open_driver()))
    except gpus.DriverSilent:
        return False
