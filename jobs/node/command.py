"""Running a user's program as a job: its environment, its metrics, its result, and signals in good time."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from typing import Any

from jobs import trust
from jobs.node import autopsy, interpreter
from jobs.node import team as teams
from jobs.node.context import Context, Interrupted
from jobs.node.endings import CommandFailed, MemoryKills, cause_of_program
from jobs.node.inheritance import inherit
from jobs.node.machine import gpu_names
from jobs.node.preparation import Prepared, prepare
from jobs.node.progress import Watch
from jobs.node.reports import left_out, read_result
from jobs.node.silence import Silence, given_of, printed, tree
from jobs.node.sources import Sources, streams
from jobs.node.team import Team
from jobs.numbers.source import clean, listed
from jobs.odd import to_text
from jobs.patience import may_pass, patiently
from jobs.words import Cause

METRICS = "user_metrics.jsonl"
"""What ORCH_METRICS names, in the execution's folder."""
GRACE_SECONDS = 25.0
READY_SECONDS = 10.0
POLL_SECONDS = 0.02
RANKS_LATER_SECONDS = 3.0
UNKILLABLE_SECONDS = 30.0
"""A process that hangs in the kernel does not die by KILL: so long it is waited for."""
SIGNALS_DIFFER_SECONDS = 0.5
"""So much later than its program a worker may be told to stop by the same scancel or preemption."""


def run(context: Context) -> Mapping[str, float | None]:
    """Run the program to its end. Raises CommandFailed, or Interrupted when it stopped on our signal."""
    prepared = prepare(context)
    gpus = gpu_names(prepared.environment.get("CUDA_VISIBLE_DEVICES")) if context.device == "cuda" else ""
    context.keep_versions(_versions(context, prepared), gpus)
    result = context.folder / "result.json"
    checkpoints = context.folder / "checkpoints"
    inherit(checkpoints, context.checkpoints.earlier, context.stop_requested)
    progress = patiently(
        lambda: Watch(context.folder, [folder.parent for folder in context.checkpoints.earlier]),
        unwanted=context.stop_requested,
    )
    context.checkpoints.began_at(progress.step)
    sources = Sources(context, context.folder / METRICS, prepared.path, streams(context.folder))
    team = teams.made(context, prepared)
    while True:
        program = Program(context, _started(context, prepared, sources, team), progress, sources, team, gpus)
        try:
            code, stopped = program.follow(stop_signal(context), prepared.environment)
        except BaseException:
            program.signal(signal.SIGKILL)  # nobody would follow it any more
            program.look_at_progress(now=True)  # the outcome's word on it is the last
            raise
        if team is None or code == 0 or stopped or program.hang or not team.took_another_port():
            break
    sources.close()
    prepared.settle()
    if program.hang:
        raise CommandFailed(program.hang, Cause.HANG)
    context.keep_rhythm(program.silence.rhythm(whole=code == 0 and not stopped))
    if stopped and not (code == 0 and result.exists()):
        raise Interrupted
    if code != 0 and team is not None:
        raise team.failure(code)
    if code != 0:
        last = teams.last_words(context.folder / "stderr")
        cause = cause_of_program(code, last, program.memory.rose())
        raise CommandFailed(f"the command ended with {teams.how(code)}{': ' + last if last else ''}", cause)
    if team is not None and team.remark:
        context.keep_flag("ranks", team.remark)
    return _numbers(context, sources, read_result(result, context.stop_requested))


def _started(context: Context, prepared: Prepared, sources: Sources, team: Team | None) -> subprocess.Popen[bytes]:
    """The program as a process, or torchrun with all its ranks. Raises CommandFailed, or OSError that may pass."""
    own = {} if team is None else team.environment
    log = None if team is None else team.open_log()
    argv = prepared.argv if team is None else team.command()
    try:
        return subprocess.Popen(
            argv,
            env={
                "PYTHONFAULTHANDLER": "1",
                **sources.environment,
                **prepared.environment,
                "ORCH_METRICS": str(context.folder / METRICS),
                **own,
            },
            cwd=prepared.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
            preexec_fn=_shield,
            umask=trust.programs_umask(context.folder),
        )
    except OSError as error:
        if may_pass(error):
            raise
        prepared.settle()
        raise CommandFailed(f"cannot start '{to_text(argv[0])}': {error.strerror}") from None
    finally:
        if log is not None:
            os.close(log)


def _versions(context: Context, prepared: Prepared) -> dict[str, str]:
    """Of its Python and of torch, as they are on this node now: orch's own are no part of a program."""
    if prepared.python is None:
        return {}
    environ = {**prepared.environment, "PYTHONPATH": prepared.search}
    answer = interpreter.ask(context.store / "code", prepared.python, environ)
    if answer is None:
        return {}
    torch = interpreter.version_of("torch", answer.packages)
    return {"python": answer.python, **({"torch": torch} if torch else {})}


def stop_signal(context: Context) -> signal.Signals:
    """What the program is sent before a time limit or on a cancel."""
    named = context.options.get("stop_signal") or context.config.stop_signal or "TERM"
    found: signal.Signals = getattr(signal, f"SIG{named}")
    return found


