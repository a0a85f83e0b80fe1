"""Who controls the lab now, told without SLURM's commands, which hang when nobody does."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from slurm.lab import sockets
from slurm.lab.record import Lab, Member

CONNECT_S = 2.0
LATE_S = 10.0
"""slurmctld writes its heartbeat every quarter of SlurmctldTimeout, its backup waits for that time, and a busy host is
late by so much more."""
_HEARTBEAT = struct.Struct("!QQ")
"""Seconds since 1970 and the number of the writing controller (slurmctld/heartbeat.c)."""


@dataclass(frozen=True)
class Heartbeat:
    """What the controller in charge writes into the shared folder."""

    controller: int
    age_s: float


def heartbeat(data: bytes, age_s: float) -> Heartbeat | None:
    """Read the file; None for anything else."""
    if len(data) < _HEARTBEAT.size:
        return None
    return Heartbeat(_HEARTBEAT.unpack_from(data)[1], age_s)


def read_heartbeat(lab: Lab) -> Heartbeat | None:
    """The newest heartbeat, aged by the clock of the file system that it lies on."""
    path, own = lab.state / "heartbeat", lab.place / f".now-{os.getpid()}"
    try:
        data, written = path.read_bytes(), path.stat().st_mtime
        own.touch()
        now = own.stat().st_mtime
    except OSError:
        return None
    finally:
        with contextlib.suppress(OSError):
            own.unlink()
    return heartbeat(data, max(0.0, now - written))


def answering(lab: Lab) -> tuple[bool, ...]:
    """Of each controller, whether it takes connections from here."""
    members = lab.controllers()

    def one(member: Member) -> bool:
        return sockets.listens(lab.port, member.address, CONNECT_S)

    with ThreadPoolExecutor(len(members)) as pool:
        return tuple(pool.map(one, members))


def trouble(lab: Lab) -> str:
    """Why SLURM does not answer, in one sentence with the mend; '' where it should."""
    alive = answering(lab)
    return "" if alive == (True,) else judge(lab, alive, read_heartbeat(lab))


def split(lab: Lab, in_charge: Collection[str]) -> str:
    """The sentence for two controllers that are in charge at once, '' otherwise. Pure. `in_charge`: hosts."""
    names = [one.name for one in lab.controllers()]
    if len(names) < 2 or not set(names) <= set(in_charge):
        return ""
    return (
        f"{names[0]} and its backup {names[1]} are both in charge of the lab, as after a cable that was pulled: "
        f"{names[0]} takes it back within {lab.controller_timeout_s} s where it reaches {names[1]}; where it stays so, "
        f"mend the network between them, and `orch lab up` ends the backup's; each result counts once all the same"
    )


def ended_itself(name: str) -> str:
    """What became of a controller that saw that another one writes the state as well: SLURM tears no state."""
    return f"slurmctld of {name} ended itself, as it and another one were in charge at once"


def judge(lab: Lab, alive: tuple[bool, ...], beat: Heartbeat | None) -> str:
    """Why no jobs are taken or started, by who takes connections and whose heartbeat it is. Pure."""
    members = lab.controllers()
    first = members[0].name
    fresh = beat is not None and beat.age_s <= lab.controller_timeout_s + LATE_S
    if alive[0]:
        usurped = beat is not None and fresh and beat.controller == 1
        return split(lab, [one.name for one in members]) if usurped and all(alive) else ""
    if beat is not None and fresh and beat.controller == 0:
        since = f"it wrote its heartbeat into the shared folder {beat.age_s:.0f} s ago"
        standby = ""
        if len(alive) > 1:
            backup = f"the backup on {members[1].name}"
            standby = f", so that {backup} stays in standby" if alive[1] else f", and {backup} does not answer either"
        return (
            f"the lab's controller on {first} is cut off: {since}{standby}; mend the network of {first}, or end "
            f"slurmctld there; jobs go on meanwhile and nothing is lost"
        )
    if not any(alive):
        return (
            f"the lab's controller on {first} cannot be reached"
            + (f", nor its backup on {members[1].name}" if len(members) > 1 else "")
            + ": `orch lab up` mends what is down; jobs go on meanwhile and nothing is lost"
        )
    if beat is not None and fresh:
        return ""  # the backup is in charge
    return (
        f"the lab's controller on {first} is gone, and the backup on {members[1].name} takes over within "
        f"{2 * lab.controller_timeout_s} s; "
        f"`orch lab up` starts it again once {first} is back"
    )
