"""`orch submit KIND`: one command per job kind, made from its declaration."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import json_option, print_json, say_what_is_damaged, store_option, study_option
from orchestrator.cli.programs import CODE, DEBUG, EXAMPLES, PROGRAM, check_debug
from orchestrator.cli.reported import REPORTED, reported_of
from orchestrator.cli.terms import LIMITS, TERMS, asked_for
from orchestrator.jobids import parse, ranges

GRAPH = "table2"
OWN_OPTION = frozenset(
    {"preset", "argv", "folder", "parameters", "quoted", "name", "stop_signal", "search", "search_epoch", "repeat"}
)
"""Config fields that other options set."""


class KindGroup(click.Group):
    """The kinds, each loaded on use; `table2` is the graph of all of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from jobs.kind import kinds

        spawned = {name for kind in kinds().values() for name in kind.spawns}
        return [*(name for name in kinds() if name not in spawned), GRAPH]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from jobs.errors import BadInput
        from jobs.kind import kind_named

        if cmd_name == GRAPH:
            return _table2()
        if cmd_name.endswith(".toml"):
            from orchestrator.cli.submit_study import study_command

            return study_command(cmd_name)
        if "/" in cmd_name or cmd_name.lower().endswith((".toml", ".yaml", ".yml", ".json")):
            raise BadInput(
                f"'{cmd_name}' is no job kind, and a study file's name ends in .toml: 'orch init' writes one"
            )
        return _kind_command(kind_named(cmd_name).name)


@click.group(name="submit", cls=KindGroup)
def command() -> None:
    """Enqueue jobs of a KIND: one per seed. A repeat creates nothing; more seeds create only the new ones.

    \b
    Examples:
      orch submit evaluate --architecture vgg19 --seeds 10 --preset demo
      orch submit command --seeds 5 -- python train.py --seed {seed}
      orch submit study.toml --dry-run
      orch submit table2 --seeds 10 --dry-run
    """


COMMON: list[click.Option] = [
    click.Option(["--seeds"], type=int, help="Make sure that seeds 0…N−1 exist (default 1)."),
    click.Option(["--seed-list"], help="These seeds, like 0,3,7."),
    click.Option(["--preset"], help="report (Table 1) or demo (real training in seconds)."),
    click.Option(["--set", "sets"], multiple=True, metavar="KEY=VALUE", help="Any setting of the kind."),
    click.Option(["--device"], default="auto", show_default=True, help="auto, cpu or cuda."),
    click.Option(["--data-dir"], type=click.Path(path_type=Path), help="Where the data sets' files lie."),
    *(*TERMS, *LIMITS),
    click.Option(["--wait"], is_flag=True, help="Show progress until nothing can move without you; 1 if one failed."),
    click.Option(["--dry-run"], is_flag=True, help="Say what would be created, create nothing."),
    click.Option(["--no-start"], is_flag=True, help="Only enqueue: start no supervisor."),
    *DEBUG,
    *(click.Option([name], hidden=True) for name in ("--until", "--at-most")),
    click.Option(["--anytime"], is_flag=True, hidden=True),
]


def _shared() -> list[click.Parameter]:
    """Options of every kind, fresh objects each time."""
    holder = study_option(store_option(json_option(lambda: None)))
    return [*COMMON, *reversed(holder.__click_params__)]  # type: ignore[attr-defined]


