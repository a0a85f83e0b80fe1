"""A pretend server: what a plain user finds who logs in there."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.helpers.servers.box import Box
from tests.helpers.servers.etc import USER, USERS, write_etc, write_home, write_sshd
from tests.helpers.servers.room import COVERED, NETWORKS, Room
from tests.helpers.servers.shelf import MOUNTED

SHARED = Path("/srv/lab")
"""The shared folder on every server. Each user owns the folder of his name in it."""

_OWN = ("/home", "/var/tmp")
"""Of COVERED, what is on the server's disk; the rest is gone with its power, as /tmp."""

# auto: what is opened to write is read and written on the shelf itself, so that two hosts see the same, and what is
# only read may be mapped into memory, as slurmctld does with job scripts.
# Its arguments: name, disk, number, then words of folders: covers, and what is kept as `place=source`.
_BOOT = """
name=$1 disk=$2 number=$3 networks=$4 own=$5 passing=$6 covers=$7 kept=$8
hostname "$name"
mount --bind "$disk/boot_id" /proc/sys/kernel/random/boot_id
mount --bind "$disk/etc" /etc
for folder in $passing; do mount -t tmpfs -o mode=1777 tmpfs "$folder"; done
for folder in $covers; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
for folder in $own; do mount --bind "$disk$folder" "$folder"; done
chmod 755 /run
for pair in $kept; do mkdir -p "${pair%%=*}"; mount --bind "${pair#*=}" "${pair%%=*}"; done
mkdir -p /run/sshd
mount -t tmpfs -o mode=755 tmpfs /srv
mkdir /srv/lab
until ip link show net >/dev/null 2>&1 && ip link show store >/dev/null 2>&1; do sleep 0.02; done
ip link set lo up
for pair in $networks; do
  ip address add "${pair#*=}.$number/24" dev "${pair%%=*}"
  ip link set "${pair%%=*}" up
done
glusterfs -f /etc/shared.vol -l /run/shared.log --attribute-timeout=0 --entry-timeout=0 \
  --negative-timeout=0 --direct-io-mode=auto --auto-invalidation=on /srv/lab
for try in $(seq 500); do test ! -d /srv/lab/mai || break; sleep 0.02; done
test -d /srv/lab/mai || cat /run/shared.log
/usr/sbin/sshd
echo ready
while :; do sleep 86400 & wait $!; done
"""

# In /proc/net/tcp: 0016 and 08AE are the ports 22 and 2222, 0A says that somebody listens.
_LISTENS = ":({}) [0-9A-F]+:0000 0A"
_DEAF = f"""
for file in /run/sshd.pid /run/slow.pid; do test ! -s $file || kill -KILL "$(cat $file)" || true; rm -f $file; done
while grep -qE '{_LISTENS.format("0016|08AE")}' /proc/net/tcp; do sleep 0.02; done
"""

# Hands on what it hears each way only after so many seconds.
_SLOW = """
import socket, sys, threading, time
def carry(source, sink):
    while data := source.recv(65536):
        time.sleep(float(sys.argv[2])); sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)
server = socket.create_server((sys.argv[1], 22))
while True:
    near, _ = server.accept()
    far = socket.create_connection((sys.argv[1], 2222))
    for pair in ((near, far), (far, near)):
        threading.Thread(target=carry, args=pair, daemon=True).start()
"""


