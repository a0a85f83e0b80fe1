"""`orch show`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.errors import BadInput
from orchestrator.cli.jobs import is_one, shown, shown_option
from orchestrator.cli.options import archive_option, json_option, open_study, print_json, store_option

if TYPE_CHECKING:
    from db.details import Detail
    from db.store import Store


@click.command()
@shown_option
@click.option("--epoch", type=click.IntRange(min=0), help="Of a search: read the architecture out after this epoch.")
@click.option("--tau", type=float, help="Of a search: read out at this threshold (default: the method's).")
@click.option("--story", is_flag=True, help="What was decided and what happened, in order of time.")
@json_option
@archive_option
@store_option
def command(
    jobs: tuple[str, ...],
    filters: tuple[str, ...],
    study: str | None,
    epoch: int | None,
    tau: float | None,
    story: bool,
    as_json: bool,
    archive: Path | None,
    store_path: Path | None,
) -> None:
    """Jobs in full: config, attempts, executions, result. Times are UTC.

    Of a search job, --epoch and --tau read an architecture out of its history of α, without a new search.

    \b
    Example:
      orch show 3
      orch show 3-7
      orch show --filter lr=0.1
      orch show 3 --story
      orch show 3 --epoch 100 --tau 0.6
    """
    from db import details

    store, settings, _ = open_study(store_path, study, archive)
    if story and (epoch is not None or tau is not None):
        raise BadInput("--story tells what happened to a job, --epoch and --tau read a search out: give one of them")
    ids = shown(store, settings, jobs, filters, study)
    with store.read() as connection:
        found = [details.get(connection, job) for job in ids]  # all of them are known before any is shown
    told = []
    for place, detail in enumerate(found):
        if place and not as_json:
            click.echo()
        if story:
            told.append(_show_story(store, detail.job.id, as_json))
        elif epoch is not None or tau is not None:
            told.append(_show_readout(store, detail, epoch, tau, as_json))
        else:
            told.append(_show(store, detail, as_json, _place(store, detail, archive)))
    if as_json:
        print_json(told[0] if is_one(jobs, filters) else told)


def _place(store: Store, detail: Detail, archive: Path | None) -> str:
    """Where a job's folder is."""
    folder = store.layout.job(detail.job.id)
    return str(folder) if archive is None else f"{folder.relative_to(store.root)} in {archive}"


def _show(store: Store, detail: Detail, as_json: bool, folder: str) -> Any:
    """Print it, or return its document."""
    from orchestrator.views import job as view
    from orchestrator.views import sent

    last = sent.as_sent(store.layout, detail)
    execution = _execution(store, detail) if not detail.job.imported else None
    from orchestrator.views import program

    if as_json:
        from orchestrator.tables.keys import defaults

        resolved = {**defaults(detail.job.kind, detail.job.preset), **detail.job.config}
        told = {
            **view.as_json(detail, folder),
            "resolved": resolved,
            "sent": sent.as_json(last),
            "usage": _usages(store, detail),
        }
        if detail.job.kind == "command" and not detail.job.imported:
            told["program"] = program.as_json(detail.job, execution)
        return told
    from jobs.files import now, read_json
    from jobs.usage import FILE, UsageFile
    from orchestrator.views import usage
    from orchestrator.views.collect import progress_of
    from orchestrator.views.tables import console

    out = console()
    at = now()
    more = {
        "Table 1": _table1(detail),
        "sent": sent.text(detail, last),
        **program.of_kind(detail.job, execution, store.layout.code),
    }
    if detail.job.kind == "command" and not detail.job.imported:
        more |= program.facts(detail.job, execution, store.layout.code)
    more |= _seal(store, detail)
    if execution is not None:
        runs, cpus = detail.job.state == "running", detail.job.launching.resources.cpus
        more |= usage.facts(read_json(execution / FILE, UsageFile), cpus, at, runs=runs)
    out.print(view.job(detail, folder, progress_of(store, detail, at), at, out.width, more))
    return None


