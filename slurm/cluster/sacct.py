"""The accounting records in fixed columns (sacct(1)); they trail reality by seconds and may be stale."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from slurm.cluster.rows import Row, absent_as_empty

FIELDS = ("JobID", "State", "ExitCode", "NodeList", "Reason", "JobName")
_ID = re.compile(r"^(\d+)(?:_(\d+))?$")
_UNSPLIT = re.compile(r"^(\d+)_\[")
_BASE = ["sacct", "-X", "-P", "-n", "--duplicates", "-o", ",".join(FIELDS)]


def by_id(jobs: Iterable[str]) -> list[str]:
    """Everything about these job ids, earlier runs of requeued ones too; an array's id stands for all its tasks."""
    return [*_BASE, "-j", ",".join(sorted(set(jobs), key=int))]


def by_name(names: Iterable[str], since: datetime) -> list[str]:
    """This user's jobs of these names that were in the queue at or after `since` (sacct runs with TZ=UTC)."""
    start = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return [*_BASE, "-u", str(os.getuid()), "-S", start, "--name", ",".join(sorted(set(names)))]


def parse(text: str) -> list[Row]:
    """Rows in the order of the records: of one id the last is the newest run. Odd lines are skipped.

    An array's record that stands for tasks which never started ('12_[3-9]') has no task index.
    """
    rows = []
    for line in text.split("\n"):
        fields = line.split("|", 4)
        if len(fields) < 5:
            continue
        match = _ID.match(fields[0]) or _UNSPLIT.match(fields[0])
        if match is None:
            continue
        reason, _, name = fields[4].rpartition("|")
        state, _, who = fields[1].strip().partition(" by ")
        code, _, signal = fields[2].partition(":")
        rows.append(
            Row(
                job=match[1],
                task=int(match[2]) if match.re is _ID and match[2] else None,
                name=name,
                state=state.strip().upper(),
                exit_code=int(code) if code.isdecimal() else 0,
                signal=int(signal) if signal.isdecimal() else 0,
                node=absent_as_empty(fields[3]),
                reason=absent_as_empty(reason),
                cancelled_by=int(who) if who.isdecimal() else None,
                source="sacct",
            )
        )
    return rows
