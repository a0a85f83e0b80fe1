"""A program of several ranks while it runs, as the worker sees it: all end together, and one of them is to blame.

A rank that fails ends all (torchrun); a node that falls silent does too, and is then what failed, whatever the other
ranks say of it. Where rank 0 ended well, what still hangs at its own exit is ended as well.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from jobs import launchers
from jobs.files import make_folder, open_private, tail, write_json
from jobs.node import interpreter, ranks
from jobs.node.context import Context
from jobs.node.endings import CommandFailed, cause_of_program
from jobs.node.machine import job_nodes, slurm_job_id
from jobs.node.preparation import Prepared
from jobs.node.ranks import Plan
from jobs.odd import to_text
from jobs.patience import patiently
from jobs.words import Cause

LOOK_SECONDS = 0.5
SILENT_SECONDS = 60.0
"""A node whose counter stands still for so long, on our clock, is lost."""
SILENT_AFTER_A_FAILURE_SECONDS = 10.0
"""The same once a rank has failed: the loss of a node shows first in the others, whose connections it closed."""
FIRST_BEAT_SECONDS = 120.0
STRAGGLE_SECONDS = 60.0
"""From rank 0's good end to the end of those that hang at their exit."""
END = 64 * 1024
HINT = "Set the environment variable HYDRA_FULL_ERROR"
"""What Hydra prints behind every error of a program, with a short traceback before it."""
_ERROR = re.compile(r"([A-Za-z_]\w*\.)*\w*(Error|Exception)(: |$)")
MOST_PORTS = 3
_OF_OTHERS = re.compile(r"onnection (closed|reset|refused)|Broken pipe|NCCL|Gloo|gloo|ProcessGroup|Dist\w*Error|Socket")
"""What a rank says when another one has gone."""
_PORT_TAKEN = re.compile(rb"EADDRINUSE|[Aa]ddress already in use")


@dataclass
class _Life:
    beat: int
    since: float


