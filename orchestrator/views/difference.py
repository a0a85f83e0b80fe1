"""`orch diff`: what differs between two jobs, or a job and what a submit would keep now. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from db.jobs import StoredJob
from jobs.node.interpreter import Software
from jobs.records import Surroundings
from jobs.snapshots import Snapshot
from orchestrator.code import differences
from orchestrator.code.differences import Side


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One side: a job with all that it ran with, or the present."""

    name: str
    """'job 5', 'now'."""
    job: StoredJob | None
    code: Side | None
    live: bool = False
    software: Software | None = None
    surroundings: Surroundings | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    """What its accepted (else newest) execution ran on: orch, torch, the GPU."""
    metrics: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Section:
    """One kind of difference: name → (before, after); None where a side has nothing of that name."""

    what: str
    items: Mapping[str, tuple[str | None, str | None]]


def sections(before: Seen, after: Seen) -> list[Section]:
    """All that differs, in the order in which one looks for a cause."""
    found = []
    if before.job is not None and after.job is not None:
        found.append(_section("what it is", _identity(before.job), _identity(after.job)))
        found.append(_section("resources", _resources(before.job), _resources(after.job)))
    found.append(Section(what="code", items=_code(before, after)))
    if before.surroundings is not None and after.surroundings is not None:
        found.append(_section("environment", _variables(before.surroundings), _variables(after.surroundings)))
    if before.software is not None and after.software is not None:
        found.append(_section("installed", _packages(before.software), _packages(after.software)))
    if before.job is not None and after.job is not None:
        found.append(_section("versions", dict(before.versions), dict(after.versions)))
        found.append(_section("metrics", _numbers(before.metrics), _numbers(after.metrics)))
    return [section for section in found if section.items]


def _section(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Section:
    names = sorted(before.keys() | after.keys())
    return Section(
        what=what,
        items={n: (before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)},
    )


def _identity(job: StoredJob) -> dict[str, str]:
    found = {"kind": job.kind, "seed": str(job.seed), "preset": job.preset, "study": job.study}
    for name, value in job.config.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": _text(item) for inner, item in value.items()}
        elif name != "preset":
            found[name] = _text(value)
    found |= {f"parameters.{name} as written": value for name, value in job.launching.written.items()}
    return found


def _resources(job: StoredJob) -> dict[str, str]:
    how = job.launching
    found = {name: _text(value) for name, value in msgspec.to_builtins(how.resources).items()}
    found |= {"backend": how.backend, "device": how.device, "data_dir": how.data_dir or "", "label": how.label}
    for name, value in how.options.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": _text(item) for inner, item in value.items()}
        else:
            found[name] = _text(value)
    return {name: value for name, value in found.items() if value}


def _code(before: Seen, after: Seen) -> dict[str, tuple[str | None, str | None]]:
    if before.code is None or after.code is None:
        texts = [_how(one) for one in (before, after)]
        return {"snapshot": (texts[0], texts[1])} if texts[0] != texts[1] or None in texts else {}
    found: dict[str, tuple[str | None, str | None]] = {}
    for item in differences.differences(before.code, after.code):
        lines = f"{item.lines} line{'' if item.lines == 1 else 's'}" if item.lines is not None else item.how
        found[item.path] = (None, lines)
    commits = [_commit(one.snapshot) for one in (before.code, after.code)]
    if commits[0] != commits[1]:
        found["git commit"] = (commits[0], commits[1])
    return found


def _commit(snapshot: Snapshot) -> str | None:
    return snapshot.commit and snapshot.commit + (" with changes" if snapshot.dirty else "")


def _how(one: Seen) -> str:
    if one.code is not None:
        return one.code.snapshot.hash
    return "the live folder" if one.live else "not kept"


def _variables(surroundings: Surroundings) -> dict[str, str]:
    return {**surroundings.kept, **surroundings.given}


def _packages(software: Software) -> dict[str, str]:
    found = {"Python": software.python, **({"NVIDIA driver": software.driver} if software.driver else {})}
    for line in software.packages:
        name, _, version = line.partition("==")
        found[name] = version
    found |= {f"conda {line.rpartition('/')[2]}": "installed" for line in software.conda}
    found |= {"uv.lock": software.lock} if software.lock else {}
    return found


def _numbers(metrics: Mapping[str, float | None]) -> dict[str, str]:
    return {name: "not finite" if value is None else repr(value) for name, value in metrics.items()}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def as_json(before: Seen, after: Seen, found: Sequence[Section]) -> dict[str, Any]:
    """Plain data: section → name → [before, after]."""
    return {
        "before": before.name,
        "after": after.name,
        "differences": {section.what: {name: list(pair) for name, pair in section.items.items()} for section in found},
    }


def lines(before: Seen, after: Seen, found: Sequence[Section]) -> list[str]:
    """For a terminal: a section's name, then a line per difference."""
    if not found:
        return [f"nothing differs between {before.name} and {after.name} in what orch keeps"]
    told = [f"{before.name} → {after.name}"]
    for section in found:
        told.append(section.what)
        for name, (old, new) in section.items.items():
            change = new if old is None and section.what == "code" else f"{_or_none(old)} → {_or_none(new)}"
            told.append(f"  {name}: {change}")
    return told


def _or_none(text: str | None) -> str:
    return "(none)" if text is None else text
