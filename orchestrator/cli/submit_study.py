"""`orch submit study.toml`: all experiments of a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from db.seals import RESUME
from orchestrator.cli.options import json_option, print_json, say_what_is_damaged, store_option, study_option
from orchestrator.cli.terms import TERMS, asked_for
from orchestrator.jobids import ranges

if TYPE_CHECKING:
    from db.store import Store
    from jobs.resources import Asked as Resources
    from orchestrator.studyfile.reading import Experiment
    from orchestrator.studyfile.until import Until
    from orchestrator.submitting.rules import Asked
    from orchestrator.submitting.study import Made, Part

_WHOLE = ("cpus", "jobs_per_gpu", "nodes", "ranks_per_node", "priority")
_NUMBERS = ("checkpoint_every", "retry_oom_mem")
_OPTIONS = {"exclude_nodes": "exclude"}
FIRST_COMMANDS = 3


def study_command(path: str) -> click.Command:
    """The command for this file."""
    holder = study_option(store_option(json_option(lambda: None)))
    return click.Command(
        path,
        params=[
            click.Option(["--backend"], help="auto, local or slurm, for experiments that do not say it."),
            click.Option(["--preset"], help="report or demo, for experiments of a kind."),
            click.Option(["--device"], default="auto", help="auto, cpu or cuda, for experiments that do not say it."),
            click.Option(["--data-dir"], type=click.Path(path_type=Path), help="Where the data sets' files lie."),
            click.Option(
                ["--until"], metavar="RULE", help="Enough seeds: 'lr=0.1 > lr=0.01 on acc', 'acc ±0.2 at lr=0.1'."
            ),
            click.Option(["--at-most"], type=int, metavar="N", help="With --until: the most seeds a side."),
            click.Option(["--anytime"], is_flag=True, help="With --until: holds however often it is looked."),
            click.Option(["--wait"], is_flag=True, help="Show progress until nothing can move without you."),
            click.Option(["--dry-run"], is_flag=True, help="Say what would be created, create nothing."),
            click.Option(["--no-start"], is_flag=True, help="Only enqueue: start no supervisor."),
            *reversed(holder.__click_params__),  # type: ignore[attr-defined]
        ],
        callback=click.pass_context(lambda ctx, **given: _submit(ctx, Path(path), given)),
        help="Make sure that all jobs of this study file exist.\n\n\b\nExample:\n  orch submit study.toml --dry-run",
    )


def _submit(context: click.Context, path: Path, given: dict[str, Any]) -> None:
    from db.place import locate
    from db.store import Store
    from orchestrator.cli.ended import say_what_stays
    from orchestrator.mirroring.asking import settings_of
    from orchestrator.studyfile.reading import read
    from orchestrator.submitting import layouts, misspellings, rules, study
    from orchestrator.submitting.request import Request

    file = read(path)
    root = locate(given["store_path"])
    settings = settings_of(root)
    base = Request(
        kind="command",
        seeds=[0],
        study=given["study"] or file.name,
        preset=given["preset"] or settings.preset,
        backend=given["backend"] or settings.backend,
        device=given["device"],
        data_dir=given["data_dir"],
    )
    parts = study.plan(file, base, _terms)
    dry = bool(given["dry_run"])
    if (rule := _rule(file.until, given, parts)) is not None:
        parts = rules.first_seeds(parts, rule)
    made = study.submit(root, settings, parts, dry_run=dry)
    store = Store(root) if not dry or (root / "orch.db").exists() else None
    said = None
    if rule is not None:
        said = _dry_rule(rule) if dry or store is None else _register(store, base.study, rule, made)
    _say(made, base.study, given["as_json"], dry, said)
    if store is not None and (told := layouts.keep(store, base.study, file.tables, dry_run=dry)):
        click.echo(told, err=given["as_json"])
    for slip in misspellings.found(store, base.study, file.tables, [(one.experiment, one.points) for one in parts]):
        click.echo(slip, err=True)
    if dry or store is None:
        return
    say_what_is_damaged(store)
    for one in (result for experiment in made for result in experiment.results):
        say_what_stays(store, one.ensured.existing, one.change, as_json=given["as_json"])
    _say_what_is_left_out(study.left_out(store, base.study, made), path, given["as_json"])
    if not given["no_start"]:
        from orchestrator.supervision.starting import ensure_supervisor

        ensure_supervisor(store)
    if given["wait"]:
        from orchestrator.views.waiting import wait

        ids = tuple(job for one in made for job in one.ensured.ids)
        context.exit(wait(store, base.study, quiet=given["as_json"], only=ids if rule is None else None))


def _rule(in_file: Until, given: dict[str, Any], parts: Sequence[Part]) -> Asked | None:
    """The rule of the command line, else the file's. Raises BadInput."""
    from orchestrator.submitting.rules import asked

    text = given["until"] if given["until"] is not None else in_file.text
    if text is None:
        for name in ("at_most", "anytime"):
            if given[name]:
                raise click.UsageError(f"--{name.replace('_', '-')} belongs to a rule: name that too, by --until")
        return None
    at_most = in_file.at_most if given["at_most"] is None else given["at_most"]
    return asked(text, at_most, given["anytime"] or bool(in_file.anytime), parts)


