"""Submitting: check everything first, make sure of the data, then create the jobs in one transaction."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from db.jobs import Ensured
from db.store import Store
from jobs import fingerprint
from jobs.command import fill
from jobs.errors import BadInput, StoreError
from jobs.files import now
from jobs.kind import Asked, kind_named
from jobs.layout import Layout
from jobs.words import BackendName
from orchestrator import graph
from orchestrator.graph import Planned
from orchestrator.machines import choose
from orchestrator.planning import Launch, Order, grid
from orchestrator.settings import Settings


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
    device: str = "auto"
    asked: Asked = field(default_factory=Asked)
    data_dir: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    grid: Sequence[str] = ()
    from_search: str | None = None
    search_epochs: Sequence[int] | None = None
    repeats: int = 1
    match: str = "count+params"


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What a submit made sure of."""

    ensured: Ensured
    planned: list[Planned]
    backend: BackendName


class DryRun(Exception):
    """Raised inside the transaction of a dry run, so that nothing of it stays."""

    def __init__(self, submitted: Submitted) -> None:
        super().__init__()
        self.submitted = submitted


def submit(root: Path, settings: Settings, request: Request, *, dry_run: bool = False) -> Submitted:
    """Make sure that the jobs exist in the store in `root`, which is made where it is not there.

    Raises BadInput, DataError, StoreError; nothing is half-written: a first submit that is refused leaves no store.
    """
    if request.device not in ("auto", "cpu", "cuda"):
        raise BadInput(f"unknown device '{request.device}': use auto, cpu or cuda")
    if not Layout(root).database.exists():
        rehearsal = _rehearse(settings, request if dry_run else replace(request, seeds=request.seeds[:1]))
        if dry_run:
            return rehearsal
    if not dry_run:  # a dry run tells the graph of a GPU study on a host without one too
        _check_device(request)
        _ensure_data(settings, request)
    return _submit(Store(root, create=True), settings, request, dry_run=dry_run)


def _rehearse(settings: Settings, request: Request) -> Submitted:
    """What a submit to an empty store would do."""
    try:
        with tempfile.TemporaryDirectory(prefix="orch-") as folder:
            return _submit(Store(Path(folder) / ".orch", create=True), settings, request, dry_run=True)
    except OSError as error:
        text = f"temporary files cannot be written ({error.strerror}): name a folder for them with TMPDIR"
        raise StoreError(text) from None


def _submit(store: Store, settings: Settings, request: Request, *, dry_run: bool) -> Submitted:
    backend = choose(request.backend)
    values, data_dir = _values(settings, request), _data_dir(settings, request)
    orders = [] if request.kind == "table2" or request.from_search else _orders(request, values)
    cwd = Path.cwd()
    launch = Launch(
        backend=backend.value,
        device=request.device,
        asked=request.asked,
        cwd=str(cwd),
        data_dir=str(data_dir.absolute()) if data_dir else None,
        fingerprint=fingerprint.take(cwd),
        options=_options(request, settings, backend),
    )
    try:
        with store.write() as writer:
            planned: list[Planned] = []
            at = now()
            if request.kind == "table2":
                ensured, planned = graph.table2(
                    writer, request.study, request.seeds, values, request.preset, request.match, launch, at
                )
            else:
                if request.from_search:
                    found = graph.searches(writer.connection, request.study, request.from_search, request.preset)
                    epochs, repeats = request.search_epochs, request.repeats
                    orders = graph.from_searches(request.kind, found, epochs, values, request.preset, repeats)
                ensured = graph.ensure(writer, request.study, orders, launch, at)
            result = Submitted(ensured=ensured, planned=planned, backend=backend)
            if dry_run:
                raise DryRun(result)
    except DryRun as done:
        return done.submitted
    return result


def _orders(request: Request, values: Mapping[str, Any]) -> list[Order]:
    kind = kind_named(request.kind)
    if request.repeats < 1:
        raise BadInput(f"--repeats must be at least 1 (got {request.repeats})")
    if request.kind != "command":
        if request.grid:
            raise BadInput("--grid is for 'orch submit command': other kinds take --set")
        repeats = range(request.repeats) if request.repeats > 1 else [None]
        return [
            Order(
                kind=kind,
                config=kind.configure(values if repeat is None else {**values, "repeat": repeat}, request.preset),
                seeds=request.seeds,
            )
            for repeat in repeats
        ]
    orders = []
    for point in grid(request.grid):
        config = kind.configure({**values, "parameters": point}, request.preset)
        argv = values["argv"]
        fill(tuple(argv), {"seed": 0, "job": 0, **point})  # a name that nothing defines is refused here, not on a node
        orders.append(Order(kind=kind, config=config, seeds=request.seeds))
    return orders


def _options(request: Request, settings: Settings, backend: BackendName) -> dict[str, Any]:
    """How to run it: the settings' sbatch parameters under the command's own."""
    options = dict(request.options)
    if backend is BackendName.SLURM:
        own = settings.slurm
        named = {
            name: getattr(own, name)
            for name in ("partition", "account", "qos", "constraint", "exclude", "nodes")
            if getattr(own, name) is not None
        }
        merged = {**named, **own.sbatch, **dict(options.pop("slurm", {}))}
        if merged:
            options["slurm"] = merged
        if own.setup:
            options["setup"] = list(own.setup)
    else:
        options.pop("slurm", None)
    return options


def _values(settings: Settings, request: Request) -> dict[str, Any]:
    values = dict(request.values)
    if settings.dataset and request.kind != "command":
        values.setdefault("dataset", settings.dataset)
    return values


def _data_dir(settings: Settings, request: Request) -> Path | None:
    return request.data_dir or (Path(settings.data_dir) if settings.data_dir else None)


def _ensure_data(settings: Settings, request: Request) -> None:
    """Fetch or find the data sets now: a job that finds none on its node has waited in vain."""
    from jobs import datasets

    values = _values(settings, request)
    if request.kind == "table2":
        configs = [kind_named("search").configure({**values, "method": "A"}, request.preset)]
    elif request.from_search:
        return  # its searches have read the same data
    else:
        configs = [order.config for order in _orders(request, values) if order.kind.needs_data]
    for name in sorted({str(getattr(config, "dataset", "")) for config in configs} - {""}):
        datasets.ensure(name, _data_dir(settings, request))


def _check_device(request: Request) -> None:
    """`report` on a CPU would take weeks: it is refused unless it is asked for by name."""
    if request.preset != "report" or request.kind == "command" or request.device == "cpu":
        return
    if choose(request.backend) is BackendName.LOCAL and not _gpus_here():
        raise BadInput(
            "preset 'report' is meant for a GPU and there is none here: use --preset demo for real training in "
            "seconds, or --device cpu if you mean it"
        )


def _gpus_here() -> bool:
    import os

    from slurm import gpus

    try:
        return bool(gpus.visible(os.environ.get("CUDA_VISIBLE_DEVICES"), gpus.open_driver()))
    except gpus.DriverSilent:
        return False
