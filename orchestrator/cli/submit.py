"""`orch submit KIND`: one command per job kind, made from its declaration."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import json_option, print_json, store_option, study_option

GRAPH = "table2"
HIDDEN = frozenset({"evolve-step", "individual"})
"""Kinds that other jobs spawn; nobody submits them by hand."""
OWN_OPTION = frozenset({"preset", "argv", "parameters", "search", "search_epoch", "repeat"})
"""Config fields that other options set."""


class KindGroup(click.Group):
    """The kinds, each loaded on use; `table2` is the graph of all of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from jobs.kind import kinds

        return [*(name for name in kinds() if name not in HIDDEN), GRAPH]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from jobs.kind import kind_named

        if cmd_name == GRAPH:
            return _table2()
        return _kind_command(kind_named(cmd_name).name)


@click.group(name="submit", cls=KindGroup)
def command() -> None:
    """Enqueue jobs of a KIND: one per seed. A repeat creates nothing; more seeds create only the new ones.

    \b
    Examples:
      orch submit random-baseline --seeds 10
      orch submit evaluate --architecture vgg19 --seeds 10
      orch submit command --seeds 5 -- python train.py --seed {seed}
      orch submit table2 --seeds 10 --dry-run
    """


COMMON: list[click.Option] = [
    click.Option(["--seeds"], type=int, help="Make sure that seeds 0…N−1 exist (default 1)."),
    click.Option(["--seed-list"], help="These seeds, like 0,3,7."),
    click.Option(["--preset"], help="report (Table 1) or demo (real training in seconds)."),
    click.Option(["--set", "sets"], multiple=True, metavar="KEY=VALUE", help="Any setting of the kind."),
    click.Option(["--backend"], help="auto, local or slurm."),
    click.Option(["--device"], default="auto", show_default=True, help="auto, cpu or cuda."),
    click.Option(["--data-dir"], type=click.Path(path_type=Path), help="Where the data sets' files lie."),
    click.Option(["--cpus"], type=int, help="CPU cores per job."),
    click.Option(["--gpus"], type=int, help="GPUs per job."),
    click.Option(["--mem"], help="Memory per job, like 8G."),
    click.Option(["--gpu-mem"], help="Local GPU memory per job, like 4G (default: estimated): so many share a GPU."),
    click.Option(["--time"], help="Time limit per job: minutes or HH:MM:SS."),
    click.Option(["--jobs-per-gpu"], type=int, help="Share each local GPU between so many jobs."),
    click.Option(["--checkpoint-every"], type=float, help="Seconds between checkpoints (0: every epoch)."),
    click.Option(["--retry-oom-mem"], type=float, help="After out of memory, retry with so many times the memory."),
    click.Option(["--partition"], help="SLURM partition."),
    click.Option(["--account"], help="SLURM account."),
    click.Option(["--qos"], help="SLURM quality of service."),
    click.Option(["--constraint"], help="SLURM node features."),
    click.Option(["--exclude"], help="SLURM nodes to keep away from."),
    click.Option(["--nodes"], type=int, help="SLURM nodes per job."),
    click.Option(["--sbatch"], multiple=True, metavar="KEY=VALUE", help="Any other sbatch parameter."),
    click.Option(["--wait"], is_flag=True, help="Show progress until nothing can move without you; 1 if one failed."),
    click.Option(["--dry-run"], is_flag=True, help="Say what would be created, create nothing."),
    click.Option(["--no-start"], is_flag=True, help="Only enqueue: start no supervisor."),
]


def _shared() -> list[click.Parameter]:
    """Options of every kind, fresh objects each time."""
    holder = study_option(store_option(json_option(lambda: None)))
    return [*COMMON, *reversed(holder.__click_params__)]  # type: ignore[attr-defined]