class Server(Box):
    """A server of the lab. `hosts`: name and number of all; `programs`: folders that a user's PATH begins with."""

    def __init__(
        self, room: Room, name: str, hosts: Sequence[tuple[str, int]], keys: Path, programs: Sequence[Path]
    ) -> None:
        super().__init__(room, name, dict(hosts)[name])
        self._etc = self.disk / "etc"
        self._programs = programs
        self._clock: dict[str, str] = {}
        self._sessions: list[str] = []
        write_etc(room, self._etc, name, hosts, keys)
        for folder in _OWN:
            mode = "1777" if folder.endswith("tmp") else "755"
            room.run("mkdir", "-p", "-m", mode, str(self.disk / folder[1:]))
        for user in USERS:
            write_home(room, self.disk / "home" / user, user, keys)
        room.path(self._etc / "shared.vol").write_text(MOUNTED)

    def environment(self, user: str = USER) -> dict[str, str]:
        """What a session of that user finds there."""
        folders = [*map(str, self._programs), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        return {
            "PATH": ":".join(folders),
            "LANG": "C.UTF-8",
            "HOME": f"/home/{user}",
            "USER": user,
            "LOGNAME": user,
            "SHELL": "/bin/bash",
        }

    # ---- power

    def boot(self, clock: str = "") -> None:
        """Switch it on: a new boot. `clock`: how wrong its clock goes, as libfaketime writes it, such as `+1h`."""
        place = self.room.path(self._etc)
        (place / "faketimerc").write_text(f"{clock}\n")
        # Loaded into every program there, whatever environment it was given; the shared folder keeps the shelf's times.
        preload = place / "ld.so.preload"
        if clock:
            (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
            preload.write_text(f"{library}\n")
        else:
            preload.unlink(missing_ok=True)
        found = self.environment()
        self._clock = {"NO_FAKE_STAT": "1"} if clock else {}
        session = {"PATH": found["PATH"], "LANG": found["LANG"], **self._clock}
        self._sessions = [f"{key}={value}" for key, value in session.items()]
        write_sshd(place, self.address, self._sessions, 22)
        passing = [folder for folder in COVERED if folder not in _OWN]
        self._boot(
            _BOOT,
            *(self.name, str(self.disk), str(self.number)),
            " ".join(f"{cable}={network}" for cable, network in NETWORKS.items()),
            *(" ".join(_OWN), " ".join(passing), " ".join(self.room.covers())),
            " ".join(f"{place}={source}" for place, source in self.room.kept.items()),
        )

    # ---- a user there

    def start(
        self,
        *command: str,
        user: str = USER,
        cwd: Path | str | None = None,
        extra: Mapping[str, str] | None = None,
        out: int | None = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """Start a command of a user's, in his home or `cwd`; `out` takes all that it prints."""
        given = {**self.environment(user), **self._clock, **(extra or {})}
        words = [f"{name}={value}" for name, value in given.items()]
        go = ("/usr/bin/env", "-i", *words, "/bin/sh", "-c", 'cd "$0" && exec "$@"', str(cwd or given["HOME"]))
        return subprocess.Popen(
            self.enter(*go, *command, number=USERS[user]),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )

    def run(
        self,
        *command: str,
        user: str = USER,
        cwd: Path | str | None = None,
        extra: Mapping[str, str] | None = None,
        code: int | None = 0,
        timeout: float = 60,
    ) -> str:
        """All that such a command printed. It must end with `code` (None: any) within `timeout` seconds."""
        process = self.start(*command, user=user, cwd=cwd, extra=extra)
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{self.name}: `{shlex.join(command)}` did not end in {timeout:.0f} s") from None
        assert code in (None, process.returncode), (
            f"{self.name}: `{shlex.join(command)}` ended with {process.returncode}: {said}"
        )
        return said

    def processes_of(self, user: str = USER) -> dict[int, str]:
        """What runs there as that user, an ssh session's own processes left out."""
        own = {}
        for pid, words in self.processes().items():
            try:
                mine = Path(f"/proc/{pid}").stat().st_uid == USERS[user]
            except OSError:
                continue
            if mine and not words.startswith("sshd:"):
                own[pid] = words
        return own

    def files_of(self, user: str = USER) -> set[str]:
        """Paths of that user's files on the server's own disks: its home, the temporary folders, /run."""
        found = self.as_root("find", *COVERED, "-user", user, "-print")
        return set(found.splitlines())

    # ---- ssh

    def refuse_ssh(self) -> None:
        """Nobody listens for ssh any more; sessions there are go on."""
        self.as_root("/bin/sh", "-c", _DEAF)

    def allow_ssh(self) -> None:
        """Listen again, as at the boot."""
        self.refuse_ssh()
        self._listen(22)

    def slow_ssh(self, seconds: float) -> None:
        """From now on each packet of ssh takes so long, either way, until `allow_ssh`."""
        self.refuse_ssh()
        self._listen(2222)
        relay = 'echo $$ >/run/slow.pid; exec "$@" </dev/null >/dev/null 2>&1'
        subprocess.Popen(
            self.enter("/bin/sh", "-c", relay, "sh", sys.executable, "-c", _SLOW, self.address, str(seconds)),
            env={"PATH": "/usr/bin:/bin"},
            start_new_session=True,
        )
        self.as_root("/bin/sh", "-c", f"until grep -qE '{_LISTENS.format('0016')}' /proc/net/tcp; do sleep 0.02; done")

    def _listen(self, port: int) -> None:
        write_sshd(self.room.path(self._etc), self.address, self._sessions, port)
        self.as_root("/usr/sbin/sshd")
