"""How large a store is against what it may be: measured by the supervisor now and then, said by those who look."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jobs.files import read_json
from jobs.records import Moment, Record
from orchestrator.amounts import size_bytes, size_text

MEASURED, TIDIED = "room.json", "tidied.json"
FULL = 0.9
MEND = "'orch clean --dry-run' says what nothing needs"


class Measured(Record, frozen=True, kw_only=True):
    """`room.json`: what the store takes on its disk."""

    at: Moment
    bytes: int
    files: int
    seconds: float = 0.0
    """How long the counting took."""


class Tidied(Record, frozen=True, kw_only=True):
    """`tidied.json`: what `[clean] keep` has removed so far."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Room:
    """Bytes. `quota`: `[store] quota`; `free` and `disk` as statvfs(3) says them to this user."""

    measured: Measured | None
    tidied: Tidied
    quota: int | None
    free: int
    disk: int

    @property
    def of_quota(self) -> float | None:
        """The share that is used; None where nobody knows."""
        return self.measured.bytes / self.quota if self.measured and self.quota else None

    @property
    def of_disk(self) -> float:
        return 1 - self.free / self.disk if self.disk else 0.0

    def warning(self) -> str | None:
        """Before it is full."""
        if self.of_quota is not None and self.of_quota >= FULL and self.measured and self.quota:
            held = f"{size_text(self.measured.bytes)} of its {size_text(self.quota)}"
            return f"the store holds {held} ({self.of_quota:.0%} of [store] quota): {MEND}"
        if self.of_disk >= FULL:
            return f"the store's disk is {self.of_disk:.0%} full, {size_text(self.free)} are free: {MEND}"
        return None

    def line(self, now: datetime) -> str:
        """'store 3.4 GiB (2 min ago), 43.0 GiB free'; '' where it was never measured."""
        if self.measured is None:
            return ""
        whole = f" of {size_text(self.quota)}" if self.quota else ""
        text = f"store {size_text(self.measured.bytes)}{whole} ({_ago(self.measured.at, now)})"
        text += f", {size_text(self.free)} free"
        if self.tidied.files:
            text += f", {self.tidied.files} checkpoint files removed ({size_text(self.tidied.bytes)})"
        return text

    def as_json(self) -> dict[str, object]:
        return {
            "bytes": self.measured.bytes if self.measured else None,
            "files": self.measured.files if self.measured else None,
            "measured_at": self.measured.at if self.measured else None,
            "quota": self.quota,
            "free": self.free,
            "disk": self.disk,
            "removed_files": self.tidied.files,
            "removed_bytes": self.tidied.bytes,
            "warning": self.warning(),
        }


def look(root: Path, quota: str | None) -> Room:
    """As things stand; nothing is walked."""
    try:
        state = os.statvfs(root)
        free, disk = state.f_bavail * state.f_frsize, (state.f_blocks - state.f_bfree + state.f_bavail) * state.f_frsize
    except OSError:
        free, disk = 0, 0
    return Room(
        measured=read_json(root / MEASURED, Measured),
        tidied=read_json(root / TIDIED, Tidied) or Tidied(),
        quota=size_bytes(quota, "[store] quota") if quota else None,
        free=free,
        disk=disk,
    )


def _ago(at: datetime, now: datetime) -> str:
    seconds = max(0.0, (now - at).total_seconds())
    if seconds < 60:
        return "just measured"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return ""
