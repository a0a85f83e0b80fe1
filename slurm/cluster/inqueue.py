"""What SLURM's queue has of tasks as far as anybody may change it there (scontrol(1), update), read and changed. Pure.

CPUs are three numbers: with CPUsPerTask alone the allocation keeps its size and srun finds too little for its step.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from jobs.resources import InQueue
from slurm.backend import AttemptKey, LiveAttempt, Phase, Standing
from slurm.cluster.states import phase_of, waits

FIELDS = (
    "ArrayJobID", "ArrayTaskID", "State", "TimeLimit", "MinMemory", "NumCPUs", "cpus-per-task", "Nice", "Partition",
    "Name",
)  # fmt: skip
_TIME = re.compile(r"^(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)$")
_UNITS = {"": 1, "K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}


def arguments() -> list[str]:
    """Every task of this user, each a line, the name last."""
    columns = ",".join(f"{field}:|" for field in FIELDS[:-1]) + f",{FIELDS[-1]}:"
    return ["squeue", "-r", "-h", "-t", "all", "-u", str(os.getuid()), "-O", columns]


def parse(text: str) -> dict[tuple[str, str, int | None], Standing]:
    """(token, SLURM's id, index) → what `arguments()` prints of it; lines of another shape are skipped."""
    found = {}
    for line in text.split("\n"):
        fields = line.split("|", len(FIELDS) - 1)
        if len(fields) < len(FIELDS) or not fields[0].isdecimal():
            continue
        job, task, state, limit, memory, cpus, per_task, nice, partition, name = (part.strip() for part in fields)
        same = cpus.isdecimal() and cpus == per_task  # else the step would not get what was asked for
        found[name, job, int(task) if task.isdecimal() else None] = Standing(
            waits=waits(state.upper()),
            over=phase_of(state.upper()) is Phase.ENDED,
            terms=InQueue(
                minutes=_minutes(limit),
                memory_mb=_megabytes(memory),
                cpus=int(cpus) if same else None,
                partition=partition or None,
                nice=int(nice) if re.fullmatch(r"-?\d+", nice) else None,
            ),
        )
    return found


def _minutes(text: str) -> int | None:
    """'5:00', '2:00:00' or '1-00:00:00', rounded up; None for UNLIMITED and the like."""
    match = _TIME.match(text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return days * 1440 + hours * 60 + minutes + (seconds > 0)


def _megabytes(text: str) -> int | None:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", text)
    return round(float(match[1]) * _UNITS[match[2]]) if match else None


def words(change: InQueue) -> list[str]:
    """The change as scontrol takes it."""
    told = []
    if change.minutes is not None:
        told.append(f"TimeLimit={change.minutes}")
    if change.memory_mb is not None:
        told.append(f"MinMemoryNode={change.memory_mb}")
    if change.cpus is not None:
        told += [f"NumCPUs={change.cpus}", f"CPUsPerTask={change.cpus}", f"MinCPUsNode={change.cpus}"]
    if change.partition is not None:
        told.append(f"Partition={change.partition}")
    if change.nice is not None:
        told.append(f"Nice={change.nice}")
    return told


def calls(wanted: Sequence[tuple[LiveAttempt, InQueue]]) -> list[tuple[list[str], list[str]]]:
    """(ids, scontrol's words): attempts that get the same together. A task of an array is named by its index: others
    of it may run, and would be changed too."""
    together: dict[tuple[str, ...], list[str]] = {}
    for attempt, change in wanted:
        if attempt.native_id is not None:
            task = attempt.native_id if attempt.task is None else f"{attempt.native_id}_{attempt.task}"
            together.setdefault(tuple(words(change)), []).append(task)
    return [(ids, list(told)) for told, ids in together.items() if told]


def of_attempts(
    rows: Mapping[tuple[str, str, int | None], Standing], live: Sequence[LiveAttempt]
) -> dict[AttemptKey, Standing]:
    """Those rows that are of these attempts: by the token together with the id."""
    found = {}
    for attempt in live:
        tasks = range(attempt.pieces) if attempt.pieces else (attempt.task,)
        mine = [rows[row] for task in tasks if (row := (attempt.token, attempt.native_id or "", task)) in rows]
        if mine:  # of pieces the one that runs, before one that waits, before one that is over
            found[attempt.key] = min(mine, key=lambda row: (row.over, row.waits))
    return found
