"""`orch doctor`: every check gives findings, each ok, a warning or a failure with its mend."""

from __future__ import annotations

import importlib.util
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

from db import attempts, audit, checks, health, holdups, jobs
from db.admission import admit
from db.place import file_system, locate
from db.rebuild import is_job
from db.store import NoStore, Store
from db.writer import MEND
from jobs import trust
from jobs.errors import BadInput, OrchError
from jobs.files import now
from jobs.words import JobState
from orchestrator.mirroring import ages, rounds
from orchestrator.mirroring.rsync import MirrorError
from orchestrator.settings import Settings, hours, load
from orchestrator.supervision import oddities
from orchestrator.upkeep import machinechecks
from orchestrator.upkeep.findings import Finding, failure, ok, warning
from orchestrator.views import collect
from orchestrator.views import nodes as node_view
from orchestrator.views.words import duration, listed, plural

SKEW = timedelta(seconds=5)
LITTLE_ROOM, NO_ROOM = 2 * 2**30, 200 * 2**20
"""Bytes free on the store's disk."""
LOOKED_AT = 1000
"""Newest accepted results, and newest attempts, whose folders are looked at."""
ODD_SHOWN = 20


def examine(store_path: Path | None) -> list[Finding]:
    """All checks; one that breaks becomes a failure itself."""
    root = locate(store_path, looking=True)
    found = machinechecks.software()
    settings = Settings()
    group: bool | None = None
    try:
        there = admit(root, looking=True)
        settings = load(root, frozenset({there.owner} if there else ()))
        group = settings.store.readable == "group"
        found.append(ok("settings", f"orch.toml and ORCH_* are in order (study {settings.study})"))
    except OrchError as error:
        found.append(failure("settings", str(error), "mend that line, the defaults are used meanwhile"))
    store = _open(root, found, group)
    if store is not None:
        for check in (_files, _database, _journal, _run_folders, _results, _mirror, _supervisor, _clocks, _nodes):
            found += _tried(check.__name__.strip("_"), lambda check=check: check(store, settings))  # type: ignore[misc]
    found += _notify(settings)
    found += _tried("data sets", lambda: machinechecks.data_sets(settings, _needed(store)))
    found += _tried("GPUs", lambda: machinechecks.gpu_preflight(settings))
    found += _tried("lab", lambda: machinechecks.lab(root, settings))
    found += _tried("SLURM", machinechecks.cluster)
    return found


