"""`orch rehearse`"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from db.seals import WHOLE_KILLS
from orchestrator.cli.options import F, json_option, print_json, store_option
from orchestrator.cli.reported import REPORTED, reported_of
from orchestrator.cli.terms import TERMS, asked_for
from orchestrator.rehearsal.disturbances import MOST_KILLS, NAMES, Disturbance, possible

if TYPE_CHECKING:
    from orchestrator.rehearsal.judgement import Judged
    from orchestrator.rehearsal.report import Wanted
    from orchestrator.rehearsal.subjects import Subject
    from orchestrator.settings import Settings
    from orchestrator.submitting.request import Request


NOT_OF_A_REHEARSAL = ("resume", "priority", "slices", "bundle", "cold")


def _with(options: Sequence[click.Option]) -> Callable[[F], F]:
    """The options of another command, on this one."""

    def add(function: F) -> F:
        function.__click_params__ = [  # type: ignore[attr-defined]
            *reversed(options),
            *getattr(function, "__click_params__", []),
        ]
        return function

    return add


@click.command(name="rehearse", context_settings={"ignore_unknown_options": False})
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--kills", type=click.IntRange(0, MOST_KILLS), default=WHOLE_KILLS, show_default=True, help="Runs that are killed."
)
@click.option("--budget", metavar="TIME", help="Begin no further run after so long, like 10m or 90s.")
@click.option("--only", metavar="NAMES", help=f"Only these disturbances: {', '.join(NAMES)}.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The seed of the runs.")
@click.option("--chance", type=int, default=0, help="Other moments: the seed of the plan (default 0).")
@click.option(
    "--epochs-flag", metavar="FLAG=N", help="Rehearse with N epochs: the word after FLAG is replaced, --epochs=3."
)
@click.option(
    "--grid", multiple=True, metavar="KEY=VALUES", help="As in submit: {KEY} in the words; the first value is taken."
)
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any setting of a kind.")
@click.option("--preset", help="report or demo, of a kind.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="A variable of the program's environment.")
@_with([option for option in TERMS if option.name not in NOT_OF_A_REHEARSAL])
@_with(REPORTED)
@click.option("--keep-runs", is_flag=True, help="Leave the runs' folder, and name it.")
@store_option
@json_option
@click.pass_context
def command(context: click.Context, /, words: tuple[str, ...], **given: Any) -> None:
    """Does a program survive being killed? It is run undisturbed, then disturbed at seeded moments, and compared.

    The runs go through orch's own supervisor, on slots of this host or, with --backend slurm, on SLURM.
    WORDS: a program after --, a study file, or a job kind. Nothing of it enters anybody's results.
    Exit code: 0 bit-identical or equal within noise; 1 not resumable or wrong after resuming; 2 it could not be
    rehearsed.

    \b
    Examples:
      orch rehearse -- python train.py --seed {seed} --epochs 5
      orch rehearse --epochs-flag=--epochs=5 -- python train.py --seed {seed} --epochs 200
      orch rehearse --grid lr=0.1,0.01 -- python train.py --seed {seed} --lr {lr}
      orch rehearse --backend slurm --mem 8G -- python train.py --seed {seed} --epochs 5
      orch rehearse --budget 10m --json study.toml
      orch rehearse --preset demo random-baseline
    """
    from db.place import locate
    from db.store import Store
    from orchestrator.rehearsal import reporting, sealing
    from orchestrator.rehearsal.cramped import Cramped
    from orchestrator.rehearsal.report import Report
    from orchestrator.rehearsal.running import Rehearsal
    from orchestrator.rehearsal.scratch import Scratch
    from orchestrator.settings import load

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was begun is ended with it, as with Ctrl-C
    root = locate(given["store_path"])
    settings = load(root)
    wanted = _wanted(given)
    quiet = given["as_json"]
    reports: list[tuple[str, Report]] = []
    for subject in _subjects(words, given, settings):
        if not quiet:
            click.echo(f"rehearsing {subject.name}")
        named = sealing.named_of(root, settings, subject.submitted or subject.request)
        scratch = Scratch.made(root, settings)
        with _Progress(quiet) as progress:
            try:
                cramped = partial(Cramped.beside, root, settings)
                report = Rehearsal(scratch, subject.request, wanted, progress.tell, cramped).run()
            finally:
                scratch.end(keep=given["keep_runs"])
        reports.append((subject.name, report))
        told = reporting.lines(report)
        if named is not None and report.tells:
            store = Store(root, create=True, group=settings.store.readable == "group")
            counts = sealing.keep(store, named, report.overall, report.tried, report.untried)
            told.append(reporting.kept(named, counts, report))
        elif not report.tells:
            told.append("no seal is kept: no run was killed")
        for line in () if quiet else told:
            click.echo(line)
        if given["keep_runs"]:
            click.echo(f"the runs are in {scratch.folder}: remove it when you are done", err=quiet)
    if quiet:
        print_json({"rehearsed": [reporting.as_json(report, name) for name, report in reports]})
    context.exit(reporting.exit_code([report for _, report in reports]))


def _wanted(given: dict[str, Any]) -> Wanted:
    from jobs.errors import BadInput
    from orchestrator.rehearsal import subjects
    from orchestrator.rehearsal.report import Wanted

    only = tuple(Disturbance)
    if given["only"]:
        names = [name.strip() for name in given["only"].split(",")]
        if unknown := [name for name in names if name not in NAMES]:
            raise BadInput(f"--only knows no '{unknown[0]}': use {', '.join(NAMES)}")
        only = tuple(Disturbance(name) for name in names)
        backend = given["backend"] or "local"
        if backend != "auto" and not {*only} & {*possible(slurm=backend == "slurm")}:
            mend = "leave --backend slurm out" if backend == "slurm" else "add --backend slurm"
            raise BadInput(f"--only {given['only']} disturbs nothing there: {mend}")
    return Wanted(
        kills=given["kills"],
        seed=given["seed"],
        budget_seconds=subjects.seconds(given["budget"]) if given["budget"] else float("inf"),
        only=only,
        chance=given["chance"],
    )


def _subjects(words: tuple[str, ...], given: dict[str, Any], settings: Settings) -> list[Subject]:
    """What is to be rehearsed. Raises BadInput."""
    from jobs.odd import to_text
    from jobs.words import BackendName
    from orchestrator.rehearsal import subjects
    from orchestrator.submitting.planning import assignments
    from orchestrator.submitting.points import points_of
    from orchestrator.submitting.request import Request

    base = Request(
        kind="command",
        seeds=[given["seed"]],
        study="rehearsal",
        preset=given["preset"] or settings.preset,
        backend=given["backend"] or BackendName.LOCAL,
        backend_named=True,
        env=assignments(given["env"], "--env"),
        reported=reported_of(given),
    )
    if len(words) == 1 and words[0].endswith(".toml"):
        return _of_study(Path(words[0]), base)
    asked, options = asked_for(given)
    base = replace(base, asked=asked, options=options)
    if subjects.is_kind(words):
        values = assignments(given["sets"], "--set")
        return [subjects.Subject(name=words[0], request=subjects.prepared(replace(base, kind=words[0], values=values)))]
    if given["sets"]:
        raise click.UsageError("--set is for a job kind: a program's words stand after --")
    argv = [to_text(word) for word in words]
    points = points_of(argv, given["grid"], (), unused_ok=False)[:1] if given["grid"] else None
    submitted = replace(base, values={"argv": argv}, points=points)
    if given["epochs_flag"]:
        argv = subjects.with_epochs(argv, given["epochs_flag"])
    request = replace(submitted, values={"argv": argv})
    return [subjects.Subject(name=shlex.join(argv), request=request, submitted=submitted)]


def _of_study(path: Path, base: Request) -> list[Subject]:
    """The first job of each experiment. Raises BadInput."""
    from jobs.errors import BadInput
    from orchestrator.cli.submit_study import _terms
    from orchestrator.rehearsal import subjects
    from orchestrator.studyfile.reading import read
    from orchestrator.submitting import study

    found = []
    for part in study.plan(read(path), base, _terms):
        subject = subjects.of_part(part, base.backend)
        if subject is None:
            click.echo(f"not rehearsed: {part.experiment.name}, which is made of others' results", err=True)
        else:
            found.append(subject)
    if not found:
        raise BadInput(f"{path} has no experiment that can be rehearsed by itself")
    return found


class _Progress:
    """A line for each run as it is judged; in a terminal also which go on just now."""

    def __init__(self, quiet: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        self.quiet = quiet
        self.going: list[str] = []
        console = Console(stderr=True)
        self.live = None if quiet or not console.is_terminal else Live(console=console, refresh_per_second=4)

    def __enter__(self) -> _Progress:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live is not None:
            self.live.update("")
            self.live.stop()

    def tell(self, name: str, judged: Judged | None) -> None:
        """A run was begun, or judged."""
        from orchestrator.rehearsal import reporting

        if judged is None:
            self.going.append(name)
        else:
            self.going = [one for one in self.going if one != name]
            if not self.quiet:
                click.echo("  " + reporting.line(judged))
        if self.live is not None:
            self.live.update("  running: " + ", ".join(map(reporting.words_of, self.going)))
