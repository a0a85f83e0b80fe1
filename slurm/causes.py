"""Why an execution ended, by evidence: the machines' record first, then the end of what was printed. Pure.

An outcome file is stronger than all of this and is judged elsewhere.
"""

from __future__ import annotations

import re
import signal as signals
from dataclasses import dataclass

from jobs.words import Cause
from slurm.rows import Row

MARK = "orch: execution begins"
"""Printed by the submission script when it starts: logs are appended over requeues, and only the last run counts."""


@dataclass(frozen=True)
class Verdict:
    """A cause and the lines that show it."""

    cause: Cause
    evidence: tuple[str, ...]


_BY_STATE: dict[str, Cause] = {
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

_DIED = re.compile(
    r"(?:srun: error: .*: tasks? [\d,\-]+|\.sh: line \d+: *\d+): *"
    r"(Killed|Segmentation fault|Aborted|Bus error|Terminated|Illegal instruction|Floating point exception)"
)
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|[A-Z]\w*)(?::.*)?$")
_LAUNCH_SIGNAL = 53
"""SLURM reports exit 0:53 where it could not open the job's output file or folder."""
_LONGEST = 300


def judge(row: Row, log: str = "") -> Verdict:
    """The cause of an ended row; `log` is what the job printed (its end is enough)."""
    record = row.line()
    if row.state in _BY_STATE:
        return Verdict(_BY_STATE[row.state], (record,))
    if row.signal == _LAUNCH_SIGNAL:
        return Verdict(Cause.LAUNCH_FAILURE, (record, "SLURM could not open the job's output file on that node"))
    if row.reason == "BadConstraints":
        return Verdict(Cause.ERROR, (record, "no node of the cluster can ever satisfy the request"))
    found = from_log(log) or from_exit(row.exit_code, row.signal)
    return Verdict(found.cause, (record, *found.evidence))


def from_log(log: str) -> Verdict | None:
    """The cause that the last run's text names, or None."""
    lines = log[max(log.rfind(MARK), 0) :].splitlines()
    for cause, pattern in _BY_TEXT:
        for line in reversed(lines):
            if pattern.search(line):
                return Verdict(cause, (line.strip()[:_LONGEST],))
    for line in reversed(lines):
        if _DIED.search(line):
            return Verdict(Cause.KILLED, (line.strip()[:_LONGEST],))
    last = exception_line(lines)
    return Verdict(Cause.ERROR, (last,)) if last else None


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