def made(context: Context, prepared: Prepared) -> Team | None:
    """The team of a job with a launcher; None where its program is one process. Raises CommandFailed, OSError."""
    if launchers.of(context.options) is None:
        return None
    count = launchers.ranks(context.options, context.gpus)
    nodes = job_nodes()
    folder = context.folder / ranks.FOLDER
    plan = Plan(
        argv=tuple(map(to_text, prepared.argv)),
        torchrun=tuple(map(to_text, torchrun(context, prepared))),
        ranks=count,
        nodes=nodes,
        id=f"{_token()}.{context.job}.{context.folder.name}",
        host=socket.gethostname() if nodes > 1 else "localhost",
        port=_free_port() if nodes > 1 else 0,
    )
    patiently(lambda: make_folder(folder), unwanted=context.stop_requested)
    return Team(folder, plan, _threads(context, prepared, max(1, context.threads // count)))


def _token() -> str:
    """Of the submission: SLURM has it as the job's name."""
    return os.environ.get("ORCH_TOKEN") or os.environ.get("SLURM_JOB_NAME") or "orch"


def _threads(context: Context, prepared: Prepared, count: int) -> dict[str, str]:
    """A slot's share of the CPUs is all ranks' together. What the user says holds, on SLURM what was kept too."""
    surroundings = context.terms.surroundings
    kept = prepared.environment if slurm_job_id() else {}
    given = {**kept, **(surroundings.given if surroundings is not None else {})}
    return {name: str(count) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name not in given}


def torchrun(context: Context, prepared: Prepared) -> list[str]:
    """How to start torchrun in the program's own environment. Raises CommandFailed where it is not there."""
    python = prepared.python
    if python is not None:
        environ = {**prepared.environment, "PYTHONPATH": prepared.search}
        answer = interpreter.ask(context.store / "code", python, environ)
        if answer is None or interpreter.version_of("torch", answer.packages):
            return [str(python), "-m", "torch.distributed.run"]
    found = shutil.which("torchrun", path=prepared.environment.get("PATH", os.defpath))
    if found is not None:
        return [found]
    whose = f"its Python ({to_text(str(python))})" if python is not None else "its PATH"
    where = f"on {socket.gethostname()}: install it there, or leave --launcher out"
    raise CommandFailed(f"--launcher torchrun: {whose} has no torch {where}")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        port: int = one.getsockname()[1]
    return port


class Team:
    """All ranks of this execution."""

    def __init__(self, folder: Path, plan: Plan, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.plan = plan
        self.environment = {**environment, "ORCH_RANKS": str(folder)}
        """What the ranks get besides the program's own environment."""
        self.remark = ""
        """What a person should know of an end that was good."""
        self._next_look = 0.0
        self._told: float | None = None
        self._failed: float | None = None
        self._rank_0: float | None = None
        self._lives: dict[int, _Life] = {}
        self._lost: str | None = None
        self._ports = 0
        self._write_plan()

    def _write_plan(self) -> None:
        write_json(self.folder / "plan.json", self.plan, durable=False)
        ranks.tell(self.folder, 0)

    def command(self) -> list[str]:
        """What the worker starts: torchrun, or one on each node by srun."""
        if self.plan.nodes == 1:
            return self.plan.on_node(0, self.plan.host)
        return [
            shutil.which("srun") or "srun",
            *(f"--nodes={self.plan.nodes}", f"--ntasks={self.plan.nodes}", "--ntasks-per-node=1"),
            # It shares the nodes with the worker's own step. The others' ends are awaited, for they say whose fault it
            # was; the ranks are then ended by orch.
            *("--overlap", "--kill-on-bad-exit=0", "--wait=0", "--export=ALL", "--unbuffered", "--input=none"),
            *(sys.executable, "-I", str(Path(__file__).with_name("onenode.py"))),
        ]

    def open_log(self) -> int:
        """Where torchrun (or srun) itself prints to: the program's own streams hold nothing of it."""
        return open_private(ranks.log(self.folder, 0), os.O_WRONLY | os.O_APPEND)

    def streams(self) -> list[Path]:
        """Where the other ranks print their errors to."""
        return [ranks.stream(self.folder, rank, "stderr") for rank in ranks.printed(self.folder)]

    # ---- while it runs

    def tell(self, number: int) -> None:
        """Every rank gets this signal, on whichever node it is; after a grace each one that is left is killed."""
        if self._told is None:
            self._told = time.monotonic()
            ranks.tell(self.folder, number)

    def look(self) -> bool:
        """See to it that all end together. True where it is over although its processes are not all gone."""
        at = time.monotonic()
        if at < self._next_look:
            return False
        self._next_look = at + LOOK_SECONDS
        found = ranks.ended(self.folder)
        if self._failed is None and any(one.code and not one.told for one in found.values()):
            self._failed = at
        zero = found.get(0)
        if zero is not None and zero.code == 0 and self._rank_0 is None:
            self._rank_0 = at
        if self._rank_0 is not None and at - self._rank_0 > STRAGGLE_SECONDS and self._told is None:
            late = sorted(set(range(self.plan.ranks * self.plan.nodes)) - found.keys())
            self.remark = f"rank {', '.join(map(str, late))} hung at its exit after rank 0 had ended well: it was ended"
            self.tell(signal.SIGTERM)
        return self._look_at_nodes(at) if self.plan.nodes > 1 else False

    def _look_at_nodes(self, at: float) -> bool:
        """Whether a node is lost, and nobody else has anything left to say."""
        waits = False
        bound = SILENT_SECONDS if self._failed is None else SILENT_AFTER_A_FAILURE_SECONDS
        for number in range(self.plan.nodes):
            life = ranks.life(self.folder, number)
            if life is None:
                known = self._lives.setdefault(number, _Life(-1, at))
                if at - known.since > FIRST_BEAT_SECONDS and 0 in self._lives and self._lives[0].beat >= 0:
                    self._lost = self._lost or f"node {number} of the job"
                continue
            if life.ended is not None:
                if life.ended and self._failed is None:
                    self._failed = at
                continue
            known = self._lives.setdefault(number, _Life(life.beat, at))
            if life.beat != known.beat:
                self._lives[number] = known = _Life(life.beat, at)
            if at - known.since > bound:
                self._lost = self._lost or life.node
            else:
                waits = True
        if self._failed is not None or self._lost is not None:
            self.tell(signal.SIGTERM)
        return self._lost is not None or (self._failed is not None and not waits)

    # ---- afterwards

    def took_another_port(self) -> bool:
        """Whether the port had been taken by somebody else before torchrun began, so that it is tried on another."""
        if self.plan.nodes == 1 or self._ports >= MOST_PORTS - 1 or ranks.ended(self.folder):
            return False
        if not _PORT_TAKEN.search(tail(ranks.log(self.folder, 0), END)):
            return False
        self._ports += 1
        for path in [*self.folder.glob("node-*.json"), *self.folder.glob("torchrun-*.log")]:
            path.unlink(missing_ok=True)
        self._told = self._failed = self._lost = None
        self._lives = {}
        self.plan = msgspec.structs.replace(self.plan, port=_free_port(), id=f"{self.plan.id}.{self._ports}")
        self._write_plan()
        return True

    def code(self, code: int) -> int:
        """The exit code of the program: rank 0's own where it was told to stop, or others hung."""
        if self._told is None:
            return code
        zero = ranks.ended(self.folder).get(0)
        bad = [one for one in ranks.ended(self.folder).values() if one.code and not one.told]
        return zero.code if zero is not None and not bad and self._lost is None else code or 1

    def failure(self, code: int) -> CommandFailed:
        """Whose fault it was, in a sentence: a lost node's, else that of the rank which failed first."""
        if self._lost is not None:
            text = f"node {self._lost} was lost while the job ran on {self.plan.nodes} nodes"
            return CommandFailed(text, Cause.NODE_FAILURE, node=self._lost)
        failed = [one for one in ranks.ended(self.folder).values() if one.code and not one.told]
        if not failed:
            last = last_words(ranks.log(self.folder, 0))
            return CommandFailed(f"torchrun ended with exit code {code}{': ' + last if last else ''}")
        said = {one.rank: last_words(ranks.stream(self.folder, one.rank, "stderr")) for one in failed}
        said = {rank: text.removeprefix(f"[rank{rank}]: ") for rank, text in said.items()}  # torch's own mark
        first = min(failed, key=lambda one: (bool(_OF_OTHERS.search(said[one.rank])) and one.code > 0, one.at))
        cause = cause_of_program(first.code, said[first.rank], first.oom)
        where = f" on {first.node}" if self.plan.nodes > 1 else ""
        text = f"rank {first.rank}{where} ended with {how(first.code)}"
        return CommandFailed(
            text + (f": {said[first.rank]}" if said[first.rank] else ""), cause, node=first.node if where else ""
        )


def how(code: int) -> str:
    """'exit code 3', 'signal SIGKILL'."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"signal {-code}"


def last_words(path: Path) -> str:
    """The line of a log's end that says why: the last one, or the error that a hint of a framework stands behind."""
    lines = tail(path, END).decode(errors="replace").strip().splitlines()
    if lines and lines[-1].startswith(HINT):
        lines = [line for line in lines if _ERROR.match(line)][-1:] or lines
    return lines[-1].strip()[:300] if lines else ""
