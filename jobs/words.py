"""The words of orch: the same in commands, code, database and files (docs/architecture.md)."""

from enum import StrEnum
from typing import Literal


class JobState(StrEnum):
    """Where a job stands; the allowed changes are in `TRANSITIONS` and in the database's triggers."""

    WAITING = "waiting"
    QUEUED = "queued"
    SUBMITTED = "submitted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


REASONS: dict[JobState, dict[JobState, str]] = {
    JobState.WAITING: {
        JobState.QUEUED: "what it needs has succeeded",
        JobState.SUCCEEDED: "a copy given up for lost finishes, while what it needs runs anew",
        JobState.CANCELLED: "cancel",
    },
    JobState.QUEUED: {
        JobState.SUBMITTED: "dispatched",
        JobState.WAITING: "what it needs runs anew",
        JobState.SUCCEEDED: "a copy given up for lost finishes",
        JobState.CANCELLED: "cancel",
    },
    JobState.SUBMITTED: {
        JobState.RUNNING: "a node has started it",
        JobState.QUEUED: "resubmitted, or its launch failed",
        JobState.SUCCEEDED: "result accepted",
        JobState.FAILED: "given up",
        JobState.CANCELLED: "cancel",
    },
    JobState.RUNNING: {
        JobState.SUBMITTED: "SLURM requeued it",
        JobState.QUEUED: "resubmitted",
        JobState.SUCCEEDED: "result accepted",
        JobState.FAILED: "given up",
        JobState.CANCELLED: "cancel",
    },
    JobState.SUCCEEDED: {
        JobState.QUEUED: "retry --succeeded",
        JobState.WAITING: "retry --succeeded, and what it needs runs anew too",
    },
    JobState.FAILED: {
        JobState.SUCCEEDED: "a late success of the same generation",
        JobState.QUEUED: "retry",
        JobState.WAITING: "retry, and what it needs runs anew",
    },
    JobState.CANCELLED: {
        JobState.QUEUED: "retry",
        JobState.WAITING: "retry, and what it needs has not succeeded yet",
    },
}
"""Every allowed change of a job's state, and when it happens; the picture in the docs is drawn from this."""

TRANSITIONS: dict[JobState, frozenset[JobState]] = {before: frozenset(afters) for before, afters in REASONS.items()}

FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
LIVE = frozenset({JobState.SUBMITTED, JobState.RUNNING})


class AttemptState(StrEnum):
    """Where one try of a job stands."""

    SUBMITTED = "submitted"
    RUNNING = "running"
    ENDED = "ended"


class Cause(StrEnum):
    """Why an execution ended."""

    SUCCESS = "success"
    NODE_FAILURE = "node_failure"
    LAUNCH_FAILURE = "launch_failure"
    GPU_FAULT = "gpu_fault"
    PREEMPTED = "preempted"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    GPU_OUT_OF_MEMORY = "gpu_out_of_memory"
    KILLED = "killed"
    ERROR = "error"
    CANCELLED = "cancelled"
    LOST = "lost"
    HANG = "hang"
    """It lived and gave no sign of life (jobs/rhythm.py)."""


class BackendName(StrEnum):
    """Where jobs run."""

    LOCAL = "local"
    SLURM = "slurm"


PRESETS = ("report", "demo")

Precision = Literal["fp32", "tf32", "bf16"]
"""Of matrix products on a GPU."""
