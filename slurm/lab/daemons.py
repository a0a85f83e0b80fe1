"""Starting and stopping the processes of one cluster, each noted in a file so that anyone can stop exactly these."""

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM

from slurm.lab.errors import ClusterError
from slurm.lab.processes import Process, find

_POLL_S = 0.03


class Daemons:
    """The daemons of one cluster: a pid file per name in `pids`, a log per name in `logs`."""

    def __init__(self, pids: Path, logs: Path) -> None:
        self._pids = pids
        self._logs = logs
        # Held so that they are waited for: where PID 1 reaps nothing, a dead child stays a zombie otherwise.
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: Sequence[str | Path], env: Mapping[str, str]) -> None:
        """Start a daemon in a session of its own, so that no Ctrl-C of a terminal reaches it."""
        with (self._logs / f"{name}.out").open("ab") as out:
            child = subprocess.Popen(
                [str(part) for part in argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=self._logs,
                start_new_session=True,
            )
        self._children[child.pid] = child
        if (process := find(child.pid)) is None:
            raise ClusterError(f"{name} ended at once: {self.last_words(name)}")
        note = {"pid": process.pid, "start_ticks": process.start_ticks, "boot": process.boot}
        draft = self._pids / f".{name}.tmp"
        draft.write_text(json.dumps(note))
        draft.replace(self._pids / f"{name}.json")

    def get(self, name: str) -> Process | None:
        """The live process of that name, or None."""
        try:
            note = json.loads((self._pids / f"{name}.json").read_text())
        except FileNotFoundError:
            return None
        process = Process(note["pid"], note["start_ticks"], note["boot"])
        child = self._children.get(process.pid)
        if child is not None and child.poll() is not None:
            del self._children[process.pid]
        return process if process.is_alive() else None

    def running(self) -> dict[str, Process]:
        """Every live daemon by its name."""
        names = sorted(path.stem for path in self._pids.glob("*.json"))
        return {name: process for name in names if (process := self.get(name)) is not None}

    def stop(self, names: Iterable[str], grace_s: float) -> None:
        """SIGTERM to all at once, SIGKILL to those that still live after `grace_s`; return when all are gone."""
        targets = {name: process for name in names if (process := self.get(name)) is not None}
        for process in targets.values():
            process.send(SIGTERM)
        deadline = time.monotonic() + grace_s
        while any(self.get(name) for name in targets) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        self.kill(targets)

    def kill(self, names: Iterable[str]) -> None:
        """SIGKILL, and return when all are gone."""
        names = list(names)
        deadline = time.monotonic() + 10
        while alive := {name: process for name in names if (process := self.get(name)) is not None}:
            for process in alive.values():
                process.send(SIGKILL)
            if time.monotonic() > deadline:
                raise ClusterError(f"{', '.join(alive)} did not end within 10 s of SIGKILL.")
            time.sleep(_POLL_S)
        for name in names:
            (self._pids / f"{name}.json").unlink(missing_ok=True)

    def wait_until(self, name: str, ready: Callable[[], bool], timeout_s: float, poll_s: float = _POLL_S) -> None:
        """Return when `ready` says so; ClusterError with the last lines of its log where the daemon ends first."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self.get(name) is None:
                raise ClusterError(f"{name} ended while it started: {self.last_words(name)}")
            if time.monotonic() > deadline:
                raise ClusterError(f"{name} was not ready after {timeout_s:.0f} s: {self.last_words(name)}")
            time.sleep(poll_s)

    def last_words(self, name: str, lines: int = 3) -> str:
        """The last lines of what the daemon printed, joined into one."""
        try:
            text = (self._logs / f"{name}.out").read_text(errors="replace")
        except FileNotFoundError:
            return "(it printed nothing)"
        return " | ".join(text.strip().splitlines()[-lines:]) or "(it printed nothing)"
