"""The terms of a submit on SLURM: what options, `--sbatch` and orch.toml ask for, each thing once. Pure but for sbatch.

What a command says wins over orch.toml; two options of one command that say the same are refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from db.changes import Change
from db.launching import Launching
from jobs.bundles import OPTION as BUNDLE
from jobs.errors import BadInput
from jobs.resources import Asked
from orchestrator.amounts import memory_mb, minutes
from orchestrator.settings import Slurm
from slurm.cluster import options
from slurm.cluster.commands import CommandFailed, Commands

NAMED = ("partition", "account", "qos", "constraint", "exclude", "nodes")
"""sbatch parameters with an option of their own."""

SIGNAL_DELAY = "signal_delay_seconds"
"""The option under which a submission keeps how long before its time limit it is warned."""

_SAME = {
    "gpus": ("--gpus", ("gpus", "gpus_per_node", "gpus_per_task", "gpus_per_socket", "gres")),
    "memory_mb": ("--mem", ("mem", "mem_per_cpu", "mem_per_gpu")),
    "cpus": ("--cpus", ("cpus_per_task", "cpus_per_gpu")),
    "minutes": ("--time", ("time",)),
}
"""A resource → orch's own option and the sbatch parameters that say the same."""


def gpu_request(text: str | None) -> tuple[int | None, str | None]:
    """`--gpus 2` → (2, None); `--gpus a100:2` → (2, 'a100:2'). Raises BadInput."""
    if text is None:
        return None, None
    kind, sign, count = text.strip().rpartition(":")
    if not sign and count[:1].isalpha():
        kind, count = count, "1"
    if not count.lstrip("-").isdecimal() or (kind and not kind.replace("_", "").replace("-", "").isalnum()):
        raise BadInput(f"--gpus takes a number, or TYPE:NUMBER such as a100:1 (got '{text}')")
    if kind and int(count) < 1:
        raise BadInput(f"--gpus {text.strip()} asks for {count} GPUs of a type: give {kind}:1 or more, or --gpus 0")
    return int(count), f"{kind}:{int(count)}" if kind else None


def of_command(named: Mapping[str, Any], words: Collection[str]) -> dict[str, Any]:
    """The sbatch parameters of a command line: its own options and `--sbatch` words. Raises BadInput."""
    found = options.parsed(words)
    for name, value in named.items():
        if value is None:
            continue
        if name in found:
            raise BadInput(f"--{name} and --sbatch {name} set the same: give one of them")
        found[name] = value
    return found


def with_gpu_type(asked: Mapping[str, Any], typed: str | None) -> dict[str, Any]:
    """With `--gpus a100:2` as SLURM says it. Raises BadInput where the command asks for GPUs twice."""
    if typed is None:
        return dict(asked)
    if said := _saying("gpus", _SAME["gpus"][1], asked):
        raise BadInput(f"--gpus and --sbatch {options.written(said[0])} ask for the same: give one of them")
    return {**asked, "gpus_per_node": typed}


def settled(
    own: Mapping[str, Any], settings: Slurm, asked: Asked, more: Collection[str]
) -> tuple[dict[str, Any], Asked]:
    """What sbatch is given, and the resources that follow from it. Raises BadInput.

    `own`: sbatch parameters of the command; `more`: those that this site's sbatch has besides the usual ones.
    """
    mine = options.checked(own, more)
    for field, (flag, names) in _SAME.items():
        said = _saying(field, names, mine)
        if said and getattr(asked, field) is not None:
            raise BadInput(f"{flag} and --sbatch {options.written(said[0])} ask for the same: give one of them")
        if len(said) > 1 and field != "gpus":
            both = " and ".join(options.written(name) for name in said)
            raise BadInput(f"--sbatch {both} ask for the same: give one of them")
    return _resources({**_theirs(mine, settings, asked, more), **mine}, asked)


def _theirs(mine: Mapping[str, Any], settings: Slurm, asked: Asked, more: Collection[str] | None) -> dict[str, Any]:
    """What orch.toml says, but for what the command says. Raises BadInput."""
    named = {name: value for name in NAMED if (value := getattr(settings, name)) is not None}
    try:
        theirs = {**options.checked(settings.sbatch, more), **options.checked(named)}
    except BadInput as error:
        raise BadInput(f"[slurm] of orch.toml: {error}") from None
    for field, (_, names) in _SAME.items():
        if _saying(field, names, mine) or getattr(asked, field) is not None:
            for name in _saying(field, names, theirs):
                del theirs[name]
    if {"requeue", "no_requeue"} & mine.keys():
        theirs = {name: value for name, value in theirs.items() if name not in ("requeue", "no_requeue")}
    return theirs


