"""A host looks at itself: run by slurm.lab.agent on the host that is asked."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

from jobs.hosts import boot_id
from slurm.lab import gpulist, sockets
from slurm.lab.environment import user_name
from slurm.lab.errors import ClusterError
from slurm.lab.hosts import Look
from slurm.lab.orders import LookOrder
from slurm.lab.packages import Programs, missing_packages
from slurm.lab.record import PORTS
from slurm.lab.station import Station
from slurm.local.host import cores

SEEN_S = 5.0
MOST_BLOCKS = 20
"""Free ones of this many are enough to choose from."""


def look(order: LookOrder) -> Look:
    """All that a lab needs to know of this host."""
    connection = os.environ.get("SSH_CONNECTION", "").split()
    gpus, problem = gpulist.here()
    missing = tuple(missing_packages(accounting=False))
    where = Path(order.folder)
    unpacked = where / "packages" / system()
    free = [first for first in order.blocks if sockets.is_free(range(first, first + PORTS))]
    return Look(
        hostname=socket.gethostname().partition(".")[0],
        user=user_name(),
        uid=os.geteuid(),
        boot=f"{boot_id()} {_network()}",
        clock=time.time(),
        cores=cores(),
        memory_mb=_memory_mb(),
        address=connection[2] if len(connection) == 4 else "",
        caller=connection[0] if len(connection) == 4 else "",
        gpus=gpus,
        gpu_problem=problem,
        slurm="" if missing else version(Programs()),
        missing=missing,
        system=system(),
        unpacked=version(Programs(unpacked)) if _is_there(unpacked) else "",
        unpacks=all(shutil.which(name) for name in ("apt-get", "dpkg")),
        seen=_seen(where, order.nonce),
        maps=_maps(where, order.nonce),
        mount=mount(Path("/proc/self/mountinfo").read_text(errors="replace"), os.path.realpath(where)),
        blocks=tuple(free[:MOST_BLOCKS]),
        taken=_taken(order),
    )


def system() -> str:
    """The distribution and its version, as debian-12."""
    with contextlib.suppress(OSError):
        text = Path("/etc/os-release").read_text()
        found = dict(re.findall(r'^(ID|VERSION_ID)="?([\w.-]+)"?$', text, re.MULTILINE))
        return "-".join([found.get("ID", "linux"), *([found["VERSION_ID"]] if "VERSION_ID" in found else [])])
    return "linux"


def version(programs: Programs) -> str:
    """SLURM's version by `slurmd -V`, which says 'slurm-wlm 22.05.8'. Raises ClusterError."""
    done = subprocess.run(
        [programs.path("slurmd"), "-V"],
        capture_output=True,
        text=True,
        timeout=30,
        env=dict(os.environ) | programs.env(),
    )
    match = re.search(r"\d+\.\d+(\.\d+)?", done.stdout)
    if match is None:
        raise ClusterError(f"slurmd does not say its version: {(done.stderr or done.stdout).strip()[:100]}")
    return match[0]


def mount(table: str, path: str) -> str:
    """Type and source of the file system that `path` lies on, from /proc/self/mountinfo (proc(5))."""
    best, found = -1, ""
    for line in table.splitlines():
        left, dash, right = line.partition(" - ")
        words, about = left.split(), right.split()
        if not dash or len(words) < 5 or len(about) < 2:
            continue
        point = words[4].replace("\\040", " ").rstrip("/")
        if (path == point or path.startswith(f"{point}/")) and len(point) >= best:
            best, found = len(point), f"{about[0]} {about[1]}"
    return found


def _network() -> str:
    try:
        return str(Path("/proc/self/ns/net").readlink())
    except OSError:
        return ""


def _memory_mb() -> int:
    """Of the host, or what its container may use of it."""
    match = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    found = int(match[1]) // 1024 if match else 1024
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            found = min(found, int(Path(name).read_text()) >> 20)
    return found


def _seen(folder: Path, nonce: str) -> str:
    """What lies in the file that our caller wrote, where we can write beside it.

    A network file system may show a folder that is new to other hosts only after a while (nfs(5), acregmin).
    """
    own = folder / f".look-{nonce}-{os.getpid()}"
    end = time.monotonic() + SEEN_S
    while True:
        found = ""
        with contextlib.suppress(OSError):
            text = (folder / f".look-{nonce}").read_text()
            own.touch()
            own.unlink()
            found = text
        if found == nonce or time.monotonic() > end:
            return found
        time.sleep(0.5)


def _is_there(folder: Path) -> bool:
    """False also where we may not look, which another check tells."""
    try:
        return folder.is_dir()
    except OSError:
        return False


def _maps(folder: Path, nonce: str) -> bool:
    """Whether files there can be mapped into memory, as slurmctld does with its state (some FUSE mounts cannot)."""
    try:
        with (folder / f".look-{nonce}").open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
            return True
    except OSError:
        return False


def _taken(order: LookOrder) -> tuple[str, ...]:
    """Who listens on the lab's ports here and is not the lab itself."""
    if order.port is None:
        return ()
    if order.lab is not None and Station(order.lab.places()).daemons.running():
        return ()
    taken = [port for port in range(order.port, order.port + PORTS) if not sockets.is_free([port])]
    return tuple(f"{port} ({_listener(port)})" for port in taken)


def _listener(port: int) -> str:
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid:
                found = psutil.Process(one.pid)
                return f"{found.name()} of {found.username()}, pid {one.pid}"
    return "somebody else's"
