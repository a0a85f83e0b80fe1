"""`command`: any program in a slot, with resubmission, status and tables, without touching its code."""

from __future__ import annotations

from typing import Literal

import msgspec

from jobs.kind import Config, JobKind, Resources


class CommandConfig(Config, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """`argv` may hold {seed}, {job} and the names in `parameters`."""

    argv: tuple[str, ...]
    name: str = ""
    parameters: dict[str, str] = msgspec.field(default_factory=dict)
    """Values of a grid by name; they stand in `argv` as {name}."""
    stop_signal: Literal["TERM", "INT", "USR1", "USR2", "HUP"] = "TERM"
    """Sent to the program before a time limit or on a cancel, so that it can save its checkpoint."""


KIND = JobKind(
    name="command",
    version=1,
    help="Run any program once per seed; its result is the JSON file named in ORCH_RESULT.",
    config=CommandConfig,
    run="jobs.command:run",
    resources=lambda config: Resources(cpus=1, memory_mb=2000, minutes=24 * 60),
    needs_data=False,
)
