"""`orch run`: a job in the foreground, as an execution of it would run, with nothing of it recorded in the store.

A program is started here; a kind runs in a Python of its own (`python -m jobs.node.foreground ORDER`), as in a worker.
What either writes lies in a temporary folder.
"""

from __future__ import annotations

import os
import pdb
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs import launchers
from jobs.errors import BadInput, OrchError
from jobs.files import make_folder, read_json, write_json
from jobs.layout import Layout
from jobs.node import interpreter, kindcode, postmortem, team
from jobs.node.context import Interrupted
from jobs.node.endings import CommandFailed
from jobs.node.preparation import Prepared, prepare
from jobs.node.recorder import WorkerContext, working_folder
from jobs.node.reports import left_out, read_result
from jobs.node.sources import Sources
from jobs.node.stopping import Stop, StopReason
from jobs.node.worktree import Worktree
from jobs.odd import from_text, to_text
from jobs.records import JobFile, MetricLine, Record, Spawn, Task, Terms
from jobs.reported import Reported

METRICS, NUMBERS = "user_metrics.jsonl", "numbers.json"
POLL_SECONDS = 0.5
SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})


class Order(Record, frozen=True, kw_only=True):
    """`order.json`: what is to run in the foreground. Paths are text (jobs/odd.py)."""

    store: str
    code: str
    """Where the snapshot lies."""
    folder: str
    """The temporary folder, in place of an execution's."""
    job: JobFile
    task: Task
    terms: Terms
    pdb: bool = False


