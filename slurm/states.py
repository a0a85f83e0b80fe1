"""SLURM's job states and what they mean to orch: a total map, in which an unknown state means alive.

Names from squeue(1), JOB STATE CODES, of SLURM 22.05 to 25.05.
"""

from __future__ import annotations

import logging
from functools import cache

from slurm.backend import Phase
from slurm.rows import Row

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
    "SUSPENDED": Phase.RUNNING,
    "STOPPED": Phase.RUNNING,
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

HELD_FOR_LAUNCH = ("launch failed", "jobholdmaxrequeue")
"""Held by SLURM itself since it could not start the job: nobody asked for the hold, so orch may release it."""
_HELD = (*HELD_FOR_LAUNCH, "jobheld", "held state", "requeued held")


def phase_of(state: str, reason: str = "") -> Phase:
    """Where a job in this state is. Unknown: COMPLETING, which says alive and claims nothing else; logged once."""
    phase = PHASES.get(state)
    if phase is None:
        _say_unknown(state)
        return Phase.COMPLETING
    if phase is Phase.PENDING and any(word in reason.lower() for word in _HELD):
        return Phase.HELD
    return phase


def phase_of_row(row: Row) -> Phase:
    return phase_of(row.state, row.reason)


def held_for_launch(reason: str) -> bool:
    """Whether SLURM put this hold itself after a failed launch."""
    return any(word in reason.lower() for word in HELD_FOR_LAUNCH)


@cache
def _say_unknown(state: str) -> None:
    log.warning("SLURM job state %r is not known to orch: taken for alive", state)
