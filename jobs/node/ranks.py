"""The files of a program of several ranks, in `ranks/` of its execution: what is to run, its nodes' beats, its ends.

Written by the worker, by `onenode` on each node, and by `onerank` around each rank; read by all of them.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import msgspec

from jobs.files import names, now, read_json, write_bytes, write_json
from jobs.odd import from_text
from jobs.records import Moment, Name, Number, Record

FOLDER = "ranks"
STOP = "stop"
"""What a stop writes its signal into; there from the start, so that no folder must be listed to see it."""
_ENDED, _NODE = "ended-", "node-"


class Plan(Record, frozen=True, kw_only=True):
    """`plan.json`: the program, and how torchrun is called. Words are text (jobs/odd.py)."""

    argv: tuple[str, ...]
    torchrun: tuple[str, ...]
    """`python -m torch.distributed.run`, or a torchrun."""
    ranks: Number
    """On each node."""
    nodes: Number = 1
    id: str
    """Of the rendezvous: no other execution's."""
    host: str = "localhost"
    """Where rank 0 is, unless SLURM says it better."""
    port: Number = 0
    """0: torchrun takes a free one (one node)."""

    def command(self) -> list[str]:
        """The program of each rank."""
        return [from_text(word) for word in self.argv]

    def on_node(self, number: int, address: str) -> list[str]:
        """torchrun on one of the nodes, node 0 at `address`.

        One attempt, one world: nothing is restarted here. On one node torchrun itself takes a port that is free
        (c10d); on several, ranks go by SLURM's order of the nodes (static).
        """
        meet = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "--local-addr", "127.0.0.1"]
        if self.nodes > 1:
            meet = ["--node-rank", str(number), "--master-addr", address, "--master-port", str(self.port)]
        return [
            *map(from_text, self.torchrun),
            *("--nnodes", str(self.nodes), "--nproc-per-node", str(self.ranks), "--max-restarts", "0"),
            *("--rdzv-id", self.id, *meet),
            *("--no-python", sys.executable, "-I", str(Path(__file__).with_name("onerank.py"))),
        ]


class Ended(Record, frozen=True, kw_only=True):
    """`ended-<rank>.json`: how a rank ended."""

    rank: Number
    node: Name
    code: int
    """Negative: by that signal."""
    told: bool = False
    """It had been told to stop, by orch or since another one had ended."""
    oom: bool = False
    """The kernel killed for memory on its node meanwhile."""
    at: Moment


class NodeLife(Record, frozen=True, kw_only=True):
    """`node-<number>.json`: rewritten every second while torchrun runs there."""

    node: Name
    beat: Number = 0
    ended: int | None = None


class Beat:
    """The life of one node, as it tells of it."""

    def __init__(self, folder: Path, number: int, node: str) -> None:
        self._path = folder / f"{_NODE}{number}.json"
        self._life = NodeLife(node=node)

    def write(self, ended: int | None = None) -> None:
        """Once more. What cannot be written now is written by the next one."""
        self._life = msgspec.structs.replace(self._life, beat=self._life.beat + 1, ended=ended)
        try:
            write_json(self._path, self._life, durable=False)
        except OSError as error:
            print(f"orch: {self._path} cannot be written: {error.strerror}", file=sys.stderr, flush=True)


def read_plan(folder: Path) -> Plan:
    """The plan of this execution. Raises FileNotFoundError."""
    found = read_json(folder / "plan.json", Plan)
    if found is None:
        raise FileNotFoundError(f"no readable plan.json in {folder}: is the store's folder mounted on this node?")
    return found


def tell(folder: Path, number: int) -> None:
    """Let every rank get this signal; 0: none yet."""
    write_bytes(folder / STOP, b"%d" % number, durable=False)


def stop(folder: Path) -> int | None:
    """The signal by which all are to stop; None: they go on.

    The file is opened anew each time: a shared folder then asks its server, whatever it remembers.
    """
    try:
        return int((folder / STOP).read_bytes() or 0) or None
    except (OSError, ValueError):
        return None


def stream(folder: Path, rank: int, name: str) -> Path:
    """Where a rank prints to; `name`: stdout or stderr. The execution's own streams are rank 0's."""
    return folder.parent / name if rank == 0 else folder / f"{rank}.{name}"


def log(folder: Path, node: int) -> Path:
    """What torchrun says on a node."""
    return folder / f"torchrun-{node}.log"


def note(folder: Path, rank: int, *, code: int, told: bool, oom: bool) -> None:
    """How this rank ended."""
    node = os.environ.get("SLURMD_NODENAME", socket.gethostname())
    write_json(
        folder / f"{_ENDED}{rank}.json",
        Ended(rank=rank, node=node, code=code, told=told, oom=oom, at=now()),
        durable=False,
    )


def ended(folder: Path) -> dict[int, Ended]:
    """Rank → how it ended, of those that have."""
    paths = [folder / name for name in names(folder) if name.startswith(_ENDED)]
    found = [one for path in paths if (one := read_json(path, Ended)) is not None]
    return {one.rank: one for one in found}


def life(folder: Path, number: int) -> NodeLife | None:
    """What a node last told; None: nothing yet."""
    return read_json(folder / f"{_NODE}{number}.json", NodeLife)


def printed(folder: Path) -> list[int]:
    """The ranks besides 0 that have files of what they printed, in order."""
    heads = {name.partition(".")[0] for name in names(folder) if name.endswith((".stdout", ".stderr"))}
    return sorted(int(head) for head in heads if head.isdecimal())
