"""What is kept of a program that hangs before it is killed: `hang.txt` of its execution.

Of each process its state, where it waits in the kernel, its open files; of Python's the stacks of all threads: by
py-spy where it is installed and may look, else by Python itself, which prints them at SIGABRT since
PYTHONFAULTHANDLER=1 was set at its start (faulthandler, Python's documentation).
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from jobs.files import now, open_private

NAME = "hang.txt"
MOST_PROCESSES, MOST_FILES, MOST_STACKS = 64, 40, 8
PY_SPY_SECONDS = 10.0
"""For each process; and for all together twice that."""
DUMP_SECONDS = 5.0
QUIET_SECONDS = 0.5
MOST_BYTES = 256 * 1024


def record(folder: Path, why: str, pids: Sequence[int], environment: Mapping[str, str]) -> bool:
    """Write down what can be seen from outside. Whether py-spy told the stacks of its Python processes."""
    parts = [f"{now():%Y-%m-%d %H:%M:%S} UTC: {why}\n"]
    parts += [seen for pid in pids[:MOST_PROCESSES] if (seen := _process(pid))]
    stacks = _by_py_spy([pid for pid in pids if is_python(pid)], environment)
    parts += stacks
    _append(folder, "\n".join(parts))
    return any("\nThread " in one for one in stacks)


def abort(folder: Path, pids: Sequence[int], streams: Sequence[Path]) -> None:
    """Have those of these processes that are Python print their stacks, and keep what comes. They end by it, and write
    no core."""
    before = {path: _size(path) for path in streams}
    for pid in pids:
        if is_python(pid):
            with contextlib.suppress(OSError, ValueError):
                resource.prlimit(pid, resource.RLIMIT_CORE, (0, resource.prlimit(pid, resource.RLIMIT_CORE)[1]))
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGABRT)
    end, sizes, since = time.monotonic() + DUMP_SECONDS, before, time.monotonic()
    while time.monotonic() < end:
        time.sleep(0.05)
        seen = {path: _size(path) for path in streams}
        if seen != sizes:
            sizes, since = seen, time.monotonic()
        elif sizes != before and time.monotonic() - since > QUIET_SECONDS:
            break
    for path, size in before.items():
        with contextlib.suppress(OSError), path.open("rb") as handle:
            handle.seek(size)
            if text := handle.read(MOST_BYTES):
                _append(folder, f"\n{path.name} at SIGABRT:\n{text.decode(errors='replace')}")


def is_python(pid: int) -> bool:
    """Whether a process is an interpreter of Python."""
    try:
        return "python" in Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return False


def _process(pid: int) -> str:
    """One process in a few lines; '' where it is gone."""
    try:
        one = psutil.Process(pid)
        with one.oneshot():
            times = one.cpu_times()
            head = (
                f"pid {pid}: {one.status()}, waits in {_wchan(pid) or '-'}, {one.num_threads()} threads, "
                f"{times.user + times.system:.1f} s of CPU, {one.memory_info().rss >> 20} MB: {' '.join(one.cmdline())}"
            )
    except psutil.Error:
        return ""
    return "\n".join([head[:2000], *(f"  {line}" for line in _files(pid))])


def _wchan(pid: int) -> str:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/wchan").read_text()
        return "" if text == "0" else text
    return ""


def _files(pid: int) -> list[str]:
    found = list[str]()
    with contextlib.suppress(OSError):
        for one in sorted(Path(f"/proc/{pid}/fd").iterdir(), key=lambda path: int(path.name))[:MOST_FILES]:
            with contextlib.suppress(OSError):
                found.append(f"{one.name} -> {one.readlink()}")
    return found


def _by_py_spy(pids: Sequence[int], environment: Mapping[str, str]) -> list[str]:
    tool = shutil.which("py-spy", path=environment.get("PATH", os.defpath))
    if tool is None or not pids:
        return []
    found, end = list[str](), time.monotonic() + 2 * PY_SPY_SECONDS
    for pid in pids[:MOST_STACKS]:
        left = min(PY_SPY_SECONDS, end - time.monotonic())
        if left <= 0:
            break
        try:
            told = subprocess.run(
                [tool, "dump", "--nonblocking", "--pid", str(pid)],
                capture_output=True,
                timeout=left,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            found.append(f"py-spy dump of {pid}: {type(error).__name__}")
            continue
        text = (told.stdout if told.returncode == 0 else told.stderr or told.stdout)[:MOST_BYTES]
        found.append(f"py-spy dump of {pid}:\n{text.decode(errors='replace').strip()}")
    return found


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[IO[bytes]]:
    """The file, to write more into."""
    with os.fdopen(open_private(folder / NAME, os.O_WRONLY | os.O_APPEND), "wb") as handle:
        yield handle


def _append(folder: Path, text: str) -> None:
    """A full disk is no reason not to kill it."""
    with contextlib.suppress(OSError), opened(folder) as handle:
        handle.write(text.encode(errors="replace") + b"\n")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
