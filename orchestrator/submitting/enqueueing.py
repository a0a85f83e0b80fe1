"""Submitting: check everything first, make sure of the data, then create the jobs in one transaction."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from db import jobs
from db.admission import admit
from db.changes import Change
from db.creation import Ensured
from db.entries import Set
from db.jobs import StoredJob
from db.store import Store
from db.writer import Writer
from jobs.errors import BadInput, StoreError
from jobs.files import now
from jobs.kind import kind_named
from jobs.layout import Layout
from jobs.node import fingerprint
from jobs.odd import to_text
from jobs.resources import Asked
from jobs.words import FINAL, BackendName
from orchestrator import terms, text
from orchestrator.code import mentions, plugins, scripts
from orchestrator.code.snapshots import holding
from orchestrator.settings import Settings, Slurm
from orchestrator.studyfile.points import check_jobs
from orchestrator.submitting import canaries, evolutions, graph, known, program, ranks, repeated, reporting, sealed
from orchestrator.submitting.graph import Planned
from orchestrator.submitting.newterms import Given, give, keep_theirs, named_label, named_terms
from orchestrator.submitting.planning import Launch, Order, check_place
from orchestrator.submitting.points import points_of
from orchestrator.submitting.program import Place
from orchestrator.submitting.request import Request, check_device, check_text, data_dir_of, ensure_data, values_of
from orchestrator.supervision.machines import choose, enter_lab

FIRST_COMMANDS = 5


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What a submit made sure of."""

    ensured: Ensured
    planned: list[Planned]
    backend: BackendName
    unused: tuple[str, ...] = ()
    """sbatch parameters of the command that mean nothing on its backend."""
    remarks: tuple[str, ...] = ()
    """What a person should know, a sentence each."""
    costs: tuple[str, ...] = ()
    """What an evolution will cost, a sentence each."""
    commands: tuple[str, ...] = ()  # of a dry run of programs: the first command lines, as they will run
    more_commands: int = 0
    first: StoredJob | None = None
    """Of a dry run: the first job that it would make, else the first one that it names."""
    changed: Given = field(default_factory=Given)
    """Unfinished jobs that existed and are run under other terms from now on."""
    change: Change = field(default_factory=Change)
    refusal: str = ""
    """Of a dry run: why a submit would be refused; empty: it would not."""


class DryRun(Exception):
    """Raised inside the transaction of a dry run, so that nothing of it stays."""

    def __init__(self, submitted: Submitted) -> None:
        super().__init__()
        self.submitted = submitted


def submit(root: Path, settings: Settings, request: Request, *, dry_run: bool = False) -> Submitted:
    """Make sure that the jobs exist in the store in `root`, which is made where it is not there.

    Raises BadInput, DataError, StoreError; nothing is half-written: a first submit that is refused leaves no store.
    """
    check_text(request)
    enter_lab(root, settings)
    if request.backend == BackendName.SLURM or choose(request.backend) is BackendName.SLURM:
        check_place(root)
    admit(root, looking=False)  # before anything is asked of it: a store that is not trusted is not read either
    place = Place(cwd=request.cwd or Path.cwd(), project=root.parent.resolve())
    if not Layout(root).database.exists():
        if request.kind == program.KIND and not request.live and os.access(root.parent, os.W_OK | os.X_OK):
            program.check(place, settings, root)  # where no store can be made, that is what must be said
        rehearsal = _rehearse(settings, request if dry_run else replace(request, seeds=request.seeds[:1]), place)
        if dry_run:
            return rehearsal
        if rehearsal.refusal:
            raise BadInput(rehearsal.refusal)
    if not dry_run:  # a dry run tells the graph of a GPU study on a host without one too
        check_device(request)
        ensure_data(settings, request)
    store = Store(root, create=True, group=settings.store.readable == "group")
    return _submit(store, settings, request, place, dry_run=dry_run)