def _kind_command(name: str) -> click.Command:
    import msgspec

    from jobs.kind import kind_named

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
    if "repeat" in fields:
        parameters.append(click.Option(["--repeats"], type=int, default=1, help="Trainings per architecture."))
    if name == "command":
        parameters += [
            click.Option(["--grid"], multiple=True, metavar="KEY=V1,V2", help="Sweep: {KEY} in the arguments."),
            click.Argument(["argv"], nargs=-1, required=True, type=click.UNPROCESSED),
        ]
    example = {
        "command": "orch submit command --seeds 5 --name mine -- python train.py --seed {seed}",
        "evaluate": "orch submit evaluate --architecture vgg19 --seeds 10",
        "search": "orch submit search --method A --seeds 10",
    }.get(name, f"orch submit {name} --seeds 10")
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
    from db.store import Store, locate
    from jobs.kind import Asked
    from orchestrator import enqueueing
    from orchestrator.graph import epochs_of
    from orchestrator.planning import assignments, memory_mb, minutes, seeds_of
    from orchestrator.settings import load

    sets = assignments(given["sets"], "--set")
    values: dict[str, Any] = {
        key.removeprefix("set_"): value for key, value in given.items() if key.startswith("set_") and value is not None
    }
    twice = [key for key in sets if key in values]
    if twice:
        raise click.UsageError(f"--{twice[0].replace('_', '-')} and --set {twice[0]} set the same: give one of them")
    values = _listed(kind, {**values, **sets})
    if kind == "command":
        values["argv"] = list(given["argv"])
    slurm = {name: given[name] for name in ("partition", "account", "qos", "constraint", "exclude", "nodes")}
    slurm = {**assignments(given["sbatch"], "--sbatch"), **{k: v for k, v in slurm.items() if v is not None}}
    options = {name: given[name] for name in ("jobs_per_gpu", "checkpoint_every", "retry_oom_mem")}
    options = {name: value for name, value in options.items() if value is not None}
    _check_options(options)
    if slurm:
        options["slurm"] = slurm
    seeds = seeds_of(given["seeds"], given["seed_list"])
    asked = Asked(
        cpus=given["cpus"],
        gpus=given["gpus"],
        memory_mb=memory_mb(given["mem"]) if given["mem"] else None,
        minutes=minutes(given["time"]) if given["time"] else None,
        gpu_memory_mb=memory_mb(given["gpu_mem"], "--gpu-mem") if given["gpu_mem"] else None,
    )
    dry = bool(given["dry_run"])
    root = locate(given["store_path"])
    settings = load(root)
    request = enqueueing.Request(
        kind=kind,
        seeds=seeds,
        study=given["study"] or settings.study,
        preset=given["preset"] or settings.preset,
        values=values,
        backend=given["backend"] or settings.backend,
        device=given["device"],
        asked=asked,
        data_dir=given["data_dir"],
        options=options,
        grid=given.get("grid", ()),
        from_search=given.get("from_search"),
        search_epochs=epochs_of(given.get("search_epochs")),
        repeats=given.get("repeats", 1),
        match=given.get("match", "count+params"),
    )
    if request.search_epochs and not request.from_search:
        raise click.UsageError("--epochs names read-outs of --from-search; the training's length is --set epochs=N")
    done = enqueueing.submit(root, settings, request, dry_run=dry)
    _say(done, request.study, request.preset, given, dry)
    if dry:
        return
    store = Store(root)
    if not given["no_start"]:
        from orchestrator.starting import ensure_supervisor

        ensure_supervisor(store)
    if given["wait"]:
        from orchestrator.waiting import wait

        context.exit(wait(store, request.study, quiet=given["as_json"]))


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


def _check_options(options: dict[str, Any]) -> None:
    from jobs.errors import BadInput

    if options.get("jobs_per_gpu", 1) < 1:
        raise BadInput(f"--jobs-per-gpu must be at least 1 (got {options['jobs_per_gpu']})")
    if options.get("checkpoint_every", 0) < 0:
        raise BadInput(f"--checkpoint-every must not be negative (got {options['checkpoint_every']})")
    if not 1 < options.get("retry_oom_mem", 2) <= 10:
        raise BadInput(f"--retry-oom-mem must be above 1 and at most 10 (got {options['retry_oom_mem']})")


def _say(done: Any, study: str, preset: str, given: dict[str, Any], dry: bool) -> None:
    from orchestrator.views.words import plural

    ensured = done.ensured
    if given["as_json"]:
        print_json({"created": list(ensured.created), "existing": list(ensured.existing)})
        return
    for line in done.planned:
        click.echo(f"  {line.what}: {line.count} jobs ({line.new} new), {line.epochs} epochs of training")
    if done.planned and preset == "report":
        from orchestrator.estimating import gpu_hours

        click.echo(f"  about {gpu_hours(done.planned):.1f} GPU hours in all (an estimate: docs/benchmarks.md)")
    would = "would create" if dry else "created"
    text = f"{would} {plural(len(ensured.created), 'job')} in study '{study}' on {done.backend}"
    if ensured.created:
        text += f" ({_ranges(ensured.created)})"
    if ensured.existing:
        text += f"; {len(ensured.existing)} existed already"
    click.echo(text)


def _ranges(ids: Sequence[int]) -> str:
    """1-3, 7"""
    parts: list[list[int]] = []
    for job in sorted(ids):
        if parts and job == parts[-1][1] + 1:
            parts[-1][1] = job
        else:
            parts.append([job, job])
    shown = [f"{a}-{b}" if a != b else str(a) for a, b in parts[:6]]
    return ", ".join(shown) + (", …" if len(parts) > 6 else "")
