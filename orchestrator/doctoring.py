"""`orch doctor`: every check gives findings, each ok, a warning or a failure with its mend."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from db import checks, health, jobs, journal
from db.store import NoStore, Store, file_system, locate
from jobs import datasets
from jobs.errors import OrchError
from jobs.files import now
from jobs.words import JobState
from orchestrator.machines import slurm_is_here
from orchestrator.settings import Settings, hours, load
from orchestrator.views import collect
from orchestrator.views import nodes as node_view
from orchestrator.views.words import duration, listed, plural
from slurm import gpus
from slurm.probe import Findings, probe

SKEW = timedelta(seconds=5)
LITTLE_ROOM, NO_ROOM = 2 * 2**30, 200 * 2**20
"""Bytes free on the store's disk."""
LOOKED_AT = 1000
"""Newest accepted results whose folders are looked for."""


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was looked at, what was found, and (unless ok) what to do."""

    level: Level
    subject: str
    text: str
    mend: str = ""


def ok(subject: str, text: str) -> Finding:
    return Finding(level=Level.OK, subject=subject, text=text)


def warning(subject: str, text: str, mend: str) -> Finding:
    return Finding(level=Level.WARNING, subject=subject, text=text, mend=mend)


def failure(subject: str, text: str, mend: str) -> Finding:
    return Finding(level=Level.FAILURE, subject=subject, text=text, mend=mend)


def examine(store_path: Path | None) -> list[Finding]:
    """All checks; one that breaks becomes a failure itself."""
    root = locate(store_path)
    found = [*_software()]
    settings = Settings()
    try:
        settings = load(root)
        found.append(ok("settings", f"orch.toml and ORCH_* are in order (study {settings.study})"))
    except OrchError as error:
        found.append(failure("settings", str(error), "mend that line, the defaults are used meanwhile"))
    store = _open(root, found)
    if store is not None:
        for check in (_files, _database, _journal, _results, _supervisor, _clocks, _nodes):
            found += _tried(check.__name__.strip("_"), lambda check=check: check(store, settings))  # type: ignore[misc]
    found += _tried("data sets", lambda: _data(store, settings))
    found += _tried("GPUs", lambda: _gpus(settings))
    found += _tried("SLURM", _slurm)
    return found


def _tried(subject: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except (OrchError, OSError) as error:
        return [failure(subject, str(error), "mend that, then run 'orch doctor' again")]


def _software() -> list[Finding]:
    names = ("orch", "torch", "submitit", "sqlalchemy")
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            return [failure("software", f"{name} is not installed", f"pip install {name}")]
    return [ok("software", f"Python {'.'.join(map(str, sys.version_info[:3]))}, {', '.join(found)}")]


def _open(root: Path, found: list[Finding]) -> Store | None:
    try:
        return Store(root)
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
    if mode & 0o077:
        found.append(warning("rights", f"{store.root} is open to others ({mode:o})", f"chmod 700 {store.root}"))
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
        number = checks.journal_seq(connection)
    folder = store.layout.journal
    if number and not journal.path_of(folder, number).exists():
        text = f"its file {number} is missing, though the database holds it"
        return [failure("journal", text, "restore runs/journal from a backup: a rebuild would lose what is missing")]
    if journal.path_of(folder, number + 1).exists():
        text = "the database is behind it (a crash between the two)"
        return [warning("journal", text, "nothing to do: the next command that writes catches up")]
    return [ok("journal", f"{plural(number, 'file')}, all in the database")]


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


def _supervisor(store: Store, settings: Settings) -> list[Finding]:
    with store.read() as connection:
        held = collect.supervisor(connection)
        counts = jobs.counts(connection)
    waiting = sum(counts[state] for state in (JobState.QUEUED, JobState.SUBMITTED, JobState.RUNNING))
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


def _data(store: Store | None, settings: Settings) -> list[Finding]:
    needed: list[str] = []
    if store is not None:
        with store.read() as connection:
            needed = checks.datasets(connection)
    folder = Path(settings.data_dir) if settings.data_dir else None
    found = []
    for name in datasets.names():
        place = datasets.find(datasets.named(name), folder)
        if place is not None:
            found.append(ok("data set", f"{name} in {place}"))
        elif name in needed:
            where = ", ".join(map(str, datasets.places(folder)))
            mend = "let orch fetch it (orch submit does, where there is internet) or name its folder with --data-dir"
            found.append(failure("data set", f"{name} is needed by jobs, and it is not in {where}", mend))
        else:
            found.append(ok("data set", f"{name} is not here; it is fetched when a job needs it"))
    return found


def _gpus(settings: Settings) -> list[Finding]:
    variable = (
        ",".join(settings.local.gpus) if settings.local.gpus is not None else os.environ.get("CUDA_VISIBLE_DEVICES")
    )
    try:
        driver = gpus.open_driver()
        visible = gpus.visible(variable, driver)
    except gpus.DriverSilent as error:
        mend = "see what 'nvidia-smi' says; often a new driver needs a reboot"
        return [failure("GPUs", f"the NVIDIA driver does not answer: {error}", mend)]
    if driver is None:
        return [ok("GPUs", "no NVIDIA driver: local jobs run on the CPU")]
    if not visible:
        text = f"the driver has {plural(len(driver.devices()), 'GPU')}, and CUDA_VISIBLE_DEVICES={variable} shows none"
        return [warning("GPUs", text, "unset CUDA_VISIBLE_DEVICES, or name GPUs that are there")]
    found = []
    for gpu in visible:
        try:
            use = driver.use(gpu.key)
        except gpus.DriverSilent as error:
            found.append(failure("GPU", f"{gpu.name} does not answer: {error}", "see 'nvidia-smi' and 'dmesg' (Xid)"))
            continue
        others = gpus.describe(use.processes) if use.processes else "unused"
        found.append(ok("GPU", f"{gpu.name}: {use.free_mb:.0f} of {use.total_mb:.0f} MB free, {others}"))
    if version("torch").endswith("+cpu"):
        mend = "install the CUDA build of torch (see pytorch.org)"
        found.append(failure("torch", "there are GPUs, but this torch was built without CUDA", mend))
    return found


def _slurm() -> list[Finding]:
    if not slurm_is_here():
        return [ok("SLURM", "this host is no client of a cluster (no sbatch, or no slurm.conf): jobs run on its slots")]
    return slurm(probe())


def slurm(found: Findings) -> list[Finding]:
    """What SLURM's answers mean. Pure."""
    if not found.installed:
        return [failure("SLURM", found.errors["clients"], "install SLURM's client commands, or unset SLURM_CONF")]
    answers: list[Finding] = []
    if found.controller is None:
        why = found.errors.get("controller", "it did not answer")
        answers.append(
            failure("SLURM", f"the controller is silent: {why}", "see 'scontrol ping'; jobs go on meanwhile")
        )
        return answers
    answers.append(ok("SLURM", f"controller {found.controller}, clients {found.client or 'unknown'}"))
    if found.client and found.client.split(".")[:2] != found.controller.split(".")[:2]:
        text = f"clients {found.client} and controller {found.controller} are of different releases"
        answers.append(warning("SLURM", text, "use the clients of the cluster's own release"))
    answers += _accounting(found)
    answers += _partitions(found)
    if found.requeue is False:
        answers.append(ok("requeue", "JobRequeue is off: orch asks for --requeue with every job, and resubmits itself"))
    limits = [f"{n} {name}" for name, n in found.limits.items()]
    numbers = [*([f"arrays below {found.max_array}"] if found.max_array else []), *limits]
    if numbers:
        enforced = "" if found.limits_enforced is not False else " (not enforced)"
        answers.append(ok("limits", f"{listed(numbers, 6)}{enforced}; orch chunks and waits under them"))
    told = ("clients", "controller", "partitions", "accounting")
    answers += [
        warning(name, f"no answer: {why}", "orch does without it")
        for name, why in found.errors.items()
        if name not in told
    ]
    return answers