def _numbers(context: Context, sources: Sources, given: dict[str, Any] | None) -> dict[str, float | None]:
    """The result, under what ORCH_RESULT holds; what was left out is said."""
    if skipped := sources.relay.skipped:
        context.keep_flag("metric lines left out", f"{skipped}: see 'orch logs {context.job} --stderr'")
    if unplaced := sources.relay.unplaced:
        context.keep_flag("metric lines without an epoch", f"{unplaced}: see 'orch logs {context.job} --stderr'")
    if nested := sources.relay.nested:
        context.keep_flag(
            "no number in metric lines", f"{listed(map(clean, nested))}: not a number but an object or a list"
        )
    odd = left_out(given or {})
    if odd:
        context.keep_flag("left out of the result", odd)
    return sources.result(given)


def _shield() -> None:
    """In the child: ignore USR2, which srun sends to every process of the step; SIG_IGN is kept over exec."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


class Program:
    """The user's program while it runs, and all that is watched of it."""

    def __init__(
        self,
        context: Context,
        child: subprocess.Popen[bytes],
        progress: Watch,
        sources: Sources,
        team: Team | None = None,
        gpus: str = "",
    ) -> None:
        self.context = context
        self.child = child
        self.progress = progress
        self.sources = sources
        self.team = team
        self.memory = MemoryKills()
        self.hang = ""
        """The sentence that says so, where it hung and was killed for it."""
        self.silence = Silence(
            context.rhythms,
            given_of(context.options),
            gpus,
            signs=lambda: (printed(context.folder), progress.step),
            processes=lambda: tree(child.pid),
            held_up=context.disks.held_up,
        )

    def follow(self, stop_signal: signal.Signals, environment: Mapping[str, str]) -> tuple[int, bool]:
        """Wait for its end; forward a stop as its signal, then KILL after the grace. (exit code, whether stopped)."""
        ended = threading.Event()

        def wait() -> None:
            self.child.wait()
            ended.set()

        threading.Thread(target=wait, daemon=True).start()
        began = time.monotonic()
        asked: float | None = None
        killed: float | None = None
        more = False
        while not ended.wait(0.0 if more else POLL_SECONDS if asked is None else POLL_SECONDS / 2):
            self.memory.look()
            self.context.disks.look()
            self.look_at_progress()
            more = self.sources.forward()
            if more or time.monotonic() - began >= READY_SECONDS:
                self.context.ready()
            if asked is None and self.context.stop_requested():
                asked = time.monotonic()
                self.signal(stop_signal)
            elif asked is not None and time.monotonic() - asked > GRACE_SECONDS + self.later:
                self.signal(signal.SIGKILL)
            if self.team is not None and self.team.look():
                self.signal(signal.SIGKILL)
            if asked is None and killed is None and self.hangs(environment):
                killed = time.monotonic()
                self.signal(signal.SIGKILL)
            elif killed is not None and time.monotonic() - killed > UNKILLABLE_SECONDS:
                self.hang += "; it does not die by SIGKILL either"
                return -signal.SIGKILL, False
        self.look_at_progress(now=True)
        code = self.child.returncode if self.team is None else self.team.code(self.child.returncode)
        if code and asked is None:
            # SLURM signals every process of a job, so the program may be gone before its signal has reached us.
            asked = _asked_soon(self.context)
        return code, asked is not None

    def hangs(self, environment: Mapping[str, str]) -> bool:
        """Whether it hangs. If so, what can be seen of it is kept first; a sign of life meanwhile saves it."""
        why = self.silence.look()
        if why is None:
            return False
        pids = [one.pid for one in tree(self.child.pid)]
        folder = self.context.folder
        told = autopsy.record(folder, why, pids, environment)
        if not self.silence.still():
            return False
        self.hang = f"{why}; what it did then is in {autopsy.NAME}"
        if not told and self.team is None:
            autopsy.abort(folder, pids, streams(folder))
        elif not told and self.team is not None:
            self.team.tell(signal.SIGABRT)  # each rank by the process that stands around it, on whichever node
            autopsy.abort(folder, [], [*streams(folder), *self.team.streams()])
        return True

    @property
    def later(self) -> float:
        """So much longer the whole of several ranks may take, each of which is killed by itself."""
        return 0.0 if self.team is None else RANKS_LATER_SECONDS

    def signal(self, number: signal.Signals) -> None:
        """To the program; of several ranks to each, wherever it is."""
        if self.team is not None and number is not signal.SIGKILL:
            self.team.tell(number)
            if self.team.plan.nodes == 1:  # torchrun may still wait for them (srun would hand it on to all programs)
                _signal_group(self.child, signal.SIGTERM)
        else:
            _signal_group(self.child, number)

    def look_at_progress(self, *, now: bool = False) -> None:
        """Count what changed in the program's checkpoints."""
        self.progress.look(now=now)
        self.context.checkpoints.newest_step = self.progress.step


def _asked_soon(context: Context) -> float | None:
    deadline = time.monotonic() + SIGNALS_DIFFER_SECONDS
    while not context.stop_requested():
        if time.monotonic() >= deadline:
            return None
        time.sleep(POLL_SECONDS)
    return time.monotonic()


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return