def _rehearse(settings: Settings, request: Request, place: Place) -> Submitted:
    """What a submit to an empty store would do."""
    try:
        with tempfile.TemporaryDirectory(prefix="orch-") as folder:
            return _submit(Store(Path(folder) / ".orch", create=True), settings, request, place, dry_run=True)
    except OSError as error:
        raise StoreError(f"no temporary files can be written ({error.strerror}): set another TMPDIR") from None


def _submit(store: Store, settings: Settings, request: Request, place: Place, *, dry_run: bool) -> Submitted:
    backend = choose(request.backend)
    options, asked, unused = _options(request, settings, backend)
    values, data_dir = values_of(settings, request), data_dir_of(settings, request)
    derived = request.kind == "table2" or request.from_search or request.from_evolve
    orders = [] if derived else _orders(request, values, place)
    kept_apart = request.kind == program.KIND and not request.live  # what git says is told with its code
    launch = Launch(
        backend=backend.value,
        device=request.device,
        asked=asked,
        cwd=to_text(str(place.cwd)),
        data_dir=to_text(str(data_dir.absolute())) if data_dir else None,
        fingerprint=fingerprint.of_orch() if kept_apart else fingerprint.take(place.cwd),
        options=options,
    )
    if request.kind != program.KIND:
        return replace(
            _of_kind(store, settings, request, values, orders, launch, place, dry_run=dry_run), unused=unused
        )
    given = program.given_environment(request.env)
    _, label, more = program.without_labels(values)
    if request.after:
        more["after"] = request.after
    launch = replace(launch, label=label or request.label, options={**launch.options, **more})
    argv = tuple(values["argv"])
    notes = program.remarks(argv, request.seeds, request.after)
    amount = sum(len(order.seeds) for order in orders)
    notes += mentions.no_program(argv, os.environ, place.cwd)
    notes += reporting.remarks(request.reported, amount, live=request.live)
    setup = backend.value == BackendName.SLURM and bool(settings.slurm.setup)
    lost = scripts.missing(argv, place.cwd, kept=not request.live, setup=setup)
    certain, told = (lost.certain, [lost.sentence]) if lost is not None else (False, [])
    notes += [] if certain else told
    with store.read() as connection:
        for number in request.after_jobs:
            jobs.get(connection, number)
        same = program.of_version_1(connection, request.study, place)
    if dry_run or certain:
        done = _enqueue(store, request, values, orders, launch, same, dry_run=True)
        if certain and done.ensured.created:
            done = replace(done, refusal=told[0])
            notes.append(f"{told[0]} (a submit is refused until it is there)")
    if certain and done.refusal and not dry_run:
        raise BadInput(done.refusal)
    if dry_run:
        lines = program.command_lines(orders, done.ensured, FIRST_COMMANDS, request.after)
        rest = len(done.ensured.ids) - len(lines)
        return replace(done, unused=unused, remarks=(*done.remarks, *notes), commands=tuple(lines), more_commands=rest)
    code = store.layout.code
    with holding(code):
        kept, surroundings, odd = program.keep(code, store.root, argv, place, settings, given, live=request.live)
        launch = replace(launch, code=kept, surroundings=surroundings)
        done = _enqueue(store, request, values, orders, launch, same, dry_run=False)
    return replace(
        done,
        unused=unused,
        remarks=(*done.remarks, *notes, *odd, *repeated.about_existing(store, done.ensured, kept, same)),
    )


def _of_kind(
    store: Store,
    settings: Settings,
    request: Request,
    values: Mapping[str, Any],
    orders: list[Order],
    launch: Launch,
    place: Place,
    *,
    dry_run: bool,
) -> Submitted:
    """Jobs of a kind; with its code, where it is one of another package."""
    if dry_run or (found := None if request.kind == "table2" else plugins.source(request.kind)) is None:
        return _enqueue(store, request, values, orders, launch, dry_run=dry_run)
    code, limits = store.layout.code, program.limits(settings)
    with holding(code):
        kept, odd = plugins.keep(code, store.root, found, place.project, limits, os.environ, live=request.live)
        done = _enqueue(store, request, values, orders, replace(launch, code=kept), dry_run=False)
    return replace(done, remarks=(*odd, *done.remarks, *repeated.about_existing(store, done.ensured, kept, {})))