def _kind_command(name: str) -> click.Command:
    import msgspec

    from jobs.kind import kind_named, origin

    kind = kind_named(name)
    fields = {field.name: field for field in msgspec.structs.fields(kind.config)}
    parameters: list[click.Parameter] = []
    reads_search = "search" in fields
    for field in fields.values():
        if field.name in OWN_OPTION or (reads_search and field.name in ("epochs", "method", "pretrained")):
            continue
        flag = "--" + field.name.replace("_", "-")
        if field.type is bool:
            parameters.append(click.Option([flag, f"set_{field.name}"], is_flag=True, default=None))
        else:
            default = "" if field.default in (msgspec.NODEFAULT, "") else f"Default {field.default}."
            parameters.append(click.Option([flag, f"set_{field.name}"], metavar="VALUE", help=default))
    if reads_search:
        parameters += [
            click.Option(["--from-search"], metavar="all|JOB[,JOB]", help="One job per search replicate and read-out."),
            click.Option(["--epochs", "search_epochs"], help="With --from-search: its read-outs, like 50,100,150."),
        ]
    if name == "evaluate":
        parameters.append(
            click.Option(
                ["--from-evolve"],
                metavar="all|JOB[,JOB]",
                help="Each architecture on the front of an evolution (or of a random search: --generations 1).",
            )
        )
    if "repeat" in fields:
        parameters.append(click.Option(["--repeats"], type=int, default=1, help="Trainings per architecture."))
    if name == "command":
        parameters += [
            *PROGRAM,
            *REPORTED,
            click.Argument(["argv"], nargs=-1, required=True, type=click.UNPROCESSED),
        ]
    elif origin(name) is not None:
        parameters.append(CODE)
    example = {
        "command": "\n  ".join(EXAMPLES),
        "evaluate": "orch submit evaluate --architecture vgg19 --seeds 10 --preset demo",
        "search": "orch submit search --method A --seeds 10 --preset demo",
    }.get(name, f"orch submit {name} --seeds 10" + (" --preset demo" if kind.presets.get("demo") else ""))
    about = inspect.cleandoc(kind.config.__doc__ or "")
    help_text = f"{kind.help}\n\n{about}\n\n\b\nExample:\n  {example}"
    return click.Command(
        name,
        params=[*parameters, *_shared()],
        callback=click.pass_context(lambda ctx, **given: _submit(ctx, name, given)),
        help=help_text,
        short_help=kind.help,
    )


def _table2() -> click.Command:
    text = "Everything that Table 2 needs: searches, evaluations, matched random nets and VGG19."
    return click.Command(
        GRAPH,
        params=[
            click.Option(["--match"], default="count+params", show_default=True, help="count, count+params, indegree."),
            click.Option(["--dataset", "set_dataset"], metavar="VALUE", help="cifar10, fashion-mnist or digits."),
            *_shared(),
        ],
        callback=click.pass_context(lambda ctx, **given: _submit(ctx, GRAPH, given)),
        help=f"{text}\n\n\b\nExample:\n  orch submit table2 --seeds 10 --dry-run",
        short_help=text,
    )


