"""SLURM's jobs of a store that is lost, which no entry of the store that was made of its mirror tells of."""

from __future__ import annotations

import re
from collections.abc import Collection

from slurm.backend import Phase
from slurm.cluster import squeue, states
from slurm.cluster.commands import CommandFailed, Commands, chunks

TOKEN = "orch-"
_OUTPUT = re.compile(r"(?:^|\s)StdOut=(.*?)(?=\s\w+=|$)")


def of_folder(shown: str, root: str) -> bool:
    """Whether a job prints into that store, by what `scontrol show job` says of it. Pure."""
    found = _OUTPUT.search(shown)
    return found is not None and found[1].strip().startswith(f"{root.rstrip('/')}/runs/submissions/")


def end_strays(root: str, known: Collection[str], commands: Commands | None = None) -> tuple[str, ...]:
    """Cancel the jobs whose tokens are not known and whose output lies in the store `root`: their ids.

    Where SLURM does not answer, none is.
    """
    ask = commands or Commands()
    try:
        rows = squeue.parse(ask.ask(squeue.arguments()))
        unknown = sorted(
            {
                row.job
                for row in rows
                if row.name.startswith(TOKEN) and row.name not in known and states.phase_of_row(row) is not Phase.ENDED
            }
        )
        mine = [job for job in unknown if of_folder(_shown(job, ask), root)]
        for some in chunks(mine):
            ask.ask(["scancel", *some])
    except CommandFailed:
        return ()
    return tuple(mine)


def _shown(job: str, ask: Commands) -> str:
    """What scontrol says of a job, '' of one that has left meanwhile. Raises CommandFailed where SLURM is silent."""
    try:
        return ask.ask(["scontrol", "-o", "show", "job", job])
    except CommandFailed as error:
        if error.code is None or "Invalid job id" not in error.text:
            raise
        return ""
