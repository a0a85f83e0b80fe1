"""Several processes of one program, on one node or on several: what makes sense of `--launcher` and `--nodes`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from jobs import launchers
from jobs.errors import BadInput
from jobs.words import BackendName
from orchestrator.submitting.request import Request

_LAUNCHES = ("torchrun", "torch.distributed.run", "torch.distributed.launch")


def check(
    options: Mapping[str, Any], *, kind: str, backend: str, argv: Sequence[str] = (), whose: str = "", gpus: int | None
) -> None:
    """Raise BadInput for options of a job that cannot be. `whose`: begins the sentence; `gpus`: of a node, if said."""
    launcher, nodes = launchers.of(options), launchers.nodes(options)
    if launcher and kind != "command":
        raise BadInput(f"{whose}--launcher is for programs (orch submit command), and a {kind} job is one process")
    if options.get(launchers.PER_NODE) is not None and not options.get(launchers.LAUNCHER):
        raise BadInput(
            f"{whose}--ranks-per-node says how many processes the launcher starts: give --launcher "
            f"{launchers.TORCHRUN} too"
        )
    if nodes > 1 and backend == BackendName.LOCAL:
        raise BadInput(f"{whose}--nodes {nodes} needs SLURM, and this host is one node: give --nodes 1 or leave it out")
    if launcher and gpus and int(options.get(launchers.PER_NODE) or 0) > gpus:
        raise BadInput(
            f"{whose}--ranks-per-node {options[launchers.PER_NODE]} is more than the {gpus} GPU(s) of a node: each "
            "process takes one, so give at most so many"
        )
    if launcher and (named := _launches(argv)):
        raise BadInput(f"{whose}the program is {named} itself: give the script after --, or leave --launcher out")


def check_request(request: Request, options: Mapping[str, Any], backend: str, gpus: int | None) -> None:
    """The same for what a submit asks for."""
    argv = tuple(map(str, request.values.get("argv") or ()))
    check(options, kind=request.kind, backend=backend, argv=argv, gpus=gpus)


def _launches(argv: Sequence[str]) -> str | None:
    """The launcher that a command line is already; else None."""
    head = [PurePath(argv[0]).name] if argv else []
    if len(argv) > 2 and argv[1] == "-m":
        head.append(argv[2])
    return next((word for word in head if word in _LAUNCHES), None)