def _submit(context: click.Context, kind: str, given: dict[str, Any]) -> None:
    from db.place import locate
    from db.store import Store
    from jobs.errors import BadInput
    from jobs.odd import to_text
    from orchestrator.cli.ended import say_what_stays
    from orchestrator.mirroring.asking import settings_of
    from orchestrator.submitting import enqueueing
    from orchestrator.submitting.graph import epochs_of
    from orchestrator.submitting.planning import assignments, seeds_of
    from orchestrator.submitting.request import Request

    check_debug(given)
    if given["until"] or given["at_most"] or given["anytime"]:
        raise BadInput(
            "--until is a rule of a study file, which names the points that it compares: put this and its values into "
            "one ('orch init' shows how), then 'orch submit study.toml --until …'"
        )
    sets = assignments(given["sets"], "--set")
    values: dict[str, Any] = {
        key.removeprefix("set_"): value for key, value in given.items() if key.startswith("set_") and value is not None
    }
    twice = [key for key in sets if key in values]
    if twice:
        raise click.UsageError(f"--{twice[0].replace('_', '-')} and --set {twice[0]} set the same: give one of them")
    values = _listed(kind, {**values, **sets})
    if kind == "command":
        if "argv" in values:
            raise click.UsageError("the command stands after --, not in --set argv")
        values["argv"] = [to_text(word) for word in given["argv"]]
    asked, options = asked_for(given)
    after = parse([given["after"]]) if given.get("after") else []
    seeds = seeds_of(given["seeds"], given["seed_list"])
    dry = bool(given["dry_run"])
    root = locate(given["store_path"])
    settings = settings_of(root)
    request = Request(
        kind=kind,
        seeds=seeds,
        study=given["study"] or settings.study,
        preset=given["preset"] or settings.preset,
        values=values,
        backend=given["backend"] or settings.backend,
        backend_named=bool(given["backend"]),
        device=given["device"],
        asked=asked,
        data_dir=given["data_dir"],
        options=options,
        grid=given.get("grid", ()),
        zipped=given.get("zipped", ()),
        after="after" if len(after) == 1 else "",
        after_jobs=tuple(after),
        from_search=given.get("from_search"),
        from_evolve=given.get("from_evolve"),
        search_epochs=epochs_of(given.get("search_epochs")),
        repeats=given.get("repeats", 1),
        match=given.get("match", "count+params"),
        env=assignments(given.get("env", ()), "--env"),
        reported=reported_of(given),
        unused_ok=given.get("unused_ok", False),
        live=given.get("code") == "live",
        priority=given["priority"],
        **{name: given[name] for name in ("canary", "max_running", "max_fails") if name in given},
    )
    if request.from_evolve and request.from_search:
        raise click.UsageError("--from-search and --from-evolve say two origins: give one of them")
    if request.search_epochs and not request.from_search:
        raise click.UsageError("--epochs names read-outs of --from-search; the training's length is --set epochs=N")
    if given["debug"]:
        from orchestrator.submitting import debugging

        context.exit(debugging.debug(root, settings, request, debugger=given["pdb"]))
    done = enqueueing.submit(root, settings, request, dry_run=dry)
    _say(done, request.study, request.preset, given, dry)
    if dry:
        return
    store = Store(root)
    say_what_is_damaged(store)
    say_what_stays(store, done.ensured.existing, done.change, as_json=given["as_json"])
    if not given["no_start"]:
        from orchestrator.supervision.starting import ensure_supervisor

        ensure_supervisor(store)
    if given["wait"]:
        from orchestrator.views.waiting import wait

        context.exit(wait(store, request.study, quiet=given["as_json"], only=done.ensured.ids))


def _listed(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """`readouts=2,4,6`: a comma list where the kind's field is a tuple."""
    import typing

    from jobs.kind import kind_named

    hints = typing.get_type_hints(kind_named("search" if kind == GRAPH else kind).config)
    tuples = {name for name, hint in hints.items() if typing.get_origin(hint) is tuple}
    return {
        key: [word.strip() for word in value.split(",")] if key in tuples and isinstance(value, str) else value
        for key, value in values.items()
    }


def _say(done: Any, study: str, preset: str, given: dict[str, Any], dry: bool) -> None:
    from orchestrator.views.words import listed, plural

    ensured = done.ensured
    if given["as_json"]:
        changed = {"changed": list(done.changed.jobs)} if done.changed.jobs else {}
        print_json({"created": list(ensured.created), "existing": list(ensured.existing), **changed})
        return
    for line in done.planned:
        click.echo(f"  {line.what}: {line.count} jobs ({line.new} new), {line.epochs} epochs of training")
    if done.planned and preset == "report":
        from orchestrator.submitting.estimating import gpu_hours

        click.echo(f"  about {gpu_hours(done.planned):.1f} GPU hours in all (an estimate: docs/benchmarks.md)")
    for line in done.costs:
        click.echo(f"  {line}")
    would = "would create" if dry else "created"
    if done.unused:
        click.echo(f"note: without effect, since the jobs run on this host: {listed(done.unused)}", err=True)
    text = f"{would} {plural(len(ensured.created), 'job')} in study '{study}' on {done.backend}"
    if ensured.created:
        text += f" ({ranges(ensured.created)})"
    if ensured.existing:
        text += f"; {len(ensured.existing)} existed already"
    click.echo(text)
    if done.changed.jobs:
        from orchestrator.submitting.newterms import words

        ids = ranges(done.changed.jobs)
        click.echo(f"  {'would change' if dry else 'changed'} how job {ids} is run: {words(done.change)}")
        if where := done.changed.where():
            click.echo(f"  {where}")
    for remark in done.remarks:
        click.echo(f"  {remark}")
    if dry and done.commands:
        for line in done.commands:
            click.echo(f"  {line}")
        if done.more_commands:
            click.echo(f"  … and {done.more_commands} more")
