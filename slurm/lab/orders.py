"""What is asked of a host and what it answers: the words between us and our program there."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from slurm.lab.errors import ClusterError
from slurm.lab.record import Lab

T = TypeVar("T")


class LookOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Look at yourself."""

    folder: str
    nonce: str
    """Also the end of the name of the file that holds it."""
    blocks: tuple[int, ...] = ()
    """First ports of blocks of which free ones are wanted."""
    port: int | None = None
    """The lab's own first port, once it has one."""
    lab: Lab | None = None


class LabOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Do something for the lab as the host `name`."""

    lab: Lab
    name: str
    daemons: tuple[str, ...] = ()
    """slurmctld, slurmd, munged: those that it is about; () are all."""
    targets: tuple[tuple[str, str, int], ...] = ()
    """Name, address and port of what is to be reached."""
    command: tuple[str, ...] = ()
    lines: int = 0


class UnpackOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Fetch SLURM's packages and unpack them below `root`."""

    root: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a host answers; `error` is a sentence."""

    error: str = ""
    running: tuple[str, ...] = ()
    """Daemons that run, by their names here: munged, slurmctld, slurmd."""
    deaf: bool = False
    """Whether its slurmctld runs and takes no connections: one that has just begun may not take any yet."""
    unreached: tuple[str, ...] = ()
    split: bool = False
    """Whether its slurmctld ended itself, since another one was in charge as well."""
    in_charge: bool = False
    """Whether its slurmctld takes itself for the one in charge; one in standby does not."""
    text: str = ""
    code: int = 0


def read(text: str, kind: type[T]) -> T:
    """Read a line of JSON. Raises ClusterError."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ClusterError(f"this is no {kind.__name__}: {text.strip()[:80]!r}") from None


def write(value: msgspec.Struct) -> str:
    """As a line of JSON."""
    return msgspec.json.encode(value).decode()
