"""Why SLURM lets a job wait, in plain words (squeue(1), JOB REASON CODES)."""

from __future__ import annotations

import re

from slurm.backend import Phase

_WORDS = {
    "None": "SLURM has not looked at it yet",
    "Priority": "jobs of higher priority come first",
    "Resources": "it comes next, as soon as enough of the nodes it asks for are free",
    "BeginTime": "its start time is still to come (SLURM waits a while before it starts a requeued job again)",
    "Dependency": "it waits for another SLURM job",
    "DependencyNeverSatisfied": "it waits for a SLURM job that can no longer end as asked: cancel it",
    "JobArrayTaskLimit": "as many tasks of its array run as the array allows",
    "JobHeldUser": "its owner holds it: `scontrol release` lets it go",
    "JobHeldAdmin": "an administrator holds it: ask them",
    "JobHoldMaxRequeue": "SLURM requeued it too often and holds it",
    "launch failed requeued held": "SLURM could not start it on a node and holds it: orch releases it",
    "job requeued in held state": "somebody requeued it with a hold: `scontrol release` lets it go",
    "PartitionDown": "its partition is down: ask an administrator or choose another with --partition",
    "PartitionInactive": "its partition is inactive: ask an administrator or choose another with --partition",
    "PartitionNodeLimit": "it asks for more than its partition has: check nodes, CPUs and memory against `sinfo`",
    "PartitionTimeLimit": "its time is longer than its partition allows: give less with --time",
    "PartitionConfig": "its request does not fit its partition: check nodes, CPUs and memory against `sinfo`",
    "BadConstraints": "no node of the cluster can ever satisfy its request: change it",
    "ReqNodeNotAvail": "nodes it needs are down, drained, reserved or excluded",
    "NodeDown": "a node it needs is down",
    "Reservation": "its reservation has not begun",
    "ReservationDeleted": "its reservation was deleted: submit it without",
    "Licenses": "it waits for a licence",
    "Cleaning": "SLURM still cleans up after its last run",
    "Prolog": "the node's prolog script runs",
    "JobLaunchFailure": "SLURM could not start it",
    "NonZeroExitCode": "it ended with an exit code that is not zero",
    "RaisedSignal": "it was ended by a signal",
    "TimeLimit": "it used up its time limit",
    "OutOfMemory": "it used more memory than it asked for",
    "InactiveLimit": "it was inactive for too long",
    "InvalidAccount": "its account is not valid: give another with --account",
    "InvalidQOS": "its QOS is not valid: give another with --qos",
    "AccountNotAllowed": "its account may not use this partition: give another with --account",
    "QOSNotAllowed": "its QOS may not be used with this account or partition: give another with --qos",
    "AccountingPolicy": "a limit of its account is reached",
    "FrontEndDown": "the front end is down",
    "SystemFailure": "SLURM itself failed",
    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions": (
        "all nodes that it could use are down, drained, excluded or kept for more important partitions"
    ),
}

_CODES = """
    AccountNotAllowed AssociationTimeLimit BadConstraints DependencyNeverSatisfied InvalidAccount InvalidQOS
    JobHeldAdmin JobHeldUser MaxMemPerLimit PartitionConfig PartitionNodeLimit PartitionTimeLimit QOSNotAllowed
    QOSTimeLimit ReservationDeleted
"""
_FOR_A_PERSON = frozenset(_CODES.split()) | {"job requeued in held state"}
"""SLURM never starts a job by itself that waits for one of these."""
_PER_JOB = re.compile(r"^(?:Assoc|QOS)\w*Per(?:Job|Node)|^QOSMin\w+")
"""What one job may not ask for, or must: nobody else's end changes that."""
_SUSPENDED = "SLURM suspended it: it goes on when SLURM or `scontrol resume` lets it"

_LIMIT = re.compile(r"^(Assoc|QOS|MaxQOS)(Grp|Max)?(\w*)$")
_WHAT = (
    ("SubmitJob", "jobs in the queue"),
    ("Jobs", "running jobs"),
    ("CpuMinutes", "CPU minutes"),
    ("CPUMinutes", "CPU minutes"),
    ("CpuRunMin", "CPU minutes of running jobs"),
    ("CPURunMin", "CPU minutes of running jobs"),
    ("Cpu", "CPUs"),
    ("CPU", "CPUs"),
    ("GRES", "GPUs or other devices"),
    ("Gres", "GPUs or other devices"),
    ("Memory", "memory"),
    ("Mem", "memory"),
    ("Node", "nodes"),
    ("Wall", "time"),
    ("Billing", "billing units"),
)


def of_phase(phase: Phase, reason: str) -> str:
    """Why it does not run now, in plain words; '' where it does."""
    if phase is Phase.SUSPENDED:
        return _SUSPENDED
    return in_words(reason) if phase in (Phase.PENDING, Phase.HELD) else ""


def needs_a_person(words: str) -> bool:
    """Whether SLURM never starts a job that waits for this reason, told by `in_words`, until a person does something.

    What SLURM holds since it could not start it is released by orch.
    """
    code = words.rpartition("(")[2].rstrip(")").removeprefix("SLURM says: ").partition(",")[0].strip()
    return code in _FOR_A_PERSON or _PER_JOB.match(code) is not None


def in_words(reason: str) -> str:
    """The reason for people, with SLURM's own word in brackets; '' stays ''."""
    reason = reason.strip().strip("()")
    if not reason:
        return ""
    head = reason.partition(",")[0].strip()
    words = _WORDS.get(reason) or _WORDS.get(head)
    if words is None:
        words = _limit(head)
    if words is None:
        return f"SLURM says: {reason}"
    more = f" ({reason})" if reason not in words else ""
    return f"{words}{more}"


def _limit(reason: str) -> str | None:
    match = _LIMIT.match(reason)
    if match is None or match[2] is None:
        return None
    owner = "its account" if match[1] == "Assoc" else "its QOS"
    for word, thing in _WHAT:
        if word in match[3] or word in reason:
            if "PerJob" in reason:
                return f"one job may not ask for so much of {thing} under {owner}: ask for less"
            group = " (shared with others)" if "Grp" in reason else ""
            return f"the limit of {owner} on {thing}{group} is reached: it goes on when others end"
    return f"a limit of {owner} is reached: it goes on when others end"
