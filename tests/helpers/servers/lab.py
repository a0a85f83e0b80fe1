"""The whole pretend lab, made and taken away."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

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


@contextlib.contextmanager
def servers(*names: str, megabytes: int = 512) -> Iterator[Servers]:
    """Pretend servers (NAMES unless named), whose shared folder holds `megabytes` MiB of this machine's memory.

    Left out, in one line, where this user may have none, unless ORCH_REQUIRE_SLURM is set.
    """
    why = why_not()
    if why:
        line = f"!!! pretend servers were NOT tried: {why}"
        assert not os.environ.get("ORCH_REQUIRE_SLURM"), line
        pytest.skip(line)
    room = Room()
    try:
        yield Servers(room, names or NAMES, megabytes)
    finally:
        room.close()