def _enqueue(
    store: Store,
    request: Request,
    values: Mapping[str, Any],
    orders: list[Order],
    launch: Launch,
    same: Mapping[str, Sequence[StoredJob]] | None = None,
    *,
    dry_run: bool,
) -> Submitted:
    change = named_terms(request, launch)
    looked = known.look_at_study(store, request.study) if change != Change() else {}
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
                if request.from_evolve:
                    ensured = evolutions.evaluations(store, writer, request, values, launch, at)
                else:
                    ensured = graph.ensure(writer, request.study, orders, launch, at, same)
            remarks = canaries.restrain(writer, request, ensured, at, dry_run=dry_run)
            remarks += sealed.admit(writer.connection, launch, ensured.created, dry_run=dry_run)
            remarks += keep_theirs(change, named_label(request), jobs.get_many(writer.connection, ensured.existing))
            if request.priority and ensured.created:
                change_of = Change(priority=request.priority)
                writer.decide([Set(jobs=ensured.created, change=change_of, in_place=True, at=at)])
            result = Submitted(
                ensured=ensured,
                planned=planned,
                backend=BackendName(launch.backend),
                changed=_change_existing(writer, ensured, change, at, looked),
                change=change,
                remarks=tuple(remarks),
                costs=evolutions.costs(orders),
            )
            if dry_run:
                raise DryRun(replace(result, first=jobs.get(writer.connection, (ensured.created or ensured.ids)[0])))
    except DryRun as done:
        return done.submitted
    return result


def _change_existing(
    writer: Writer, ensured: Ensured, change: Change, at: datetime, looked: Mapping[int, known.Written]
) -> Given:
    """A repeated submit changes how those are run that are not finished: only what it names."""
    if change == Change() or not ensured.existing:
        return Given()
    existing = jobs.get_many(writer.connection, ensured.existing)
    return give(writer, [job for job in existing if job.state not in FINAL and not job.imported], change, at, looked)


def _orders(request: Request, values: Mapping[str, Any], place: Place) -> list[Order]:
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
    program.without_labels(values)
    argv = tuple(values["argv"])
    found = request.points
    if found is None:
        found = points_of(argv, request.grid, request.zipped, unused_ok=request.unused_ok)
    check_jobs(len(found), len(request.seeds))
    reporting.check(request.reported, {name for point in found for name in point.values})
    made = program.orders(argv, found, request.seeds, place, request.after, request.needs)
    return [replace(order, needs=request.after_jobs) for order in made] if request.after_jobs else made


def _options(
    request: Request, settings: Settings, backend: BackendName
) -> tuple[dict[str, Any], Asked, tuple[str, ...]]:
    """How to run it: the command's own words. With orch.toml they must make sense already now, though that is read
    when a job is sent. Raises BadInput on any backend."""
    options = {**request.options, **request.reported.options()}
    own = options.pop("slurm", {})
    defaults = settings.slurm if backend is BackendName.SLURM else Slurm()
    more = terms.site_parameters(own, defaults)
    merged, in_all = terms.settled(own, defaults, request.asked, more)
    if options.get("retry_oom_mem") and {"mem", "mem_per_cpu", "mem_per_gpu"} & merged.keys():
        raise BadInput("--retry-oom-mem raises what --mem asks for: give --mem instead of another sbatch parameter")
    text.check("the sbatch option", merged)
    ranks.check_request(request, {**options, "slurm": merged}, backend, in_all.gpus)
    mine, asked = terms.settled(own, Slurm(), request.asked, more)
    if backend is BackendName.SLURM:
        return {**options, **({"slurm": mine} if mine else {})}, asked, ()
    return options, asked, (*terms.unused_here(merged), *sealed.taken_out(options))
