"""Running a user's program as a job: its environment, its metrics, its result, and signals in good time."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.context import Context, Interrupted
from jobs.endings import CommandFailed, cause_of_program, oom_kills
from jobs.errors import BadInput
from jobs.files import names, read_lines
from jobs.records import MOST_EPOCHS, MetricLine

GRACE_SECONDS = 25.0
READY_SECONDS = 10.0
POLL_SECONDS = 0.02
SIGNALS_DIFFER_SECONDS = 0.5
"""So much later than its program a worker may be told to stop by the same scancel or preemption."""


def fill(argv: tuple[str, ...], values: Mapping[str, Any]) -> list[str]:
    """The arguments with {name} replaced; other braces stay. Raises BadInput for a name that nothing defines."""

    def one(match: re.Match[str]) -> str:
        if match.group(1) not in values:
            raise BadInput(f"the command uses {{{match.group(1)}}}, which is not defined: use {', '.join(values)}")
        return str(values[match.group(1)])

    return [re.sub(r"\{([a-z_][a-z0-9_]*)\}", one, word) for word in argv]


def run(context: Context) -> Mapping[str, float]:
    """Run the program to its end. Raises CommandFailed, or Interrupted when it stopped on our signal."""
    config = context.config
    argv = fill(config.argv, {"seed": context.seed, "job": context.job, **config.parameters})
    result = context.folder / "result.json"
    metrics = context.folder / "user_metrics.jsonl"
    checkpoints = context.folder / "checkpoints"
    inherit_checkpoints(checkpoints, context.checkpoints.earlier)
    context.checkpoints.newest_step = newest_file(checkpoints)
    environment = dict(os.environ)
    environment.update(
        ORCH_RESULT=str(result),
        ORCH_METRICS=str(metrics),
        ORCH_CHECKPOINT_DIR=str(checkpoints),
        ORCH_SEED=str(context.seed),
        ORCH_JOB=str(context.job),
        ORCH_STUDY_CWD=str(context.cwd),
    )
    environment.pop("PYTHONSAFEPATH", None)  # it protects our worker; the user's script may import its neighbours
    try:
        child = subprocess.Popen(
            argv, env=environment, cwd=context.cwd, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_shield
        )
    except OSError as error:
        raise CommandFailed(f"cannot start '{argv[0]}': {error.strerror}") from None
    relay = MetricsRelay(context, metrics)
    memory = MemoryKills()
    code, stopped = _follow(context, child, relay, memory, getattr(signal, f"SIG{config.stop_signal}"))
    relay.forward()
    context.checkpoints.newest_step = newest_file(checkpoints)
    if stopped and not (code == 0 and result.exists()):
        raise Interrupted
    if code != 0:
        how = f"exit code {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
        last = _last_line(context.folder / "stderr")
        raise CommandFailed(f"the command ended with {how}{last}", cause_of_program(code, last, memory.rose()))
    return {**relay.last, **read_result(result)}


def _shield() -> None:
    """In the child: ignore USR2, which srun sends to every process of the step; SIG_IGN is kept over exec."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _follow(
    context: Context,
    child: subprocess.Popen[bytes],
    relay: MetricsRelay,
    memory: MemoryKills,
    stop_signal: signal.Signals,
) -> tuple[int, bool]:
    """Wait for the program; forward a stop as its signal, then KILL after the grace. (exit code, whether stopped)."""
    ended = threading.Event()

    def wait() -> None:
        child.wait()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    began = time.monotonic()
    asked: float | None = None
    while not ended.wait(POLL_SECONDS if asked is None else POLL_SECONDS / 2):
        memory.look()
        if relay.forward() or time.monotonic() - began >= READY_SECONDS:
            context.ready()
        if asked is None and context.stop_requested():
            asked = time.monotonic()
            _signal_group(child, stop_signal)
        elif asked is not None and time.monotonic() - asked > GRACE_SECONDS:
            _signal_group(child, signal.SIGKILL)
    if child.returncode and asked is None:
        # SLURM signals every process of a job, so the program may be gone before its signal has reached us.
        asked = _asked_soon(context)
    return child.returncode, asked is not None


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


class MemoryKills:
    """Whether the kernel has killed something for memory in the last seconds: it counts kills, and not whose."""

    def __init__(self) -> None:
        self._before = self._now = oom_kills()
        self._at = time.monotonic()

    def look(self) -> None:
        """Forget what is older than a few seconds."""
        if time.monotonic() - self._at >= READY_SECONDS:
            self._before, self._now, self._at = self._now, oom_kills(), time.monotonic()

    def rose(self) -> bool:
        now = oom_kills()
        return now is not None and self._before is not None and now > self._before


class MetricsRelay:
    """Hands the program's JSON lines on as metric lines: {"epoch": 3, "loss": 0.1} (epoch counts up by itself)."""

    def __init__(self, context: Context, path: Path) -> None:
        self.context = context
        self.path = path
        self.offset = 0
        self.last: dict[str, float] = {}

    def forward(self) -> bool:
        """Report the new whole lines. True where there was any."""
        try:
            with self.path.open("rb") as handle:
                handle.seek(self.offset)
                data = handle.read()
        except OSError:
            return False
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            self._one(line)
        return bool(whole)

    def _one(self, line: bytes) -> None:
        values = read_object(line)
        if values is None:
            print(f"orch: skipped a metrics line that is no JSON object: {line[:200]!r}", file=sys.stderr)
            return
        history = self.context.history()
        epoch = values.pop("epoch", history[-1].epoch + 1 if history else 1)
        epochs = values.pop("epochs", 0)
        numbers = {k: _float(v) for k, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        if not (_is_count(epoch) and _is_count(epochs)):
            print(f"orch: skipped a metrics line whose epoch is no whole number: {line[:200]!r}", file=sys.stderr)
            return
        finite: dict[str, float | None] = {k: v if math.isfinite(v) else None for k, v in numbers.items()}
        self.context.report(epoch, epochs, finite)
        self.last.update({k: v for k, v in numbers.items() if math.isfinite(v)})


def read_object(text: bytes) -> dict[str, Any] | None:
    """A JSON object as Python's own json writes it, NaN and Infinity included; None where it is none."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer with hundreds of digits
        return math.inf


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_EPOCHS


def read_result(path: Path) -> dict[str, float]:
    """The numbers in the result file; none where the program wrote no file. Raises CommandFailed."""
    if not path.exists():
        return {}
    values = read_object(path.read_bytes())
    if values is None:
        raise CommandFailed("ORCH_RESULT holds no JSON object of numbers")
    wrong = [k for k, v in values.items() if not isinstance(v, int | float) or not math.isfinite(_float(v))]
    if wrong:
        raise CommandFailed(f"ORCH_RESULT has no finite number for {', '.join(map(repr, sorted(wrong)))}")
    return {k: float(v) for k, v in values.items()}


def inherit_checkpoints(own: Path, earlier: tuple[Path, ...]) -> None:
    """Copy the newest earlier execution's checkpoint folder: every execution writes in its own."""
    filled = [folder for folder in earlier if names(folder)]
    if filled:
        shutil.copytree(max(filled, key=newest_file), own, dirs_exist_ok=True)
    else:
        own.mkdir(exist_ok=True)


def newest_file(folder: Path) -> int:
    """A step number for a folder whose format only the program knows: its newest file's mtime in ns; -1 if empty."""
    times = [path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    return max(times, default=-1)


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return f": {lines[-1][:300]}" if lines else ""


def metric_lines(path: Path) -> list[MetricLine]:
    """All metric lines of a file, torn ones skipped."""
    return list(read_lines(path, MetricLine))