class Numbers(Record, frozen=True, kw_only=True):
    """`numbers.json`: what a kind's function returned."""

    result: dict[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How it ended, and what a person should know of it."""

    code: int
    """The exit code, as a shell gives it."""
    remarks: tuple[str, ...]
    wrote: tuple[str, ...]
    """Files that are worth keeping, relative to the folder."""
    result: Mapping[str, float | None] | None = None
    """The numbers that would count; None where it failed."""


class ForegroundContext(WorkerContext):
    """A worker's context whose numbers go to the terminal as well."""

    def __init__(self, order: Order, stop: Stop) -> None:
        folder = Path(from_text(order.folder))
        super().__init__(Layout(Path(from_text(order.store))), order.job, order.task, order.terms, folder, stop)

        self.told = True
        """Whether each epoch is said: what is read after the end of a program is only counted."""
        self.lines = 0

    def _append(self, lines: Sequence[MetricLine]) -> None:
        super()._append(lines)
        self.lines += len(lines)
        for line in lines if self.told else ():
            of = f"/{line.epochs}" if line.epochs else ""
            say(f"epoch {line.epoch}{of}: {numbers(line.values)}")

    def spawn(self, jobs: Sequence[Spawn]) -> None:
        super().spawn(jobs)
        if jobs:
            say(f"it asks for {len(jobs)} more job(s), which are not enqueued")


def say(sentence: str) -> None:
    """To the terminal, beside what the job prints."""
    print(f"orch: {sentence}", file=sys.stderr, flush=True)


def numbers(values: Mapping[str, float | None]) -> str:
    """`loss=0.1 accuracy=93`."""
    shown = (f"{name}={'not finite' if value is None else format(value, 'g')}" for name, value in values.items())
    return " ".join(shown) or "no numbers"


def run(order: Order, here: Mapping[str, str], out: int | None = None) -> Ended:
    """Run it to its end. `here`: the environment of this shell; `out`: where it prints to, else this process's own.

    Raises OrchError where it cannot start.
    """
    threads = str(max(1, order.task.resources.cpus))
    here = {**here, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}  # as a slot would
    return _program(order, here, out) if order.job.kind == "command" else _kind(order, here, out)


def _program(order: Order, here: Mapping[str, str], out: int | None) -> Ended:
    impatient = Stop()
    impatient.ask(StopReason.TERMINATED)  # a person waits: a full disk is said at once
    context = ForegroundContext(order, impatient)
    context.told = False
    prepared = prepare(context, here, Path(from_text(order.code)))
    sources = Sources(context, context.folder / METRICS, prepared.path, None)
    try:
        make_folder(context.folder / "checkpoints")
        environment = {**prepared.environment, "ORCH_METRICS": str(context.folder / METRICS)}
        argv = _several(context, prepared, pdb=order.pdb) or (debugged(prepared) if order.pdb else prepared.argv)
        if prepared.missing:
            say(f"not set here, and never written down: {', '.join(prepared.missing)}")
        say(f"runs {shlex.join(map(to_text, prepared.argv))} in {to_text(str(prepared.cwd))}")
        code = follow(argv, prepared.cwd, environment, out)
    finally:
        sources.close()
        kept = prepared.settle()
    wrote = [f"work/{path}" for path in kept] + _files(context.folder, ("out", "checkpoints"))
    remarks, counted = _told(context, sources, code)
    return Ended(code=code, remarks=tuple(remarks), wrote=tuple(wrote), result=counted)


def _several(context: ForegroundContext, prepared: Prepared, *, pdb: bool) -> list[str] | None:
    """torchrun with all ranks of a node on this terminal, for a job with a launcher. Raises BadInput, CommandFailed."""
    if launchers.of(context.options) is None:
        return None
    if pdb:
        raise BadInput("--pdb is for one process: leave --launcher out")
    count = launchers.ranks(context.options, context.gpus)
    say(f"starts {count} processes here, all of which print and report to this terminal")
    return [
        *team.torchrun(context, prepared),
        "--standalone",
        f"--nproc-per-node={count}",
        "--no-python",
        *prepared.argv,
    ]


def _told(
    context: ForegroundContext, sources: Sources, code: int
) -> tuple[list[str], Mapping[str, float | None] | None]:
    """What to say of the numbers that would count, had this been an execution; those numbers."""
    if code != 0:
        return [f"it ended with exit code {code}: an execution would fail"], None
    try:
        given = read_result(context.folder / "result.json")
    except CommandFailed as error:
        return [f"an execution would fail: {error}"], None
    counted = sources.result(given)
    printed = [name for name, one in Reported.of(context.options).metrics.items() if one.pattern]
    return [
        *([f"{context.lines} metric line{'' if context.lines == 1 else 's'}"] if context.lines else []),
        f"its result: {numbers(counted)}",
        *([f"left out: {odd}"] if (odd := left_out(given or {})) else []),
        *(f"{name}: {text}" for name, text in context.flags.items()),
        *([f"what it prints is not read here: {', '.join(map(ascii, printed))}"] if printed else []),
    ], counted


def _kind(order: Order, here: Mapping[str, str], out: int | None) -> Ended:
    folder = Path(from_text(order.folder))
    path = folder / "order.json"
    write_json(path, order, durable=False)
    root = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(filter(None, [root, here.get("PYTHONPATH", "")]))
    environment = {**here, "PYTHONSAFEPATH": "1", "PYTHONPATH": search}
    code = follow([sys.executable, "-m", "jobs.node.foreground", str(path)], Path.cwd(), environment, out)
    counted = read_json(folder / NUMBERS, Numbers) if code == 0 else None
    wrote = tuple(_files(folder, ("work", "out", "checkpoints")))
    return Ended(code=code, remarks=(), wrote=wrote, result=counted.result if counted else None)


def _files(folder: Path, below: Sequence[str]) -> list[str]:
    return sorted(
        str(path.relative_to(folder)) for name in below for path in (folder / name).rglob("*") if not path.is_dir()
    )


def follow(argv: Sequence[str], cwd: Path, environment: Mapping[str, str], out: int | None = None) -> int:
    """Start it on this terminal and wait for its end: the exit code as a shell gives it. Raises BadInput.

    `out`: the descriptor that it prints to instead.

    Ctrl-C reaches it from the terminal itself, which signals the whole group; what somebody sends to orch alone is
    handed on.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*SIGNALS, signal.SIGCHLD})
    try:
        try:
            child = subprocess.Popen(
                argv,
                cwd=cwd,
                env=environment,
                stdout=out,
                preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before),
            )
        except OSError as error:
            raise BadInput(f"cannot start '{to_text(argv[0])}': {error.strerror}") from None
        while child.poll() is None:
            got = signal.sigtimedwait({*SIGNALS, signal.SIGCHLD}, POLL_SECONDS)
            if got is not None and got.si_signo in SIGNALS and got.si_code <= 0:  # not from the kernel's terminal
                child.send_signal(got.si_signo)
        while signal.sigtimedwait(SIGNALS, 0) is not None:
            pass
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def debugged(prepared: Prepared) -> list[str]:
    """The command with pdb waiting for an exception. Raises BadInput where it is no Python program."""
    argv = prepared.argv
    python = interpreter.named(argv[0], prepared.environment, prepared.cwd)
    mine = str(Path(postmortem.__file__))
    if python is not None and interpreter.is_python(argv[0]):
        parts = interpreter.parts(argv)
        if parts is not None:
            options, how, rest = parts
            return [*options, mine, how, *rest]
    elif python is not None:
        program = interpreter.found(argv[0], prepared.environment, prepared.cwd)
        return [str(python), mine, "script", str(program), *argv[1:]]
    raise BadInput(
        f"--pdb is for a Python program, and '{to_text(shlex.join(argv))[:80]}' names none: leave --pdb out, or put "
        "breakpoint() into the program"
    )


def main(path: Path) -> int:
    """The work of a kind, in this process: its exit code."""
    order = read_json(path, Order)
    assert order is not None
    tree: Worktree | None = None
    try:
        store, folder, code = (Path(from_text(text)) for text in (order.store, order.folder, order.code))
        cwd = working_folder(Layout(store), order.job, order.terms)
        tree = kindcode.place(order.terms, code, store, folder, cwd)
        context = ForegroundContext(order, Stop())
        if tree is not None:
            context.cwd = tree.place(context.cwd)
            context.cwd.mkdir(parents=True, exist_ok=True)
        os.chdir(context.cwd)
        result = dict(context.kind.function()(context))
        if context.rest is not None:
            context.rest()
    except Interrupted:
        say("it stopped at a step boundary")
        return 130
    except OrchError as error:
        if not order.pdb:
            say(str(error))
            return 1
        return _post_mortem(error)
    except Exception as error:
        traceback.print_exception(error)
        return _post_mortem(error) if order.pdb else 1
    finally:
        if tree is not None:
            tree.settle()
    write_json(folder / NUMBERS, Numbers(result=result), durable=False)
    say(f"its result: {numbers(result)}")
    return 0


def _post_mortem(error: BaseException) -> int:
    say(f"pdb where it was raised (q ends it): {error}")
    pdb.post_mortem(error.__traceback__)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
