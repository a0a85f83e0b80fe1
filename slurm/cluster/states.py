"""SLURM's job states and what they mean to orch: a total map, in which an unknown state means alive; why a row ended.

Names from squeue(1), JOB STATE CODES, of SLURM 22.05 to 25.05.
"""

from __future__ import annotations

import logging
from functools import cache, lru_cache

from jobs.words import Cause
from slurm.backend import Phase
from slurm.causes import Verdict, from_exit, from_log
from slurm.cluster.rows import Row

log = logging.getLogger(__name__)

PHASES: dict[str, Phase] = {
    "PENDING": Phase.PENDING,
    "REQUEUED": Phase.PENDING,
    "REQUEUE_FED": Phase.PENDING,
    "RESV_DEL_HOLD": Phase.HELD,
    "REQUEUE_HOLD": Phase.HELD,
    "SPECIAL_EXIT": Phase.HELD,
    "CONFIGURING": Phase.PENDING,
    "POWER_UP_NODE": Phase.PENDING,
    "RUNNING": Phase.RUNNING,
    "SUSPENDED": Phase.SUSPENDED,
    "STOPPED": Phase.SUSPENDED,
    "SIGNALING": Phase.RUNNING,
    "RESIZING": Phase.RUNNING,
    "EXPEDITING": Phase.RUNNING,
    "COMPLETING": Phase.COMPLETING,
    "STAGE_OUT": Phase.COMPLETING,
    "UPDATE_DB": Phase.COMPLETING,
    "REVOKED": Phase.COMPLETING,  # federation: another cluster runs it
    "COMPLETED": Phase.ENDED,
    "FAILED": Phase.ENDED,
    "CANCELLED": Phase.ENDED,
    "TIMEOUT": Phase.ENDED,
    "DEADLINE": Phase.ENDED,
    "NODE_FAIL": Phase.ENDED,
    "PREEMPTED": Phase.ENDED,
    "OUT_OF_MEMORY": Phase.ENDED,
    "BOOT_FAIL": Phase.ENDED,
    "LAUNCH_FAILED": Phase.ENDED,
    "RECONFIG_FAIL": Phase.ENDED,
}

_HAS_ITS_NODES = ("CONFIGURING", "POWER_UP_NODE")
"""Not running yet, but nothing of its request can be changed any more."""

HELD_FOR_LAUNCH = ("launch failed", "jobholdmaxrequeue")
"""Held by SLURM itself since it could not start the job: nobody asked for the hold, so orch may release it."""
_HELD = (*HELD_FOR_LAUNCH, "jobheld", "held state", "requeued held")

CAUSES: dict[str, Cause] = {
    "NODE_FAIL": Cause.NODE_FAILURE,
    "BOOT_FAIL": Cause.LAUNCH_FAILURE,
    "LAUNCH_FAILED": Cause.LAUNCH_FAILURE,
    "RECONFIG_FAIL": Cause.LAUNCH_FAILURE,
    "TIMEOUT": Cause.TIMEOUT,
    "DEADLINE": Cause.TIMEOUT,
    "OUT_OF_MEMORY": Cause.OUT_OF_MEMORY,
    "PREEMPTED": Cause.PREEMPTED,
    "CANCELLED": Cause.CANCELLED,
}
"""States that say the cause by themselves; FAILED and COMPLETED need more evidence."""
_LAUNCH_SIGNAL = 53
"""SLURM reports exit 0:53 where it could not open the job's output file or folder."""


@lru_cache(maxsize=4096)
def phase_of(state: str, reason: str = "") -> Phase:
    """Where a job in this state is. Unknown: COMPLETING, which says alive and claims nothing else; logged once."""
    phase = PHASES.get(state)
    if phase is None:
        _say_unknown(state)
        return Phase.COMPLETING
    if phase is Phase.PENDING and any(word in reason.lower() for word in _HELD):
        return Phase.HELD
    return phase


def waits(state: str) -> bool:
    """Whether a job in that state has no nodes yet, so that what it asks for may still change."""
    return PHASES.get(state) in (Phase.PENDING, Phase.HELD) and state not in _HAS_ITS_NODES


def phase_of_row(row: Row) -> Phase:
    return phase_of(row.state, row.reason)


@lru_cache(maxsize=4096)
def held_for_launch(reason: str) -> bool:
    """Whether SLURM put this hold itself after a failed launch."""
    return any(word in reason.lower() for word in HELD_FOR_LAUNCH)


def judge(row: Row, log: str = "") -> Verdict:
    """The cause of an ended row; `log` is what the job printed (its end is enough)."""
    record = row.line()
    if row.state in CAUSES:
        return Verdict(CAUSES[row.state], (record,))
    if row.signal == _LAUNCH_SIGNAL:
        return Verdict(Cause.LAUNCH_FAILURE, (record, "SLURM could not open the job's output file on that node"))
    if row.reason == "BadConstraints":
        return Verdict(Cause.ERROR, (record, "no node of the cluster can ever satisfy the request"))
    found = from_log(log) or from_exit(row.exit_code, row.signal)
    return Verdict(found.cause, (record, *found.evidence))


@cache
def _say_unknown(state: str) -> None:
    log.warning("SLURM job state %r is not known to orch: taken for alive", state)
