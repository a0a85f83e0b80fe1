"""`command`: any program in a slot, with resubmission, status and tables, without touching its code."""

from __future__ import annotations

import msgspec

from jobs.kind import Config, JobKind
from jobs.resources import Resources

STOP_SIGNALS = ("TERM", "INT", "USR1", "USR2", "HUP")


class CommandConfig(Config, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """`argv` may hold {seed}, {job}, {out} and the names in `parameters`."""

    argv: tuple[str, ...]
    folder: str = ""
    """The working folder: relative to the store's project where it lies inside ('' is the project), else absolute."""
    parameters: dict[str, str] = msgspec.field(default_factory=dict)
    """Values by name, in their one canonical text (jobs/commands.py); they stand in `argv` as {name}."""
    quoted: tuple[str, ...] = ()
    """Parameters whose value is text, although it looks like a number."""
    name: str = ""
    """Only in jobs of kind version 1: the label is no part of what a job is."""
    stop_signal: str = ""
    """Only in jobs of kind version 1: how to stop a job is no part of what it is."""


KIND = JobKind(
    name="command",
    version=2,
    help="Run any program once per seed; its numbers are in ORCH_RESULT, in a file that it writes, or in its output.",
    config=CommandConfig,
    run="jobs.node.command:run",
    resources=lambda config: Resources(cpus=1, memory_mb=2000, minutes=24 * 60),
    needs_data=False,
)
