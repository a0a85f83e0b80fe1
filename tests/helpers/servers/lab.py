"""The whole pretend lab, made and taken away."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.helpers.servers.etc import USERS, make_keys
from tests.helpers.servers.room import BASE, Room, why_not
from tests.helpers.servers.server import SHARED, Server
from tests.helpers.servers.shelf import Shelf

NAMES = ("usagi", "tanuki", "kitsune")


class Servers:
    """Servers by name, all on, and the shelf of their shared folder."""

    def __init__(self, room: Room, names: Sequence[str], megabytes: int) -> None:
        self.room = room
        hosts = [(name, number) for number, name in enumerate(names, start=1)]
        keys = BASE / "keys"
        make_keys(room, keys, [*names, *USERS])
        self.shelf = Shelf(room, megabytes)
        self.shelf.boot()
        for user, number in USERS.items():
            folder = self.shelf.files / user
            folder.mkdir(mode=0o755)
            os.chown(folder, number, number)
        programs = [Path(sys.prefix) / "bin"]
        self.servers = {name: Server(room, name, hosts, keys, programs) for name in names}
        for server in self.servers.values():
            server.boot()

    def __getitem__(self, name: str) -> Server:
        return self.servers[name]

    def __iter__(self) -> Iterator[Server]:
        return iter(self.servers.values())

    def shared(self, path: Path | str) -> Path:
        """A path of the shared folder, as servers name it, for this process: no cable is between. Not for SQLite."""
        return self.shelf.files / Path(path).relative_to(SHARED)

    def keep(self, folder: str) -> None:
        """Copy the users' folders and the logs of the servers that are on to `folder`/TIME, to explain a run by."""
        if not folder:
            return
        place = Path(folder) / time.strftime("%H%M%S")
        shutil.copytree(self.shelf.files, place / "shared", symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
        for server in self:
            for log in server.path("/tmp").glob("orch-lab-*/log/*") if server.on else ():
                (place / server.name).mkdir(parents=True, exist_ok=True)
                shutil.copy(log, place / server.name)


@contextlib.contextmanager
def servers(*names: str, megabytes: int = 512) -> Iterator[Servers]:
    """Pretend servers (NAMES unless named), whose shared folder holds `megabytes` MiB of this machine's memory.

    Where this user may have none (`why_not`), that is an error.
    """
    assert not (why := why_not()), why
    room = Room()
    made: list[Servers] = []
    try:
        made.append(Servers(room, names or NAMES, megabytes))
        yield made[0]
    finally:
        for lab in made:
            lab.keep(os.environ.get("ORCH_LAB_KEEP", ""))
        room.close()
