"""Where a job's output lies, and reading it as it grows: its own, then what was printed around its worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from db.attempts import StoredAttempt
from jobs.files import names, open_regular, read_json, tail
from jobs.layout import Layout
from jobs.node import ranks
from jobs.records import Outcome, Started
from jobs.words import BackendName
from slurm.local.record import log_paths

STREAMS = ("stdout", "stderr")
BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file of output; `title` says of what."""

    title: str
    path: Path
    around: bool = False
    """Of what ran around the worker (setup lines, srun, submitit), not of the program."""


def parts(
    layout: Layout, attempt: StoredAttempt, streams: Sequence[str] = STREAMS, rank: int | None = None
) -> list[Part]:
    """The files of an attempt that there are now: those of each execution, oldest first, then the submission's.

    Of an execution with several ranks, rank 0's first; with `rank`, that one's alone.
    """
    found: list[Part] = []
    folders = layout.executions(attempt.job, attempt.number)
    started = {folder: read_json(folder / "started.json", Started) for folder in folders}
    known = [(record.at, folder, record) for folder, record in started.items() if record is not None]
    for _, folder, record in sorted(known, key=lambda item: item[:2]):
        there = names(folder)
        title = f"attempt {attempt.number}, {folder.name} on {record.node} since {record.at:%Y-%m-%d %H:%M:%S} UTC"
        found += [Part(title=f"{title}: {name}", path=folder / name) for name in streams if name in there and not rank]
        if ranks.FOLDER in there:
            found += _of_ranks(folder / ranks.FOLDER, title, streams, rank)
    if rank is not None:
        return found
    return found + [
        Part(title=f"attempt {attempt.number}, around its worker: {stream_of(path)}", path=path, around=True)
        for path in submission_logs(layout, attempt)
        if stream_of(path) in streams
    ]


def _of_ranks(folder: Path, title: str, streams: Sequence[str], rank: int | None) -> list[Part]:
    """What the ranks besides 0 printed, and where all of it is wanted, what torchrun said around them."""
    there = names(folder)
    found = []
    for one in ranks.printed(folder):
        paths = [(name, ranks.stream(folder, one, name)) for name in streams] if rank in (None, one) else []
        found += [Part(title=f"{title}, rank {one}: {name}", path=path) for name, path in paths if path.name in there]
    logs = (
        sorted(name for name in there if name.startswith("torchrun-")) if rank is None and "stderr" in streams else []
    )
    return found + [Part(title=f"{title}: {name}", path=folder / name, around=True) for name in logs]


def submission_logs(layout: Layout, attempt: StoredAttempt) -> list[Path]:
    """submitit's log files of an attempt's task, found by listing."""
    folder = layout.submission(attempt.token)
    if attempt.backend == BackendName.LOCAL:
        return [path for path in log_paths(folder, attempt.token) if path.exists()]
    logs = folder / "submitit"
    if attempt.native_id is None:
        return [logs / name for name in names(logs) if name.endswith("_log.out") and attempt.size == 1]
    index = range(attempt.pieces) if attempt.pieces else [attempt.task] if attempt.task is not None else []
    tasks = [f"{attempt.native_id}_{one}" for one in index] or [attempt.native_id]
    there = set(names(logs))
    return [logs / name for task in tasks for end in ("out", "err") if (name := f"{task}_0_log.{end}") in there]


def stream_of(path: Path) -> str:
    """Which stream a log of submitit holds."""
    return "stderr" if path.suffix == ".err" else "stdout"


def traceback_of(layout: Layout, attempt: StoredAttempt) -> str | None:
    """The traceback that the newest execution's outcome kept, where its stderr does not show it."""
    for folder in reversed(layout.executions(attempt.job, attempt.number)):
        outcome = read_json(folder / "outcome.json", Outcome)
        if outcome is None or not outcome.traceback:
            continue
        last = outcome.traceback.strip().splitlines()[-1].encode(errors="surrogateescape")
        return None if last in tail(folder / "stderr", BLOCK) else outcome.traceback
    return None


class OwnLines:
    """Leaves out what submitit says of itself at every start and end, from bytes that come in pieces."""

    SIGN = b"submitit INFO ("

    def __init__(self) -> None:
        self._held = b""

    def without(self, data: bytes) -> bytes:
        """What else the bytes hold; the beginning of a line that may be submitit's is held back until it is whole."""
        *whole, last = (self._held + data).split(b"\n")
        kept = b"".join(line + b"\n" for line in whole if not line.startswith(self.SIGN))
        held = last.startswith(self.SIGN) or (last != b"" and self.SIGN.startswith(last))
        self._held = last if held else b""
        return kept if held else kept + last


class Reader:
    """Reads what is new in files that grow."""

    def __init__(self) -> None:
        self._offsets: dict[Path, int] = {}

    def new(self, path: Path) -> bytes:
        """What was written since the last call; at most a megabyte at once."""
        offset = self._offsets.get(path, 0)
        try:
            with open_regular(path) as handle:
                handle.seek(offset)
                data = handle.read(BLOCK)
        except OSError:
            return b""
        self._offsets[path] = offset + len(data)
        return data
