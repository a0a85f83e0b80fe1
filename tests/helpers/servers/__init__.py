"""Pretend servers of a lab on this machine: own address, name, boot, disk and sshd, and one folder that they share.

>>> with servers() as lab:  # doctest: +SKIP
...     lab["usagi"].run("ssh", "tanuki", "hostname")

Everything lives in namespaces below one process, whose end (with the test's, however it dies) takes all of it away.
Nothing of this machine's own network, disk or /etc is touched. Needs root.
"""

from tests.helpers.servers.etc import OTHER, USER
from tests.helpers.servers.lab import NAMES, Servers, servers
from tests.helpers.servers.server import SHARED, Server
from tests.helpers.servers.shelf import Shelf

__all__ = ["NAMES", "OTHER", "SHARED", "USER", "Server", "Servers", "Shelf", "servers"]
