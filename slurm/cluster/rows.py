"""What SLURM says of one job or array task, whichever command said it."""

from __future__ import annotations

from dataclasses import dataclass

from slurm.cluster import hostlist


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of squeue or sacct."""

    job: str
    """SLURM's id without the task; of an array its common id."""
    task: int | None
    """Index in the array; None: no array, or an array's record that stands for all its unsplit tasks."""
    name: str
    state: str
    """As printed, in upper case; 'CANCELLED by 0' without its uid."""
    exit_code: int = 0
    signal: int = 0
    restarts: int | None = None
    node: str = ""
    """Node list as printed; empty where none was assigned."""
    reason: str = ""
    cancelled_by: int | None = None
    """User id of whoever cancelled it (sacct only)."""
    source: str = "squeue"

    @property
    def id(self) -> str:
        """As scancel and scontrol take it: '12', or '12_3' in an array."""
        return self.job if self.task is None else f"{self.job}_{self.task}"

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of its nodes, the first one first."""
        try:
            return tuple(hostlist.expand(self.node)) if self.node else ()
        except ValueError:
            return (self.node,)

    @property
    def several(self) -> frozenset[str]:
        """Its nodes, where there are several."""
        return frozenset(self.nodes) if len(self.nodes) > 1 else frozenset()

    def line(self) -> str:
        """The record in one line, for people."""
        state = self.state if self.cancelled_by is None else f"{self.state} by uid {self.cancelled_by}"
        parts = [f"{self.source}: job {self.id} {state}", f"exit {self.exit_code}:{self.signal}"]
        if self.node:
            parts.append(f"on {self.node}")
        if self.reason:
            parts.append(f"reason {self.reason}")
        return ", ".join(parts)


def absent_as_empty(text: str) -> str:
    """SLURM's several ways to print nothing."""
    text = text.strip()
    return "" if text in ("None", "N/A", "None assigned", "(null)", "n/a", "Unknown") else text