def _accounting(found: Findings) -> list[Finding]:
    if found.accounting:
        return [ok("accounting", "sacct answers")]
    age = f"{found.min_job_age_s} s" if found.min_job_age_s else "a while"
    why = found.errors.get("accounting")
    text = f"sacct does not answer ({why})" if why else "accounting is off"
    mend = (
        f"orch then relies on outcome files and on squeue, which forgets ended jobs after {age}: keep a supervisor on"
    )
    return [warning("accounting", text, mend)]


def _partitions(found: Findings) -> list[Finding]:
    if not found.partitions:
        return [failure("partitions", found.errors.get("partitions", "sinfo shows none"), "see 'sinfo'")]
    shown = [
        f"{one.name}{'*' if one.default else ''} ({one.usable} of {one.nodes} nodes up, {one.gpus} GPUs, "
        f"limit {one.time_limit})"
        for one in found.partitions
    ]
    if not any(one.usable for one in found.partitions):
        return [failure("partitions", f"no node is up: {listed(shown, 3)}", "see 'sinfo -R' for the reasons")]
    answers = [ok("partitions", listed(shown, 6))]
    if not any(one.gpus for one in found.partitions):
        mend = "preset report needs GPUs: check GresTypes and gres.conf, or use --preset demo"
        answers.append(warning("partitions", "no partition has GPUs", mend))
    return answers


def failures(found: Sequence[Finding]) -> int:
    """How many findings are failures."""
    return sum(one.level is Level.FAILURE for one in found)