def _table1(detail: Detail) -> str:
    """The settings of the report's Table 1 as this job has them, defaults resolved; empty where it trains nothing."""
    from db.rows import ResultRow
    from orchestrator.report.sections import table1

    job = detail.job
    if job.imported:
        return ""
    row = ResultRow(
        job=job.id,
        study=job.study,
        kind=job.kind,
        preset=job.preset,
        dataset=job.dataset or "",
        seed=job.seed,
        state=job.state,
        config=job.config,
    )
    return "; ".join(f"{line.name}: {line.value}" for line in table1([row]))


def _usages(store: Store, detail: Detail) -> list[dict[str, Any]]:
    """What each execution used that tells of it."""
    from jobs.files import read_json
    from jobs.usage import FILE, UsageFile
    from orchestrator.views import usage

    found = []
    for one in detail.executions:
        file = read_json(store.layout.attempt(detail.job.id, one.attempt) / one.name / FILE, UsageFile)
        found += [usage.as_json(file, f"{one.attempt}/{one.name}")] if file is not None else []
    return found


def _seal(store: Store, detail: Detail) -> dict[str, str]:
    """What is known of resuming, where anything was ever rehearsed."""
    from db import sealing
    from orchestrator import resuming

    if detail.job.imported:
        return {}
    with store.read() as connection:
        if not sealing.any_seals(connection):
            return {}
        found = sealing.known_of(connection, detail.job)
    return {"resume": resuming.of_job(found, detail.job.launching.options.get("resume"))}


def _execution(store: Store, detail: Detail) -> Path | None:
    from db import results

    with store.read() as connection:
        place = results.execution_path(connection, detail.job.id)
    if place is None and detail.executions:  # none counts: the newest one tells how it was started
        place = detail.executions[-1].attempt, detail.executions[-1].name
    return store.layout.attempt(detail.job.id, place[0]) / place[1] if place is not None else None


def _show_story(store: Store, job: int, as_json: bool) -> Any:
    from db import story
    from orchestrator.views import story as view

    with store.read() as connection:
        told = story.of_job(connection, store.layout.journal, job)
    if as_json:
        return view.as_json(job, told)
    click.echo("\n".join(view.lines(job, told)))
    return None


def _show_readout(store: Store, detail: Detail, epoch: int | None, tau: float | None, as_json: bool) -> Any:
    found = _readout(store, detail, epoch, tau)
    if as_json:
        return found
    click.echo(
        f"job {found['job']} (method {found['method']}) after epoch {found['epoch']} at tau {found['tau']:g}: "
        f"{found['shortcuts']} shortcuts, {found['params'] / 1e6:.2f} M parameters"
    )
    click.echo(f"architecture {found['architecture']}: {found['text']}")
    return None


def _readout(store: Store, detail: Detail, epoch: int | None, tau: float | None) -> dict[str, Any]:
    """From the α of the execution that counts. Raises BadInput."""
    from db import results
    from jobs.shortcuts.discretise import TAU, discretise, read_alpha
    from orchestrator.tables.keys import defaults
    from orchestrator.views.job import readout

    job = detail.job
    if job.kind != "search":
        raise BadInput(f"--epoch and --tau are for a search, and job {job.id} is of the kind {job.kind}")
    with store.read() as connection:
        place = results.execution_path(connection, job.id)
    lines = read_alpha(store.layout.attempt(job.id, place[0]) / place[1]) if place else []
    if not lines:
        raise BadInput(f"job {job.id} has no history of α yet: it is {job.state}, see 'orch explain {job.id}'")
    by_epoch = {line.epoch: line for line in lines}
    chosen = lines[-1].epoch if epoch is None else epoch
    if chosen not in by_epoch:
        raise BadInput(
            f"job {job.id} has no α after epoch {chosen}: it has epochs {lines[0].epoch} to {lines[-1].epoch}"
        )
    config = {**defaults(job.kind, job.preset), **job.config}
    method = config["method"]
    threshold = tau or TAU[method]
    architecture = discretise(by_epoch[chosen].alpha, method, threshold)
    return readout(job.id, chosen, threshold, method, architecture, float(config.get("width", 1.0)))
