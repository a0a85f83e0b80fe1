"""The queue in fixed columns: one call for every job of this user (squeue(1), --Format)."""

from __future__ import annotations

import os

from slurm.cluster.rows import Row, absent_as_empty

FIELDS = ("ArrayJobID", "ArrayTaskID", "State", "exit_code", "RestartCnt", "NodeList", "Reason", "Name")


def arguments() -> list[str]:
    """Every job and task of this user, ended ones too (SLURM remembers them for MinJobAge), each task a line.

    The name comes last: it may hold anything, the separator and line feeds included.
    """
    columns = ",".join(f"{field}:|" for field in FIELDS[:-1]) + f",{FIELDS[-1]}:"
    return ["squeue", "-r", "-h", "-t", "all", "-u", str(os.getuid()), "-O", columns]


def parse(text: str, kept: dict[str, Row] | None = None) -> list[Row]:
    """Rows of `arguments()`; a line of another shape (what follows a line feed in a job's name) is skipped.

    `kept`: the rows of the look before by their lines. A line that is the same is the same object again; they are
    replaced by those of this look.
    """
    before = kept.copy() if kept is not None else {}
    found: dict[str, Row] = {} if kept is None else kept
    found.clear()
    rows = []
    for line in text.split("\n"):
        had = before.get(line)
        if had is not None:
            found[line] = had
            rows.append(had)
            continue
        fields = line.split("|", 6)
        if len(fields) < 7 or not fields[0].isdecimal():
            continue
        # Our own names (tokens) hold no separator, a reason might: so the name is what follows the last one.
        reason, _, name = fields[6].rpartition("|")
        status = int(fields[3]) if fields[3].strip().isdecimal() else 0
        found[line] = row = Row(
            job=fields[0],
            task=int(fields[1]) if fields[1].isdecimal() else None,
            name=name,
            state=fields[2].strip().upper(),
            exit_code=status >> 8,
            signal=status & 0x7F,
            restarts=int(fields[4]) if fields[4].strip().isdecimal() else None,
            node=absent_as_empty(fields[5]),
            reason=absent_as_empty(reason),
        )
        rows.append(row)
    return rows
