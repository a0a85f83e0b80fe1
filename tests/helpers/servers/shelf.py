"""What holds the shared folder: a machine of its own that serves it by GlusterFS.

Chosen because it is FUSE (this kernel, and many of CI, know no NFS), because it keeps locks of files between hosts (of
sshfs they hold on one host alone, so that a store there would be torn), users as they are, and because what asks while
the cable is out hangs until it is back, as with a hard mount of NFS. A host that is silent for 45 s loses its locks.
"""

from __future__ import annotations

from pathlib import Path

from tests.helpers.servers.box import Box
from tests.helpers.servers.room import NETWORKS, Room

NAME = "shelf"
NUMBER = 250
ADDRESS = f"{NETWORKS['store']}.{NUMBER}"

_SERVED = f"""
volume files
  type storage/posix
  option directory /srv/disk/{NAME}/disk
end-volume
volume shared
  type features/locks
  subvolumes files
end-volume
volume server
  type protocol/server
  option transport-type tcp
  option transport.socket.bind-address {ADDRESS}
  option transport.socket.listen-port 24007
  option transport.socket.keepalive-time 15
  option transport.socket.keepalive-interval 5
  option transport.socket.keepalive-count 6
  option transport.tcp-user-timeout 45
  option auth.addr.shared.allow *
  subvolumes shared
end-volume
"""

MOUNTED = f"""
volume shared
  type protocol/client
  option transport-type tcp
  option remote-host {ADDRESS}
  option remote-port 24007
  option remote-subvolume shared
  option ping-timeout 0
  option transport.tcp-user-timeout 3600
  option transport.socket.keepalive-time 3600
end-volume
"""
"""What a server's mount is made of."""

_BOOT = f"""
hostname {NAME}
mount -t tmpfs tmpfs /run
until ip link show store >/dev/null 2>&1; do sleep 0.02; done
ip link set lo up
ip address add {ADDRESS}/24 dev store
ip link set store up
glusterfsd -f "$1" -l "$2" -p /run/shelf.pid
until grep -q 5DC7 /proc/net/tcp; do sleep 0.02; done
echo ready
while :; do sleep 86400 & wait $!; done
"""
"""5DC7 is its port, 24007."""


class Shelf(Box):
    """The machine of the shared folder, a disk of `megabytes` MiB that lives in memory."""

    def __init__(self, room: Room, megabytes: int) -> None:
        super().__init__(room, NAME, NUMBER)
        self._conf = self.disk / "served.vol"
        room.path(self._conf).write_text(_SERVED)
        room.script(
            'mkdir -p "$1/disk"; mount -t tmpfs -o "size=$2m,mode=755" tmpfs "$1/disk"',
            str(self.disk),
            str(megabytes),
        )

    @property
    def files(self) -> Path:
        """The shared folder as it lies on the shelf, for this process: it answers whatever cable is out."""
        return self.room.path(self.disk / "disk")

    def boot(self) -> None:
        self._boot(_BOOT, str(self._conf), "/srv/log/shelf.log")

    def fill(self) -> None:
        """Leave no byte of room."""
        self.room.script('dd if=/dev/zero of="$1/disk/.ballast" bs=64k 2>/dev/null || true', str(self.disk))

    def clear(self) -> None:
        """Take away what `fill` put there."""
        (self.files / ".ballast").unlink()
