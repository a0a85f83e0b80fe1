"""The /etc of a pretend server: a copy of this machine's, with users, names and ssh keys of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.helpers.servers.room import NETWORKS, Room

USER = "mai"
OTHER = "ren"
USERS = {USER: 2001, OTHER: 2002}
"""Name to the number that both the user and its group have, on every server."""

_SSHD = """
Port {port}
ListenAddress {address}
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile /run/sshd.pid
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
PrintMotd no
MaxStartups 100
Subsystem sftp internal-sftp
SetEnv {environment}
"""


def write_etc(room: Room, etc: Path, name: str, hosts: Sequence[tuple[str, int]], keys: Path) -> None:
    """Make the folder `etc` of the room the /etc of the server `name`. `keys`: where `make_keys` put them."""
    room.script('mkdir -p "$1"; cp -a /etc/. "$1"; rm -rf "$1/slurm" "$1/munge" "$1/ssh"; mkdir "$1/ssh"', str(etc))
    place = room.path(etc)
    for file, line in (
        ("passwd", "{0}:x:{1}:{1}::/home/{0}:/bin/bash"),
        ("group", "{0}:x:{1}:"),
        ("shadow", "{0}:*:19000::::::"),
    ):
        text = (place / file).read_text()
        (place / file).write_text(text + "".join(line.format(*user) + "\n" for user in USERS.items()))
    lines = [f"{NETWORKS['net']}.{number}\t{host}" for host, number in hosts]
    (place / "hosts").write_text("\n".join(["127.0.0.1\tlocalhost", *lines, ""]))
    (place / "hostname").write_text(f"{name}\n")
    (place / "ssh/ssh_config").write_text("")
    known = [f"{host},{NETWORKS['net']}.{number} {_public(room, keys / host)}\n" for host, number in hosts]
    (place / "ssh/ssh_known_hosts").write_text("".join(known))
    room.script('cp -p "$1" "$2/ssh/ssh_host_ed25519_key"', str(keys / name), str(etc))


def write_sshd(place: Path, address: str, environment: Sequence[str], port: int) -> None:
    """sshd's settings into the /etc `place`. `environment`: what a session finds, as NAME=VALUE."""
    words = " ".join(f'"{word}"' for word in environment)
    (place / "ssh/sshd_config").write_text(_SSHD.format(port=port, address=address, environment=words))


def write_home(room: Room, home: Path, user: str, keys: Path) -> None:
    """A home folder from which the user may log in to every server."""
    room.script(
        'mkdir -p "$1/.ssh"; cp "$2" "$1/.ssh/id_ed25519"; cp "$2.pub" "$1/.ssh/authorized_keys"; '
        'chown -R "$3:$3" "$1"; chmod 700 "$1" "$1/.ssh"; chmod 600 "$1/.ssh/id_ed25519"',
        *(str(home), str(keys / user), str(USERS[user])),
    )


def make_keys(room: Room, keys: Path, names: Sequence[str]) -> None:
    """A throw-away ssh key for each host and user."""
    room.run("mkdir", "-p", "-m", "700", str(keys))
    for name in names:
        done = room.inside("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(keys / name))
        subprocess.run(done, check=True, capture_output=True, env={"PATH": "/usr/bin:/bin"})


def _public(room: Room, key: Path) -> str:
    return " ".join(room.path(f"{key}.pub").read_text().split()[:2])