def _tried(subject: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except (OrchError, OSError) as error:
        return [failure(subject, str(error), "mend that, then run 'orch doctor' again")]


def _notify(settings: Settings) -> list[Finding]:
    """Whether those who want to be told can be."""
    wanted = settings.notify
    if wanted.urls and importlib.util.find_spec("apprise") is None:
        mend = "pip install apprise, or use [notify] command"
        return [failure("notify", "[notify] urls needs the package apprise, which is not installed", mend)]
    ways = [name for name, given in (("a command", wanted.command), (f"{len(wanted.urls)} urls", wanted.urls)) if given]
    return [ok("notify", f"people are told by {' and '.join(ways)}")] if ways else []


def _open(root: Path, found: list[Finding], group: bool | None) -> Store | None:
    try:
        return Store(root, looking=True, group=group)
    except NoStore:
        found.append(ok("store", f"there is none in {root} yet: the first 'orch submit' makes it"))
    except OrchError as error:
        found.append(failure("store", str(error), "do as it says; the run folders hold everything that was decided"))
    return None


def _files(store: Store, settings: Settings) -> list[Finding]:
    kind = file_system(store.root) or "unknown"
    found = []
    if store.network:
        found.append(
            warning(
                "file system",
                f"{store.root} is on {kind}, a network file system: a rollback journal is used instead of WAL",
                "run the supervisor and your commands on one host; a local disk is faster where jobs are local too",
            )
        )
    else:
        found.append(ok("file system", f"{store.root} is on {kind} (local)"))
    free = shutil.disk_usage(store.root).free
    room = f"{free / 2**30:.1f} GiB free"
    if free < NO_ROOM:
        found.append(failure("disk", room, "make room: 'orch clean' removes checkpoints that nothing needs"))
    elif free < LITTLE_ROOM:
        found.append(warning("disk", room, "make room: 'orch clean' removes checkpoints that nothing needs"))
    else:
        found.append(ok("disk", room))
    mode = stat.S_IMODE(store.root.stat().st_mode)
    who = "its owner alone looks" if not mode & 0o077 else "the group looks, only its owner writes"
    found.append(ok("rights", f"{store.root} belongs to {trust.person(store.root.stat().st_uid)}: {who}"))
    if not store.read_only:
        found += _file_clock(store.root)
    return found


def _file_clock(folder: Path) -> list[Finding]:
    """The clock of the file server against ours."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as handle:
            handle.write(b"x")
            handle.flush()
            off = Path(handle.name).stat().st_mtime - time.time()
    except OSError as error:
        return [
            failure("writing", f"{folder} cannot be written: {error.strerror}", "mend its permissions or make room")
        ]
    if abs(off) > SKEW.total_seconds():
        text = f"the file server's clock is {duration(abs(off))} {'ahead' if off > 0 else 'behind'}"
        return [warning("file clock", text, "let all machines follow the same time server (chrony, ntpd)")]
    return []


def _database(store: Store, settings: Settings) -> list[Finding]:
    with store.read() as connection:
        wrong = checks.integrity(connection)
        off = checks.miscounted(connection)
        mode = checks.journal_mode(connection)
        schema = checks.schema_version(connection)
    found = []
    if wrong:
        text = f"{plural(len(wrong), 'fault')}: {listed(wrong, 3)}"
        found.append(failure("database", text, "run 'orch rebuild', which makes it anew from runs/"))
    elif off:
        found.append(failure("database", f"its counters are wrong ({listed(off, 3)})", "run 'orch rebuild'"))
    else:
        found.append(ok("database", f"whole, schema {schema}, journal mode {mode}"))
    wanted = "delete" if store.network else "wal"
    if mode != wanted:
        why = "WAL is not safe on a network file system" if store.network else "WAL is faster on a local one"
        level = failure if store.network else warning
        found.append(level("journal mode", f"{mode}, though {why}", "run 'orch rebuild', which sets it"))
    return found


def _journal(store: Store, settings: Settings) -> list[Finding]:
    with store.read() as connection:
        known = checks.jobs(connection)
    try:
        found = audit.audit(store)
    except OSError as error:
        text, _, mend = audit.unreadable(store.layout.journal, error).rpartition(": ")
        return [failure("journal", text, mend)]
    held = found.held or audit.Held(number=0)
    findings = []
    if found.sentence():
        level = failure if found.losses else warning
        findings.append(level("journal", found.sentence(), found.mend()))
    elif found.last > held.number:
        text = f"the database is {plural(found.last - held.number, 'file')} behind it (a crash between the two)"
        findings.append(warning("journal", text, "nothing to do: the next command that writes catches up"))
    else:
        findings.append(ok("journal", f"{plural(held.number, 'file')}, all in the database"))
    if found.strays:
        text = f"not its own: {listed([str(path) for path in found.strays], 3)}"
        findings.append(warning("journal", text, "move them away: orch never reads them"))
    unknown = [job for job in store.layout.jobs() if job not in known and is_job(store.layout, job)]
    if unknown and not found.losses and found.last == held.number:
        text = f"{plural(len(unknown), 'run folder')} of jobs that the database does not know: {listed(unknown)}"
        findings.append(failure("journal", text, f"journal files are missing: {MEND}"))
    return findings


def _run_folders(store: Store, settings: Settings) -> list[Finding]:
    with store.read() as connection:
        looked_at = {one.id: one for one in [*attempts.live(connection), *attempts.newest(connection, LOOKED_AT)]}
    found = oddities.of_attempts(store.layout, list(looked_at.values()))
    if not found:
        return [ok("run folders", f"the files of the newest {plural(len(looked_at), 'attempt')} are in order")]
    mend = "the rest goes on; restore the file from a backup, or 'orch retry' its job where that ended by it"
    said = [warning("run folders", odd.text(), mend) for odd in found[:ODD_SHOWN]]
    if len(found) > ODD_SHOWN:
        said.append(warning("run folders", f"and {len(found) - ODD_SHOWN} more files", mend))
    return said


def _results(store: Store, settings: Settings) -> list[Finding]:
    with store.read() as connection:
        accepted = checks.newest_accepted(connection, LOOKED_AT)
    gone = [
        job
        for job, attempt, execution in accepted
        if not (store.layout.attempt(job, attempt) / execution / "outcome.json").exists()
    ]
    if gone:
        text = f"the outcome of {plural(len(gone), 'accepted result')} is gone from runs/: job {listed(sorted(gone))}"
        mend = "restore the folders from a backup; tables still count these results, jobs that need them cannot start"
        return [warning("results", text, mend)]
    return [ok("results", f"the newest {plural(len(accepted), 'accepted result')} are in runs/")] if accepted else []


def _mirror(store: Store, settings: Settings) -> list[Finding]:
    """The mirror is asked now, and what the last round noted is told."""
    if settings.store.mirror is None:
        return []
    again = "mend that; 'orch mirror --now' tries it at once"
    try:
        place = rounds.place_of(store, settings)
        rounds.Round(store, settings, place).check()
    except (MirrorError, BadInput) as error:
        return [failure("mirror", str(error), again)]
    at, age = now(), ages.of_place(store, settings, place)
    if (wrong := age.warning(at)) is not None:
        return [warning("mirror", wrong.removeprefix("mirror: "), again)]
    if age.noted.at is None and not age.noted.under_way:
        mend = "the supervisor makes one when it starts; 'orch mirror --now' makes it now"
        return [warning("mirror", f"{place} answers and holds no complete round yet", mend)]
    return [ok("mirror", age.line(at).removeprefix("mirror "))]


def _supervisor(store: Store, settings: Settings) -> list[Finding]:
    with store.read() as connection:
        held = collect.supervisor(connection)
        counts = jobs.counts(connection)
        vain = holdups.in_vain(connection)
    waiting = sum(counts[state] for state in (JobState.QUEUED, JobState.SUBMITTED, JobState.RUNNING)) - vain
    if held is not None and held.late:
        return [warning("supervisor", held.late, "end it and start another one, as said")]
    if held is not None and held.alive:
        return [ok("supervisor", f"pid {held.pid} on {held.host}")]
    if waiting:
        gone = f"the last one (pid {held.pid} on {held.host}) is gone" if held else "none runs"
        text = f"{gone}, and {plural(waiting, 'job')} {'waits' if waiting == 1 else 'wait'} for one"
        return [warning("supervisor", text, "start one: 'orch supervise' (any 'orch submit' does too)")]
    return [ok("supervisor", "none runs, and nothing waits for one")]


def _clocks(store: Store, settings: Settings) -> list[Finding]:
    with store.read() as connection:
        found = [skew for skew in checks.skews(connection) if abs(skew.ahead) > SKEW]
    if not found:
        return [ok("clocks", "no node's clock is seen to differ")]
    worst = max(found, key=lambda skew: abs(skew.ahead))
    seconds = worst.ahead.total_seconds()
    text = f"the clock of {worst.node} is at least {duration(abs(seconds))} {'ahead' if seconds > 0 else 'behind'}" + (
        f" ({plural(len(found), 'node')} differ)" if len(found) > 1 else ""
    )
    return [warning("clocks", text, "let all machines follow the same time server (chrony, ntpd)")]


def _nodes(store: Store, settings: Settings) -> list[Finding]:
    at = now()
    with store.read() as connection:
        strikes = health.strikes(connection, at - hours(settings.nodes.strike_hours))
    bad = sorted(node_view.suspects(strikes, settings.nodes))
    if bad:
        return [warning("nodes", f"too many failures on {listed(bad)}", "see 'orch nodes', mend them, then clear them")]
    return [ok("nodes", f"{plural(len(strikes), 'strike')}, no node is bad")]


def _needed(store: Store | None) -> list[str]:
    """Data sets of jobs that have not ended."""
    if store is None:
        return []
    with store.read() as connection:
        return checks.datasets(connection)
