"""Ports and sockets of a cluster: which are free, and which answer."""

import random
import socket
from pathlib import Path

from slurm.testcluster.config import Ports, Settings
from slurm.testcluster.errors import ClusterError


def free_ports(settings: Settings) -> Ports:
    """A block of ports that nobody listens on, below those that the kernel gives to outgoing connections."""
    for _ in range(200):
        ports = Ports(random.randrange(20000, 32000, 10))
        if all(_is_free(port) for port in ports.all(settings)):
            return ports
    raise ClusterError("No block of free TCP ports was found between 20000 and 32000.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def listens(port: int) -> bool:
    """Whether somebody takes connections at this port of this host."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def connects(path: Path) -> bool:
    """Whether somebody takes connections at this Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        return probe.connect_ex(str(path)) == 0
