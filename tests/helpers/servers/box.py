"""A machine in the room, whatever it does: its namespaces, its two cables, its power."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.servers.room import BASE, NETWORKS, Room, children

_SPACES = ("--net", "--uts", "--mount", "--pid", "--ipc", "--time", "--fork", "--kill-child", "--mount-proc")


class Box:
    """Off at first. Its disk outlives its power; `number` is the last one of its addresses."""

    def __init__(self, room: Room, name: str, number: int) -> None:
        self.room = room
        self.name = name
        self.number = number
        self.disk = BASE / "disk" / name
        self.boot_id = ""
        self._process: subprocess.Popen[str] | None = None
        self._first = 0
        room.run("mkdir", "-p", str(self.disk))

    @property
    def address(self) -> str:
        return f"{NETWORKS['net']}.{self.number}"

    @property
    def on(self) -> bool:
        return self._process is not None

    def path(self, path: Path | str) -> Path:
        """That file as the running machine sees it."""
        return Path(f"/proc/{self._first}/root{path}")

    # ---- power

    def _boot(self, script: str, *arguments: str) -> None:
        """Start it with a shell script that prints `ready` once all is up, and then stays."""
        assert not self.on, f"{self.name} is on"
        self.boot_id = str(uuid.uuid4())
        self.room.path(self.disk / "boot_id").write_text(f"{self.boot_id}\n")
        # The clocks that count from the boot start anew, as the kernel's own would.
        up = int(float(Path("/proc/uptime").read_text().split()[0])) - 1
        spaces = [*_SPACES, "--propagation=private", f"--boottime=-{up}", f"--monotonic=-{up}"]
        process = self.room.start("unshare", *spaces, "sh", "-euc", script, "sh", *arguments)
        self._process = process
        assert process.stdout is not None
        said: list[str] = []
        try:
            self._first = self._first_of(process)
            self._cables()
            for line in process.stdout:
                if line == "ready\n":
                    return
                said.append(line)
        except AssertionError as error:
            said.append(f"{error}")
        said.append(self.cut())
        raise AssertionError(f"{self.name} did not start: {''.join(said)}")

    def cut(self) -> str:
        """Cut its power: nobody hears of it, and all that ran or was mounted there is gone when this returns.

        Returns what its first process had printed since it was up.
        """
        process = self._process
        assert process is not None, f"{self.name} is off"
        for cable in NETWORKS:  # before it dies: no packet tells that it did
            self.room.run("ip", "link", "set", self._plug(cable), "down", check=False)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._first, signal.SIGKILL)
        process.wait(60)
        assert process.stdout is not None
        said = process.stdout.read()
        process.stdout.close()
        self._process = None
        for cable in NETWORKS:
            self.room.run("ip", "link", "delete", self._plug(cable), check=False)
        return said

    def _first_of(self, process: subprocess.Popen[str]) -> int:
        """The first process in its space: nsenter's child is unshare, and the child of that is it."""
        end = time.monotonic() + 20
        while time.monotonic() < end and process.poll() is None:
            for entered in children(process.pid):
                for first in children(entered):
                    if _space(first) not in ("", _space(self.room.pid)):
                        return first
            time.sleep(0.01)
        raise AssertionError("no process came up there; ")

    # ---- cables

    def _plug(self, cable: str) -> str:
        return f"{self.name}-{cable}"

    def _cables(self) -> None:
        """Lay both; the machine's ends are called as the cables are, with the same hardware address at each boot."""
        for index, cable in enumerate(NETWORKS):
            hardware = f"02:00:00:00:{index:02x}:{self.number:02x}"
            plug, spare = self._plug(cable), f"x{secrets.token_hex(4)}"
            self.room.script(
                'ip link add "$1" type veth peer name "$2" address "$3"; ip link set "$1" master "$4" up',
                *(plug, spare, hardware, cable),
            )
            # From outside the room, as the number of the process is the one that it has there.
            move = ("ip", "link", "set", spare, "netns", str(self._first), "name", cable)
            words = ["nsenter", f"--target={self.room.pid}", "--net", "--", *move]
            done = subprocess.run(words, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr

    def pull(self, *cables: str) -> None:
        """Pull those cables, or both."""
        for cable in cables or NETWORKS:
            self.room.run("ip", "link", "set", self._plug(cable), "down")

    def plug(self, *cables: str) -> None:
        """Plug those cables in again, or both."""
        for cable in cables or NETWORKS:
            self.room.run("ip", "link", "set", self._plug(cable), "up")

    @contextlib.contextmanager
    def pulled(self, *cables: str) -> Iterator[None]:
        """Those cables, or both, are pulled meanwhile."""
        self.pull(*cables)
        try:
            yield
        finally:
            self.plug(*cables)

    # ---- what runs there

    def enter(self, *command: str, number: int = 0) -> list[str]:
        """`command` as it is typed outside to be run there by the user and group of that number, root unless given."""
        assert self.on, f"{self.name} is off"
        spaces = ("--mount", "--net", "--uts", "--ipc", "--pid", "--time")
        become = (f"--setuid={number}", f"--setgid={number}") if number else ()
        return ["nsenter", f"--target={self._first}", *spaces, *become, "--wd=/", *command]

    def as_root(self, *command: str, check: bool = True) -> str:
        """What a command of root's printed there."""
        given = {"PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", "HOME": "/"}
        done = subprocess.run(
            self.enter(*command), stdin=subprocess.DEVNULL, capture_output=True, text=True, env=given, timeout=60
        )
        assert not check or done.returncode == 0, f"{self.name}: {' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def processes(self) -> dict[int, str]:
        """Every living process there: its number in this process's eyes, and its words."""
        found: dict[int, str] = {}
        space = _space(self._first)
        for folder in Path("/proc").glob("[0-9]*"):
            if _space(int(folder.name)) == space != "":
                with contextlib.suppress(OSError):
                    words = (folder / "cmdline").read_bytes()
                    if words:  # else one that ended, and nobody asked how
                        found[int(folder.name)] = words.decode(errors="replace").replace("\0", " ").strip()
        return found


def _space(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""
