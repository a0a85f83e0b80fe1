"""Asking the hosts of a lab, all at once."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from jobs.files import write_bytes
from slurm.lab import orders
from slurm.lab.errors import ClusterError
from slurm.lab.hosts import Look, by_most, clock_off
from slurm.lab.orders import Answer, LabOrder, LookOrder
from slurm.lab.record import Lab
from slurm.lab.remote import Host

ASK_S, LOOK_S, START_S = 45.0, 60.0, 90.0
_AT_ONCE = 16


def host(name: str) -> Host:
    """The host of that name; this one is asked without ssh."""
    here = socket.gethostname()
    return Host(name, is_here=name in (here, here.partition(".")[0], "localhost"))


@dataclass
class Looked:
    """What hosts said of themselves."""

    looks: dict[str, Look] = field(default_factory=dict)
    off: dict[str, float] = field(default_factory=dict)
    """Seconds by which its clock is wrong."""
    failed: dict[str, ClusterError] = field(default_factory=dict)
    nonce: str = ""


def ask(verb: str, asked: Mapping[str, msgspec.Struct], timeout_s: float = ASK_S) -> dict[str, Answer | ClusterError]:
    """What each host answers, or why it does not."""

    def one(name: str) -> Answer | ClusterError:
        try:
            answer = orders.read(host(name).call(verb, orders.write(asked[name]), timeout_s), Answer)
        except ClusterError as error:
            return error
        return ClusterError(f"{name}: {answer.error}") if answer.error else answer

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(asked, pool.map(one, asked), strict=True))


def ask_lab(
    verb: str,
    lab: Lab,
    names: Iterable[str] | None = None,
    *,
    daemons: tuple[str, ...] = (),
    command: tuple[str, ...] = (),
    timeout_s: float = ASK_S,
) -> dict[str, Answer | ClusterError]:
    """The same of hosts of the lab: all, or those of these names."""
    wanted = [one.name for one in lab.members] if names is None else list(names)
    return ask(
        verb, {name: LabOrder(lab=lab, name=name, daemons=daemons, command=command) for name in wanted}, timeout_s
    )


def look(
    names: Iterable[str], folder: Path, *, blocks: tuple[int, ...] = (), port: int | None = None, lab: Lab | None = None
) -> Looked:
    """Look at these hosts, which all must read the same in the lab's folder."""
    found = Looked(nonce=secrets.token_hex(8))
    path = folder / f".look-{found.nonce}"
    try:
        write_bytes(path, found.nonce.encode())
    except OSError as error:
        raise ClusterError(f"the lab's folder {folder} cannot be written ({error.strerror}): make room there") from None
    order = LookOrder(folder=str(folder), nonce=found.nonce, blocks=blocks, port=port, lab=lab)

    def one(name: str) -> tuple[Look, float] | ClusterError:
        before = time.time()
        try:
            text = host(name).call("look", orders.write(order), LOOK_S)
            after = time.time()
            if error := orders.read(text, Answer).error:
                return ClusterError(f"{name}: {error}")
            seen = orders.read(text, Look)
        except ClusterError as error:
            return error
        return seen, clock_off(seen, before, after)

    wanted = list(names)
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for name, answer in zip(wanted, pool.map(one, wanted), strict=True):
                if isinstance(answer, ClusterError):
                    found.failed[name] = answer
                else:
                    found.looks[name], found.off[name] = answer
    finally:
        path.unlink(missing_ok=True)
    found.off = by_most(found.off)
    return found


def slurm_says(lab: Lab, *command: str) -> str:
    """What a command of SLURM prints, asked on the host of the controller or of its backup. Raises ClusterError."""
    last = ClusterError("the lab has no controller")
    for one in lab.controllers():
        answer = ask_lab("state", lab, [one.name], command=command)[one.name]
        if isinstance(answer, ClusterError):
            last = answer
        elif answer.code == 0:
            return answer.text
        else:
            words = answer.text.strip().splitlines()
            last = ClusterError(f"`{' '.join(command)}` on {one.name}: {words[-1] if words else 'no answer'}")
    raise last
