"""Why an execution ended, by what it left behind: the end of what was printed, its exit code. Pure.

An outcome file and SLURM's own record (slurm/cluster/states.py) are stronger than this, and are judged first.
"""

from __future__ import annotations

import re
import signal as signals
from dataclasses import dataclass

from jobs.node import disks
from jobs.words import Cause

MARK = "orch: execution begins"
"""Printed by the submission script when it starts: logs are appended over requeues, and only the last run counts."""

SETUP_FAILED = "orch: setup line failed: "
"""Printed by the submission script before the command of a user's setup that ended with an error."""


@dataclass(frozen=True)
class Verdict:
    """A cause and the lines that show it."""

    cause: Cause
    evidence: tuple[str, ...]


_BY_TEXT: tuple[tuple[Cause, re.Pattern[str]], ...] = tuple(
    (cause, re.compile(pattern))
    for cause, pattern in (
        (
            Cause.OUT_OF_MEMORY,
            r"exceeded (?:job |step )?memory limit|oom[-_ ]kill|Detected \d+ oom|Out of memory: Killed process"
            r"|DefaultCPUAllocator: (?:can't|not enough)|^MemoryError",
        ),
        (Cause.TIMEOUT, r"CANCELLED AT .* DUE TO TIME LIMIT"),
        (Cause.PREEMPTED, r"CANCELLED AT .* DUE TO PREEMPTION"),
        (Cause.NODE_FAILURE, r"CANCELLED AT .* DUE TO NODE FAILURE"),
        (
            Cause.GPU_OUT_OF_MEMORY,
            r"(?:CUDA|HIP) out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"
            r"|cudaErrorMemoryAllocation",
        ),
        (
            Cause.GPU_FAULT,
            r"\bXid\b|(?i:uncorrectable ECC|ECC error|fallen off the bus|GPU is lost)"
            r"|CUDA (?:driver )?error: (?:unspecified launch failure|hardware|unknown error|initialization error"
            r"|no CUDA-capable device|device is busy|system not yet initialized|uncorrectable|the launch timed out)"
            r"|No CUDA GPUs are available|CUDA driver initialization failed|NVML: |Failed to initialize NVML"
            r"|couldn't communicate with the NVIDIA driver|jobs\.\S*GpuFault"
            r"|ncclUnhandledCudaError|ncclSystemError|ncclRemoteError|ncclInternalError|NCCL (?:error|WARN .*[Ee]rror)",
        ),
        (
            Cause.LAUNCH_FAILURE,
            r"could not find submitted jobs in path|orch: setup line failed|no readable (?:manifest|job\.json)"
            r"|No module named '(?:jobs|submitit|cloudpickle)\b|execve\(\)|slurmstepd: error: (?:execve|Could not open)"
            r"|srun: error: (?:Unable to create step|Unable to confirm allocation|task \d+ launch failed"
            r"|Task launch for .* failed|.*: Launch failed)|Stale file handle",
        ),
    )
)

_DISK = disks.TEXT
"""A worker that could not write its outcome for want of a disk says so as its last word."""

_CHECKS = frozenset({"test", "[", "[[", "mountpoint", "findmnt", "stat", "ls", "df", "grep", "nvidia-smi"})
"""Commands in a setup line that ask whether a node is sound, so that their failure is the node's."""

_DIED = re.compile(
    r"(?:srun: error: .*: tasks? [\d,\-]+|\.sh: line \d+: *\d+): *"
    r"(Killed|Segmentation fault|Aborted|Bus error|Terminated|Illegal instruction|Floating point exception)"
)
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|[A-Z]\w*)(?::.*)?$")
_LONGEST = 300


def from_log(log: str) -> Verdict | None:
    """The cause that the last run's text names, or None."""
    lines = log[max(log.rfind(MARK), 0) :].splitlines()
    last = exception_line(lines)
    of_disk = last is not None and _DISK.search(last) is not None
    for cause, pattern in _BY_TEXT:
        if cause is Cause.LAUNCH_FAILURE and of_disk:
            break  # a worker that waited for a stale handle in vain
        for line in reversed(lines):
            if pattern.search(line):
                return Verdict(cause, (line.strip()[:_LONGEST],))
    if last and of_disk:
        return Verdict(Cause.NODE_FAILURE, (last,))
    for line in reversed(lines):
        if _DIED.search(line):
            return Verdict(Cause.KILLED, (line.strip()[:_LONGEST],))
    return Verdict(Cause.ERROR, (last,)) if last else None


def is_wrong_setup(line: str) -> bool:
    """Whether this line of evidence tells of a setup line that failed and is no check of the node."""
    _, sign, command = line.partition(SETUP_FAILED)
    words = [word for word in command.split() if word != "!"]
    return bool(sign and words) and words[0].rpartition("/")[2] not in _CHECKS


def exception_line(lines: list[str]) -> str | None:
    """The last line of the last traceback: the exception and its text."""
    starts = [number for number, line in enumerate(lines) if "Traceback (most recent call last)" in line]
    if not starts:
        return None
    for line in lines[starts[-1] + 1 :]:
        if _EXCEPTION.match(line.strip()) and not line.startswith(" "):
            return line.strip()[:_LONGEST]
    return None


def from_exit(exit_code: int, signal: int = 0) -> Verdict:
    """The cause by exit code and signal alone. Both 137 (a shell's) and 9 (srun's) stand for SIGKILL."""
    number = signal or (exit_code - 128 if exit_code > 128 else 9 if exit_code == 9 else 0)
    if number in signals.Signals._value2member_map_:
        return Verdict(Cause.KILLED, (f"ended by {signals.Signals(number).name}",))
    if number:
        return Verdict(Cause.KILLED, (f"ended by signal {number}",))
    if exit_code in (126, 127):
        return Verdict(Cause.LAUNCH_FAILURE, (f"exit code {exit_code}: its interpreter could not be started",))
    if exit_code == 0:
        return Verdict(Cause.KILLED, ("ended with exit code 0 but wrote no outcome",))
    return Verdict(Cause.ERROR, (f"exit code {exit_code} and no outcome",))
