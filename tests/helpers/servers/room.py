"""The room in which the pretend servers stand: namespaces that end with this process, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

BASE = Path("/srv")
"""Hidden in the room below an empty disk in memory, which holds all that the servers own."""

COVERED = ("/home", "/root", "/run", "/tmp", "/var/tmp", "/dev/shm")
"""Folders of this machine that each server has of its own."""

NETWORKS = {"net": "10.77.0", "store": "10.77.1"}
"""Cable to its network: one for all that servers say to each other, one for the shared folder."""

PROGRAMS = ("unshare", "nsenter", "ip", "sshd", "ssh", "ssh-keygen", "glusterfs", "faketime", "rsync")

# At the end of its input it ends, and as the first process of its space takes all the others with it.
_START = """
set -e
mount -t tmpfs -o mode=755 tmpfs /srv
mkdir /srv/keep /srv/disk /srv/log
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up
for name in %s; do ip link add $name type bridge; ip link set $name up; done
echo ready
read -r nothing || true
"""


def why_not() -> str:
    """'' where pretend servers can be had here."""
    if os.geteuid() != 0:
        return "that needs root"
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        return f"{', '.join(missing)} is not here (make packages)"
    if not Path("/dev/fuse").exists():
        return "there is no /dev/fuse"
    spaces = ["--net", "--uts", "--mount", "--pid", "--ipc", "--time", "--fork", "--kill-child", "--mount-proc"]
    probe = "ip link add name net type bridge && ip link add one type veth peer name two && mount -t tmpfs none /srv"
    done = subprocess.run(["unshare", *spaces, "sh", "-c", probe], capture_output=True, text=True, env=_environment())
    return (done.stderr.strip() or f"unshare ended with {done.returncode}") if done.returncode else ""


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def _environment() -> dict[str, str]:
    return {"PATH": _path(), "LANG": "C.UTF-8", "HOME": "/"}


class Room:
    """Alive until `close`, or the end of this process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [
                *("unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"),
                *("--propagation", "private", "sh", "-c", _START % " ".join(NETWORKS)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(),
            cwd="/",
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        said = [self._process.stdout.readline()]
        if said[0] != "ready\n":
            said.append(self._process.stdout.read())
            self.close()
            raise AssertionError(f"the room of the pretend servers did not open: {''.join(said)}")
        (self.pid,) = children(self._process.pid)
        self._keep()

    def close(self) -> None:
        """End everything in it."""
        first = children(self._process.pid)
        for pid in first:  # unshare's end follows, and tells that all is gone
            os.kill(pid, signal.SIGKILL)
        if not first:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def path(self, path: Path | str) -> Path:
        """That file of the room, as this process may open it."""
        return Path(f"/proc/{self.pid}/root{path}")

    def inside(self, *command: str) -> list[str]:
        """`command` as it is typed outside to be run in the room."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--ipc", "--wd=/", *command]

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in the room; its output is one pipe."""
        return subprocess.Popen(
            self.inside(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(),
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, check: bool = True) -> str:
        """What a command in the room printed."""
        done = subprocess.run(
            self.inside(*command), stdin=subprocess.DEVNULL, capture_output=True, text=True, env=_environment()
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def script(self, text: str, *arguments: str) -> str:
        """What a shell script in the room printed; it ends at its first error."""
        return self.run("sh", "-euc", text, "sh", *arguments)

    def _keep(self) -> None:
        """Hold what a plain user must read, before it is covered or where it lies behind a closed folder."""
        self.kept: dict[str, Path] = {}
        for number, path in enumerate(_needed()):
            if _cover(path) is not None:
                self.kept[str(path)] = BASE / "keep" / str(number)
                self.script('mkdir "$2"; mount --bind "$1" "$2"', str(path), str(self.kept[str(path)]))

    def covers(self) -> list[str]:
        """Folders of this machine that servers do not see, beyond those of COVERED."""
        return sorted({cover for path in self.kept if (cover := _cover(Path(path)))} - set(COVERED))


def _needed() -> Iterator[Path]:
    """The code, the interpreter that runs this test, and all that it imports from."""
    paths = [Path(word) for word in sys.path if word and Path(word).is_dir()]
    found = {Path(__file__).parents[3], Path(sys.prefix), Path(sys.base_prefix), *paths}
    yield from sorted(path for path in found if not any(other in path.parents for other in found))


def _cover(path: Path) -> str | None:
    """The topmost folder over `path` that servers have of their own, or whose door is closed to other users."""
    for parent in [*reversed(path.parents), path]:
        if str(parent) in COVERED or not parent.stat().st_mode & 0o001:
            return str(parent)
    return None


def children(pid: int) -> list[int]:
    """The processes that the first thread of `pid` started and that it has not buried."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
