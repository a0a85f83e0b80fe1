"""How the newest attempt of a job was sent, and stands now: its manifest, and what was changed of it in the queue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from db.details import Detail
from db.jobs import StoredJob
from jobs.files import read_json
from jobs.layout import Layout
from jobs.records import Manifest
from jobs.resources import InQueue, Resources


def as_sent(layout: Layout, detail: Detail) -> tuple[int, Resources, dict[str, Any]] | None:
    """(attempt, resources, options); None where nothing was sent, or its manifest cannot be read."""
    if not detail.attempts:
        return None
    newest = detail.attempts[-1]
    manifest = read_json(layout.manifest(newest.token), Manifest)
    if manifest is None or newest.position >= len(manifest.tasks):
        return None
    task = manifest.tasks[newest.position]
    if task.terms is None or task.terms >= len(manifest.terms):
        return None
    changed = newest.altered or InQueue()
    options = dict(manifest.terms[task.terms].options)
    more = {name: value for name, value in changed.given().items() if name in ("partition", "nice")}
    if more:
        options["slurm"] = {**dict(options.get("slurm") or {}), **more}
    return newest.number, changed.over(task.resources), options


def as_json(sent: tuple[int, Resources, dict[str, Any]] | None) -> dict[str, Any] | None:
    """Plain data."""
    if sent is None:
        return None
    return {"attempt": sent[0], "resources": msgspec.to_builtins(sent[1]), "options": sent[2]}


def job_as_sent(layout: Layout, detail: Detail) -> StoredJob:
    """The job with the terms of its newest attempt; with its own where nothing was sent."""
    found = as_sent(layout, detail)
    if found is None:
        return detail.job
    launching = msgspec.structs.replace(detail.job.launching, resources=found[1], options=found[2])
    return replace(detail.job, launching=launching)


def text(detail: Detail, sent: tuple[int, Resources, dict[str, Any]] | None) -> str:
    """What its newest attempt has that the job does not ask for any more, or that orch.toml added; else nothing."""
    if sent is None or sent[1] == detail.job.launching.resources:
        return ""
    number, has, _ = sent
    return f"attempt {number} has {has.cpus} CPUs, {has.memory_mb} MB, {has.gpus} GPUs, {has.minutes} min"
