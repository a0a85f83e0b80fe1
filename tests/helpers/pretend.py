"""A pretend host: commands under a host name, pids and a boot of their own (unshare(1)), on the same folder."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path


def allowed() -> bool:
    """Whether this machine lets us have namespaces."""
    return subprocess.run([*_unshare(), "true"], capture_output=True).returncode == 0


def _unshare() -> list[str]:
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *root, "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]


class PretendHost:
    """Alive from the first command's start until its power is cut."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str], command: list[str]) -> None:
        script = 'hostname "$1"; shift; "$@"; exec sleep 600'
        self.name = name
        self._said = folder / f"{name}.txt"
        with self._said.open("w") as out:
            self.process = subprocess.Popen(
                [*_unshare(), "sh", "-c", script, "sh", name, *command],
                cwd=folder,
                env={**environment, "ORCH_PRETENDED_BOOT_ID": f"boot-of-{name}"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def pids(self) -> list[int]:
        """All processes on it, as they are numbered here."""
        (first,) = _children(self.process.pid)
        space = _space(Path(f"/proc/{first}"))
        return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _space(path) == space]

    def freeze(self) -> None:
        """It answers nobody: as a hanging kernel, or a cable that was pulled."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def cut(self) -> None:
        """Cut its power."""
        self.process.kill()
        self.process.wait()

    def _send(self, number: signal.Signals) -> None:
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _space(process: Path) -> str:
    try:
        return str((process / "ns/pid").readlink())
    except OSError:
        return ""
