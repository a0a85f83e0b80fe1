"""`--wait`: progress until nothing of the study can move without a person."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from db import executions, jobs, lease
from db.store import Store
from jobs.words import JobState
from orchestrator import notices
from orchestrator.starting import LOG, ensure_supervisor

LOOK_SECONDS = 0.5
START_SECONDS = 5.0
"""How long a supervisor may take from its start to its lease."""
MOST_RESTARTS = 10
"""In a row, each found dead when it was looked for."""
DEFECT = 70
MOVING = (JobState.QUEUED, JobState.SUBMITTED, JobState.RUNNING)


def wait(store: Store, study: str, *, quiet: bool) -> int:
    """0 where all succeeded or were cancelled, 1 where a job failed or is blocked (named). Ctrl-C: 130, jobs go on."""
    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    look_after = time.monotonic() + START_SECONDS
    restarts = 0
    try:
        with _progress(console, quiet) as progress:
            task = progress.add_task("jobs", total=None)
            said = ""
            while True:
                counts = _look(store, study)
                done = sum(counts[state] for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED))
                text = ", ".join(f"{n} {state}" for state, n in counts.items() if n) + _best(store, study)
                progress.update(task, total=sum(counts.values()), completed=done, description=text)
                if not (quiet or console.is_terminal) and text != said:
                    said = text
                    console.print(f"{done}/{sum(counts.values())}  {text}")
                if not any(counts[state] for state in MOVING):
                    break
                stopped = _stopped(store)
                if stopped and not counts[JobState.SUBMITTED] + counts[JobState.RUNNING]:
                    console.print(f"dispatch has stopped: {stopped}", style="red")
                    return 1
                if time.monotonic() >= look_after:
                    restarts = restarts + 1 if _restart_supervisor(store) else 0
                    look_after = time.monotonic() + START_SECONDS
                    if restarts > MOST_RESTARTS:
                        console.print(f"every supervisor ends at once: see why in {store.root / LOG}", style="red")
                        return DEFECT
                time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        console.print("interrupted: the jobs go on; see them with 'orch status'")
        return 130
    return verdict(store, study)


def _progress(console: Console, quiet: bool) -> Progress:
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=console,
        disable=quiet or not console.is_terminal,  # a log file gets a line per change instead
    )


def _look(store: Store, study: str) -> dict[JobState, int]:
    with store.read() as connection:
        return jobs.counts(connection, study)


def _best(store: Store, study: str) -> str:
    """The newest accuracy that a running job reported, to see that it learns."""
    with store.read() as connection:
        latest = executions.newest_report(connection, study)
    if latest is None:
        return ""
    job, epoch, epochs, accuracy = latest
    of = f"/{epochs}" if epochs else ""
    return f" · job {job} epoch {epoch}{of}" + (f" {accuracy:.2f} %" if accuracy is not None else "")


def _stopped(store: Store) -> str:
    found = notices.read(store)
    return found.halted() if found else ""


def _restart_supervisor(store: Store) -> bool:
    """Start a supervisor where the last one died under us; True where that was so."""
    with store.read() as connection:
        holder = lease.holder(connection)
    return (holder is None or not holder.alive()) and ensure_supervisor(store)


def verdict(store: Store, study: str | None) -> int:
    """Name what failed or is blocked (None: in all studies): 1, else 0."""
    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    with store.read() as connection:
        failed = jobs.select(connection, study=study, states=[JobState.FAILED])
        blocked = jobs.blocked(connection, study)
    for job in failed[:10]:
        console.print(f"job {job.id} ({job.kind}, seed {job.seed}) failed: {job.error or job.cause}", style="red")
    if len(failed) > 10:
        console.print(f"… and {len(failed) - 10} more failed: orch status", style="red")
    if blocked:
        first, roots = next(iter(blocked.items()))
        console.print(f"{len(blocked)} jobs are blocked, job {first} behind job {roots[0]}", style="red")
    return 1 if failed or blocked else 0
