"""The words of orch: the same in commands, code, database and files (docs/architecture.md)."""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands; the allowed changes are in `TRANSITIONS` and in the database's triggers."""

    WAITING = "waiting"
    QUEUED = "queued"
    SUBMITTED = "submitted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset({JobState.QUEUED, JobState.CANCELLED}),
    # succeeded: a copy that was given up for lost finishes while its replacement still waits
    JobState.QUEUED: frozenset({JobState.SUBMITTED, JobState.SUCCEEDED, JobState.CANCELLED}),
    JobState.SUBMITTED: frozenset(
        {JobState.RUNNING, JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.RUNNING: frozenset(
        {JobState.SUBMITTED, JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset({JobState.SUCCEEDED, JobState.QUEUED}),
    # waiting: what it needs has not succeeded yet
    JobState.CANCELLED: frozenset({JobState.QUEUED, JobState.WAITING}),
}

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


class BackendName(StrEnum):
    """Where jobs run."""

    LOCAL = "local"
    SLURM = "slurm"


PRESETS = ("report", "demo")
