"""Ports and sockets of a cluster: which are free, and which answer."""

import random
import socket
from collections.abc import Iterable
from pathlib import Path

from slurm.lab.errors import ClusterError

FIRST_PORT, LAST_PORT = 20000, 32000
"""Below those that the kernel gives to outgoing connections."""


def free_block(count: int) -> int:
    """The first of `count` ports in a row that nobody listens on here."""
    for _ in range(200):
        first = random.randrange(FIRST_PORT, LAST_PORT, 10)
        if is_free(range(first, first + count)):
            return first
    raise ClusterError(f"No block of {count} free TCP ports was found between {FIRST_PORT} and {LAST_PORT}.")


def is_free(ports: Iterable[int]) -> bool:
    """Whether nobody listens on any of these ports of this host."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                return False
    return True


def listens(port: int, address: str = "127.0.0.1", timeout_s: float = 1.0) -> bool:
    """Whether somebody takes connections at this port."""
    try:
        with socket.create_connection((address, port), timeout_s):
            return True
    except OSError:
        return False


def connects(path: Path) -> bool:
    """Whether somebody takes connections at this Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        return probe.connect_ex(str(path)) == 0