def as_sent(launching: Launching, settings: Slurm) -> Launching:
    """How a job is run on SLURM if it is sent now: what its commands said, and orch.toml where they are silent.

    `setup` lines that an earlier version froze into a job count where orch.toml says nothing of setup. Raises BadInput.
    """
    mine = options.checked(dict(launching.options.get("slurm") or {}), None)
    theirs = _theirs(mine, settings, launching.asked, None)
    merged, asked = _resources({**theirs, **mine}, launching.asked)
    said = msgspec.structs.asdict(launching.asked)
    more = {name: value for name, value in msgspec.structs.asdict(asked).items() if said[name] is None and value}
    if launching.device == "cpu" and more.get("gpus"):
        raise BadInput("[slurm] of orch.toml asks for GPUs, and jobs of --device cpu take none: take that line out")
    told = {**launching.options, "slurm": merged, SIGNAL_DELAY: settings.signal_delay_seconds}
    if settings.setup is not None:
        told["setup"] = list(settings.setup)
    if settings.bundle is not None:
        told.setdefault(BUNDLE, settings.bundle)
    empty = [name for name in ("slurm", "setup") if not told.get(name)]
    return msgspec.structs.replace(
        launching,
        resources=msgspec.structs.replace(launching.resources, **more),
        options={name: value for name, value in told.items() if name not in empty},
    )


def with_rivals(change: Change, launching: Launching) -> Change:
    """The change, taking back the job's own sbatch parameters that say the same as its resources do."""
    own = dict(launching.options.get("slurm") or {})
    rivals: dict[str, Any] = {}
    for field, (_, names) in _SAME.items():
        if getattr(change.asked, field) is not None or _saying(field, names, change.slurm):
            rivals |= {name: None for name in _saying(field, names, own) if name not in change.slurm}
    for one, other in (("requeue", "no_requeue"), ("no_requeue", "requeue")):
        if one in change.slurm and other in own:
            rivals[other] = None
    return msgspec.structs.replace(change, slurm={**rivals, **change.slurm}) if rivals else change


def checked_change(own: Mapping[str, Any], asked: Asked) -> tuple[dict[str, Any], Asked]:
    """sbatch parameters and resources that a person changes, each thing once. Raises BadInput."""
    return settled(own, Slurm(), asked, ())


def _saying(field: str, names: Collection[str], asked: Mapping[str, Any]) -> list[str]:
    found = [name for name in names if name in asked]
    if field == "gpus" and "gres" in found and not options.asks_gpus({"gres": asked["gres"]}):
        found.remove("gres")  # of another device
    return found


def _resources(merged: dict[str, Any], asked: Asked) -> tuple[dict[str, Any], Asked]:
    """What orch has a word for becomes that word: it is what is shown, and what a retry with more memory raises."""
    if asked.gpus is None and (count := options.gpus_asked(merged)) is not None:
        asked = msgspec.structs.replace(asked, gpus=count)
    if asked.cpus is None and str(merged.get("cpus_per_task", "")).isdecimal():
        asked = msgspec.structs.replace(asked, cpus=int(merged.pop("cpus_per_task")))
    memory = str(merged.get("mem", "0"))
    if asked.memory_mb is None and memory.strip("0MGmg") and not memory.upper().endswith(("K", "T")):
        asked = msgspec.structs.replace(asked, memory_mb=memory_mb(str(merged.pop("mem")), "--sbatch mem"))
    if asked.minutes is None and any(sign.isdecimal() for sign in str(merged.get("time", ""))):
        asked = msgspec.structs.replace(asked, minutes=minutes(str(merged["time"]), "--sbatch time"))
        merged.pop("time")
    return merged, asked


def unused_here(merged: Mapping[str, Any]) -> tuple[str, ...]:
    """The sbatch parameters that say nothing to local slots, as they are spelt; a number of GPUs does."""
    return tuple(options.written(name) for name in merged if not options.asks_gpus({name: merged[name]}))


def site_parameters(own: Mapping[str, Any], settings: Slurm) -> frozenset[str]:
    """Parameters that this site's sbatch has besides the usual ones (plugins, newer versions); asked only if needed."""
    names = {options.name_of(str(name)) for name in (*own, *settings.sbatch)}
    if names <= options.KNOWN:
        return frozenset()
    try:
        text = Commands().ask(["sbatch", "--help"])
    except CommandFailed:
        return frozenset()
    words = (word.strip("[](),").partition("=")[0].partition("[")[0] for word in text.split())
    return frozenset(options.name_of(word) for word in words if word.startswith("--"))
