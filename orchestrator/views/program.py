"""What `orch show` and `orch explain` tell of a user's program: its command line, its code, what it wrote."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from db.jobs import StoredJob
from jobs.files import read_json
from jobs.node.interpreter import Software
from jobs.node.preparation import ProgramRecord
from jobs.odd import to_text
from jobs.reported import Reported
from jobs.templates import fill, stage_fields

MOST_FILES = 8
LOOKED_AT = 2_000
"""Files of an execution's tree that are looked at, at most."""


def record_of(execution: Path | None) -> ProgramRecord | None:
    """How the program was started; None before it was, and for jobs of 0.1.0."""
    return read_json(execution / "program.json", ProgramRecord) if execution is not None else None


def command_line(job: StoredJob, record: ProgramRecord | None) -> str:
    """The command as it ran, or as it will."""
    if record is not None:
        return shlex.join(record.argv)
    values = {**job.config.get("parameters", {}), **job.launching.written}
    later = stage_fields(job.config["argv"], str(job.launching.options.get("after", "")))
    known = {**later, "seed": job.seed, "job": job.id, "out": "$ORCH_OUT"}
    return shlex.join(fill(job.config["argv"], {**known, **values}))


def reported(options: Mapping[str, Any]) -> str:
    """Where its numbers are read, besides ORCH_RESULT and ORCH_METRICS."""
    found = Reported.of(options)
    printed = [f"{name}={one.pattern}" for name, one in found.metrics.items() if one.pattern]
    return "; ".join(
        f"{what} {', '.join(given)}"
        for what, given in (
            ("from", found.result_files),
            ("printed:", printed),
            ("event files in", found.tensorboard),
        )
        if given
    )


def code(job: StoredJob, record: ProgramRecord | None) -> str:
    """Which code it runs."""
    kept = job.launching.code
    if kept is None:
        return ""
    if not kept.snapshot and kept.package:
        return f"{kept.package}, as it is installed when the job starts"
    if not kept.snapshot:
        return "live: the folder as it is when the job starts (--code live)"
    ran = (
        ""
        if record is None or record.code == kept.snapshot
        else f"; the last execution ran {record.code or 'live code'}"
    )
    return f"snapshot {kept.snapshot}{ran}"


def git(job: StoredJob) -> str:
    """The commit of its code, and where the difference to it lies."""
    kept = job.launching.code
    if kept is None or kept.commit is None:
        return ""
    if not kept.dirty:
        return f"commit {kept.commit}"
    where = f": .orch/code/{kept.patch}.patch" if kept.patch else " in files that git does not track"
    return f"commit {kept.commit} with changes{where}"


def installed(job: StoredJob, code: Path) -> str:
    """What the submit found installed, and where the list lies. `code`: the store's folder of code."""
    kept = job.launching.code
    found = read_json(code / "software" / f"{kept.software}.json", Software) if kept and kept.software else None
    if kept is None or found is None:
        return ""
    more = f", {len(found.conda)} of conda" if found.conda else ""
    more += f", uv.lock {found.lock[:12]}" if found.lock else ""
    more += f", NVIDIA driver {found.driver}" if found.driver else ""
    return f"{found.python}, {len(found.packages)} packages{more}: .orch/code/software/{kept.software}.json"


def wrote(execution: Path | None) -> list[str]:
    """Files that the program left: in its tree (work/) and in ORCH_OUT (out/), relative to the execution."""
    if execution is None:
        return []
    found: list[str] = []
    for name in ("work", "out"):
        for path in _files(execution / name):
            found.append(to_text(str(path.relative_to(execution))))
            if len(found) >= LOOKED_AT:
                return sorted(found)
    return sorted(found)


def _files(folder: Path) -> Iterator[Path]:
    for here, _, names in os.walk(folder):
        yield from (Path(here) / name for name in names)


def facts(job: StoredJob, execution: Path | None, folder: Path) -> dict[str, str]:
    """Name → text, for `orch show`. `folder`: the store's folder of code."""
    record = record_of(execution)
    files = wrote(execution) if record is not None else []
    shown = ", ".join(files[:MOST_FILES]) + (f", … ({len(files)} files)" if len(files) > MOST_FILES else "")
    written = job.launching.written
    return {
        "label": job.launching.label,
        "command": command_line(job, record),
        "as written": ", ".join(f"{name}={value}" for name, value in written.items()),
        "ran in": record.cwd if record is not None else "",
        "program code": code(job, record),
        "git": git(job),
        "installed": installed(job, folder),
        "wrote": shown,
        "missing": missing(record),
        "dropped": job.dropped or "",
    }


def of_kind(job: StoredJob, execution: Path | None, folder: Path) -> dict[str, str]:
    """The same of a kind of another package."""
    files = wrote(execution) if job.launching.code is not None else []
    shown = ", ".join(files[:MOST_FILES]) + (f", … ({len(files)} files)" if len(files) > MOST_FILES else "")
    told = {"kind's code": code(job, None), "git": git(job), "installed": installed(job, folder), "wrote": shown}
    return {**told, "dropped": job.dropped or ""}


def missing(record: ProgramRecord | None) -> str:
    """Secrets that the program did not get, and where they come from."""
    if record is None or not record.missing_secrets:
        return ""
    names = ", ".join(record.missing_secrets)
    return (
        f"{names} (never written down: export it where the supervisor starts, or put it into the file that [env] file "
        "of orch.toml names)"
    )


def as_json(job: StoredJob, execution: Path | None) -> dict[str, Any]:
    """The same as plain data."""
    record = record_of(execution)
    kept = job.launching.code
    return {
        "command": command_line(job, record),
        "cwd": record.cwd if record is not None else None,
        "snapshot": kept.snapshot if kept is not None else None,
        "commit": kept.commit if kept is not None else None,
        "dirty": kept.dirty if kept is not None else None,
        "patch": f"code/{kept.patch}.patch" if kept is not None and kept.patch else None,
        "software": f"code/software/{kept.software}.json" if kept is not None and kept.software else None,
        "wrote": wrote(execution) if record is not None else [],
        "missing_secrets": list(record.missing_secrets) if record is not None else [],
    }
