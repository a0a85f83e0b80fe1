"""Other hosts that hold something of a store without SLURM: since when each has been silent.

A sign of life is a worker's heartbeat, by the clock of the file system that both sides write to, or the renewal of the
supervisor's lease. A host that nobody heard for a minute may be dead; a person says whether it is (upkeep/gone.py).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from db import attempts, lease
from db.attempts import StoredAttempt
from db.store import Store
from jobs import files
from jobs.files import read_json
from jobs.hosts import boot_id
from jobs.layout import Layout
from jobs.words import AttemptState, BackendName
from orchestrator.settings import Settings
from slurm.local.record import LocalRecord, record_path

SILENT_SECONDS = 60.0
"""From then on a host counts as silent: twelve heartbeats, or six renewals of the lease."""
SSH_SECONDS = 5
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One sign of life."""

    at: datetime
    seconds: float
    """How long ago: by the file system's clock, or ours for a lease."""
    what: str


@dataclass(frozen=True, kw_only=True)
class OtherHost:
    """A host with live local attempts of the store, or with its supervisor."""

    name: str
    attempts: tuple[StoredAttempt, ...] = ()
    beats: tuple[Sign, ...] = ()
    """The newest one of each execution."""
    renewal: Sign | None = None
    """Of the lease, where it supervises."""

    @property
    def jobs(self) -> tuple[int, ...]:
        return tuple(sorted({attempt.job for attempt in self.attempts}))

    @property
    def newest(self) -> Sign | None:
        signs = [*self.beats, *([self.renewal] if self.renewal else [])]
        return min(signs, key=lambda sign: sign.seconds, default=None)

    @property
    def silent(self) -> bool:
        """Whether nobody has heard of it for long."""
        return self.newest is None or self.newest.seconds >= SILENT_SECONDS


def others(store: Store) -> list[OtherHost]:
    """The other hosts that hold something of the store, by name. Reads only, but for a file of a moment."""
    with store.read() as connection:
        live = [one for one in attempts.live_on(connection, BackendName.LOCAL) if one.state is not AttemptState.ENDED]
        holder = lease.holder(connection)
    here = socket.gethostname()
    there: dict[str, list[StoredAttempt]] = {}
    for attempt in live:
        name = _elsewhere(store.layout, attempt)
        if name and name != here:
            there.setdefault(name, []).append(attempt)
    renewals: dict[str, Sign] = {}
    if holder is not None and holder.host != here:
        told = Sign(at=holder.renewed_at, seconds=holder.silent_seconds(), what="its supervisor's lease")
        renewals[holder.host] = told
    names = sorted({*there, *renewals})
    at = _clock_of(store.root) if names else 0.0
    return [
        OtherHost(
            name=name,
            attempts=tuple(there.get(name, ())),
            beats=tuple(sign for attempt in there.get(name, ()) for sign in _beats(store.layout, attempt, at)),
            renewal=renewals.get(name),
        )
        for name in names
    ]


def _elsewhere(layout: Layout, attempt: StoredAttempt) -> str | None:
    """The host of a local attempt, where its processes are not ours to see; None for one of this host, or unknown."""
    record = read_json(record_path(layout.submission(attempt.token)), LocalRecord)
    if record is not None and record.token == attempt.token:
        return None if record.is_here else record.host
    return None if attempt.boot_id in (None, boot_id()) else attempt.node


def _beats(layout: Layout, attempt: StoredAttempt, at: float) -> list[Sign]:
    """The newest sign of each of its executions that has not ended."""
    found = []
    for folder in layout.executions(attempt.job, attempt.number):
        for name in ("heartbeat", "started.json"):
            with contextlib.suppress(OSError):
                if (folder / "outcome.json").exists():
                    break
                beaten = (folder / name).lstat().st_mtime
                found.append(
                    Sign(
                        at=datetime.fromtimestamp(beaten, UTC),
                        seconds=max(0.0, at - beaten),
                        what=f"the heartbeat of job {attempt.job}",
                    )
                )
                break
    return found


def _clock_of(folder: Path) -> float:
    """The time by the clock that stamps the folder's files; ours where nothing can be written."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock-") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return files.now().timestamp()


def by_ssh(host: str, wanted: str | None) -> str:
    """What ssh says of a host: 'answers', 'was booted again since', or why there is no answer.

    `wanted`: the boot that its attempts are of; None where nobody knows. Never asks for a password, ends after seconds.
    """
    if not _HOST.fullmatch(host) or shutil.which("ssh") is None:
        return "cannot be asked: there is no ssh here"
    command = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={SSH_SECONDS}", "--", host]
    try:
        told = subprocess.run(
            [*command, "cat /proc/sys/kernel/random/boot_id"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=2 * SSH_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return f"does not answer within {2 * SSH_SECONDS} s"
    if told.returncode:
        lines = told.stderr.strip().splitlines()
        return f"does not let us in: {lines[-1]}" if lines else "does not let us in"
    return "answers" if wanted in (None, told.stdout.strip()) else "answers, and was booted again since"


def asked(hosts: Sequence[OtherHost], settings: Settings) -> dict[str, str]:
    """Host → what ssh says of it, of the silent ones, where `[nodes] ssh` allows that."""
    if not settings.nodes.ssh:
        return {}
    return {host.name: by_ssh(host.name, boot_of(host)) for host in hosts if host.silent}


def boot_of(host: OtherHost) -> str | None:
    """The boot that its attempts are of, where they are of one."""
    boots = {attempt.boot_id for attempt in host.attempts if attempt.boot_id is not None}
    return boots.pop() if len(boots) == 1 else None