def _register(store: Store, name: str, rule: Asked, made: Sequence[Made]) -> dict[str, Any]:
    """Register it; what a person and a script are told."""
    from orchestrator.stopping.told import contract
    from orchestrator.submitting.rules import register

    new = register(store, name, rule, made)
    with store.read() as connection:
        found = contract(connection, name)
    assert found is not None
    first, *others = found["said"]
    return {**found, "new": new, "said": [f"{'registered the' if new else 'the'} {first}", *others]}


def _dry_rule(rule: Asked) -> dict[str, Any]:
    looks = ", ".join(map(str, rule.looks))
    return {"text": rule.wish.text, "looks": list(rule.looks), "said": [f"would look at n = {looks} seeds a side"]}


def _terms(experiment: Experiment) -> tuple[Resources, dict[str, Any]]:
    """An experiment's resource keys, read as the options of the same name are. Raises BadInput."""
    from jobs.errors import BadInput
    from orchestrator.studyfile.tables import shown

    given: dict[str, Any] = {str(option.name): None for option in TERMS}
    given["sbatch"] = tuple(experiment.sbatch)
    for key, value in experiment.terms.items():
        name = _OPTIONS.get(key, key)
        if key in _WHOLE:
            if not isinstance(value, int):
                raise BadInput(f"{key} must be a whole number (got {shown(value)})")
            given[name] = value
        elif key == "cold":
            given[name] = bool(value)
        elif key in _NUMBERS:
            try:
                given[name] = float(value)
            except ValueError:
                raise BadInput(f"{key} must be a number (got {shown(value)})") from None
        else:
            given[name] = str(value)
    if given["nodes"] is not None and given["nodes"] < 1:
        raise BadInput(f"nodes must be at least 1 (got {given['nodes']})")
    if given["resume"] not in (None, *RESUME):
        raise BadInput(f'resume must be "{RESUME[0]}" or "{RESUME[1]}" (got {shown(experiment.terms["resume"])})')
    if not -1000 <= (given["priority"] or 0) <= 1000:
        raise BadInput(f"priority must be from -1000 to 1000 (got {given['priority']})")
    asked, options = asked_for(given)
    return asked, {**options, "backend": given["backend"], "priority": given["priority"]}


def _say(made: Sequence[Made], study: str, as_json: bool, dry: bool, rule: dict[str, Any] | None) -> None:
    from orchestrator.submitting.newterms import words
    from orchestrator.views.words import plural

    created = [job for one in made for job in one.ensured.created]
    existing = list(dict.fromkeys(job for one in made for job in one.ensured.existing if job not in set(created)))
    if as_json:
        print_json({"created": created, "existing": existing, **({"rule": rule} if rule is not None else {})})
        return
    would = "would create" if dry else "created"
    for one in made:
        new, old = one.ensured.created, one.ensured.existing
        text = f"  {one.experiment.name}: {plural(len(one.ensured.ids), 'job')}, {len(new)} new"
        click.echo(text + (f" ({ranges(new)})" if new and not dry else "") + (f", {len(old)} there" if old else ""))
        for result in one.results:
            if result.changed.jobs:
                ids, how = ranges(result.changed.jobs), words(result.change)
                click.echo(f"    {'would change' if dry else 'changed'} how job {ids} is run: {how}")
        for remark in dict.fromkeys(remark for result in one.results for remark in result.remarks):
            click.echo(f"    {remark}")
        lines = [line for result in one.results for line in result.commands]
        for line in lines[:FIRST_COMMANDS] if dry else ():
            click.echo(f"    {line}")
        if dry and lines and len(one.ensured.ids) > FIRST_COMMANDS:
            click.echo(f"    … and {len(one.ensured.ids) - FIRST_COMMANDS} more")
    click.echo(f"{would} {plural(len(created), 'job')} in study '{study}'; {len(existing)} existed already")
    for line in rule["said"] if rule is not None else ():
        click.echo(f"  {line}")


def _say_what_is_left_out(found: dict[str, list[tuple[int, bool]]], path: Path, as_json: bool) -> None:
    """Nothing is cancelled because a line is gone: a person is told, and decides."""
    from orchestrator.views.words import plural

    for name, those in found.items():
        ids = [job for job, _ in those]
        text = f"{plural(len(ids), 'job')} of experiment '{name}' ({ranges(ids)}) are no longer in {path}"
        if open_ones := [job for job, finished in those if not finished]:
            text += f"; 'orch cancel {ranges(open_ones).replace(', ', ' ')}' ends what is not finished"
        click.echo(text, err=as_json)
