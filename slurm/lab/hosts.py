"""What a host is, as it says itself when it is looked at, and how one that cannot be of a lab is refused. Pure."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from slurm.lab.errors import ClusterError

CLOCK_SECONDS = 60.0
"""munge takes a credential for five minutes (munged(8), --max-ttl); a tenth is the way to a working lab."""
RELEASES = ("20.11", "21.08", "22.05", "23.02", "23.11", "24.05", "24.11", "25.05", "25.11")
"""SLURM's releases in their order: one talks to those up to two before it (slurm.schedmd.com/upgrades.html)."""
RELEASES_APART = 2
MOST_OF = 2
"""Of two clocks that differ nobody knows which one is wrong: ours is believed."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NODE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU as the driver lists it."""

    device: str
    """Its device file."""
    model: str = ""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a host says of itself."""

    hostname: str
    user: str
    uid: int
    boot: str
    """Which boot of which machine, and which of its networks: the same twice is the same host."""
    clock: float
    """Seconds since 1970."""
    cores: int
    memory_mb: int
    address: str = ""
    """Under which we reached it; '' for this host itself."""
    caller: str = ""
    """Our address, as it sees us."""
    gpus: tuple[Gpu, ...] = ()
    gpu_problem: str = ""
    slurm: str = ""
    """Version of the installed SLURM, '' where a part of it is missing."""
    missing: tuple[str, ...] = ()
    """Debian packages of which a program is not there."""
    system: str = ""
    """Distribution and version, as debian-12."""
    unpacked: str = ""
    """Version of the SLURM that lies unpacked for its distribution in the lab's folder."""
    unpacks: bool = False
    """Whether packages can be fetched and unpacked there without root."""
    seen: str = ""
    """What it reads in the file that we wrote into the lab's folder."""
    maps: bool = True
    """Whether files in the lab's folder can be mapped into memory."""
    mount: str = ""
    """Type and source of the file system of the lab's folder: 'nfs4 tanuki:/export'."""
    blocks: tuple[int, ...] = ()
    """Of the blocks of ports that were asked for, those that are free there."""
    taken: tuple[str, ...] = ()
    """Who listens on a port that was asked for, in words."""


def check_names(names: Sequence[str]) -> None:
    """Raise ClusterError where a name is none, or is given twice."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise ClusterError(
                f"'{name}' is no name of a host: say it as ssh takes it, without a user, who is the same everywhere"
            )
        if names.count(name) > 1:
            raise ClusterError(f"the host {name} is named twice: say each once")


def node_name(name: str, look: Look) -> str:
    """How SLURM calls it: as the person does, where SLURM can."""
    return name if _NODE.fullmatch(name) else look.hostname


def release(version: str) -> int:
    """The place of a version such as '22.05.8' among SLURM's releases. Raises ClusterError for none of them."""
    match = re.match(r"(\d+)\.(\d+)", version)
    found = f"{match[1]}.{match[2]}" if match else version
    if found in RELEASES:
        return RELEASES.index(found)
    if match and (int(match[1]), int(match[2])) > tuple(map(int, RELEASES[-1].split("."))):
        return len(RELEASES)
    raise ClusterError(f"SLURM {version} is none that orch knows: it needs {RELEASES[0]} or newer")


def clock_off(look: Look, before: float, after: float) -> float:
    """How many seconds its clock is before ours at least, given our clock before and after we asked."""
    if look.clock < before:
        return look.clock - before
    return max(0.0, look.clock - after)


def by_most(off: Mapping[str, float]) -> dict[str, float]:
    """Seconds by which clocks are wrong, first by ours, then by that of most hosts: ours may be the wrong one."""
    middle = statistics.median_low(off.values()) if len(off) > MOST_OF else 0.0
    return {name: seconds - middle if abs(middle) > CLOCK_SECONDS else seconds for name, seconds in off.items()}


def problems(
    looks: Mapping[str, Look], off: Mapping[str, float], *, user: str, uid: int, folder: str, nonce: str
) -> Iterator[tuple[str, str]]:
    """What keeps these hosts from being a lab: host, and a sentence with the mend.

    `off`: host → seconds by which its clock is wrong; `nonce`: what every host must read in the lab's folder.
    """
    seen: dict[str, str] = {}
    nodes: dict[str, str] = {}
    for name, look in looks.items():
        if look.boot in seen:
            yield name, f"{name} and {seen[look.boot]} are the same host: name it once"
        seen[look.boot] = name
        if look.uid != uid:
            yield (
                name,
                f"you are {look.user} with the user id {look.uid} on {name}, and {user} with {uid} here: "
                "a lab needs the same on every host, so let your administrator make them equal",
            )
        elif look.seen != nonce:
            yield (
                name,
                f"{name} does not see {folder} as this host does, or may not write there: mount the shared folder "
                "under the same path, or name with --folder one that all hosts share",
            )
        elif not look.maps:
            yield (
                name,
                f"files in {folder} cannot be mapped into memory on {name} ({look.mount}), as SLURM needs: "
                "mount it without direct I/O, or name another folder with --folder",
            )
        if abs(off[name]) > CLOCK_SECONDS:
            yield (
                name,
                f"the clock of {name} is {abs(off[name]):.0f} s {'ahead' if off[name] > 0 else 'behind'}, and "
                "SLURM's messages would be refused: set it there (`timedatectl set-ntp true`, as root)",
            )
        for taken in look.taken:
            yield (
                name,
                f"the port {taken} of {name} is taken: end that, or take the lab down and give `orch lab up` another "
                "--port",
            )
        node = node_name(name, look)
        if node in nodes:
            yield name, f"{name} and {nodes[node]} would both be {node} for SLURM: call them by other names"
        nodes[node] = name


def check_versions(versions: Mapping[str, str]) -> None:
    """Raise ClusterError where SLURM's versions on these hosts do not understand each other. host → version."""
    ordered = sorted(versions, key=lambda name: release(versions[name]))
    if not ordered:
        return
    old, new = ordered[0], ordered[-1]
    if release(versions[new]) - release(versions[old]) > RELEASES_APART:
        raise ClusterError(
            f"SLURM is {versions[old]} on {old} and {versions[new]} on {new}, and understands no more than "
            f"{RELEASES_APART} releases: leave one of them out, or install a newer SLURM on {old}"
        )
