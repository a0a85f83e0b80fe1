"""`orch lab up`: from hosts to one SLURM, and mending what is down of it."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from jobs.files import make_folder
from slurm.lab import configuration, crew, hosts, plan, record
from slurm.lab.environment import user_name
from slurm.lab.errors import ClusterError
from slurm.lab.folder import opened, write
from slurm.lab.orders import UnpackOrder
from slurm.lab.packages import install_command
from slurm.lab.record import PORTS, Lab, Member
from slurm.lab.remote import Unreachable
from slurm.lab.sockets import FIRST_PORT, LAST_PORT
from slurm.lab.waiting import Watch, release, wait

UNPACK_S = 900.0


def up(
    folder: Path,
    names: Sequence[str],
    watch: Watch,
    *,
    extra: Mapping[str, str | int] | None = None,
    port: int | None = None,
) -> tuple[Lab, list[str]]:
    """Start the lab, or mend what is down of it; the lab, and what could not be mended. Raises ClusterError."""
    hosts.check_names(names)
    configuration.check_extra(extra or {})
    old = record.find(folder)
    wanted = list(names) or [one.name for one in old.members] if old else list(names)
    if not wanted:
        raise ClusterError("say which hosts the lab shall have, like `orch lab up usagi tanuki kitsune`")
    if old is not None and set(wanted) != {one.name for one in old.members}:
        raise ClusterError(
            f"the lab in {folder} has {', '.join(one.name for one in old.members)}: change that with `orch lab add` "
            "and `orch lab remove`"
        )
    with opened(folder):
        return _up(folder, wanted, watch, old, extra, port)


def _up(
    folder: Path,
    names: list[str],
    watch: Watch,
    old: Lab | None,
    extra: Mapping[str, str | int] | None,
    port: int | None,
) -> tuple[Lab, list[str]]:
    running = old is not None and old.up
    first = (old.port if old else None) if port is None else port
    if running and port is not None and old is not None and port != old.port:
        raise ClusterError(f"the lab runs at port {old.port}: `orch lab down` first")
    watch(f"looking at {', '.join(names)}")
    found = crew.look(names, folder, blocks=_blocks(), port=first, lab=old)
    sorry = [str(error) for error in found.failed.values()]
    away = {name for name, error in found.failed.items() if isinstance(error, Unreachable)}
    if found.failed and (old is None or set(found.failed) != away or not found.looks):
        raise next(iter(found.failed.values()))
    check(found, folder)
    if running and old is not None:
        lab = msgspec.structs.replace(old, extra={**old.extra, **(extra or {})})
    else:
        # Only a lab that everybody sees is made anew; one that was there goes on with the hosts that are left.
        members = [one for one in old.members if one.name in found.failed] if old else []
        members = _in_order(names, [*members_of(found, folder, watch), *members])
        lab = Lab(
            format=record.FORMAT,
            id=old.id if old else secrets.token_hex(3),
            folder=str(folder),
            user=user_name(),
            uid=os.geteuid(),
            port=first or _port(found),
            members=tuple(members),
            extra={**(old.extra if old else {}), **(extra or {})},
        )
    for one in lab.members:
        look = found.looks.get(one.name)
        if look is not None:
            watch(_described(one, look.gpu_problem))
    changed = write(lab)
    start(lab, list(found.looks), watch, undo=not running)
    if changed and running:
        crew.slurm_says(lab, "scontrol", "reconfigure")
    return msgspec.structs.replace(lab, up=True), sorry


# ---- hosts


def check(found: crew.Looked, folder: Path) -> None:
    """Raise ClusterError for the first thing that keeps the hosts from a lab."""
    facts = hosts.problems(
        found.looks, found.off, user=user_name(), uid=os.geteuid(), folder=str(folder), nonce=found.nonce
    )
    for _, sentence in facts:
        raise ClusterError(sentence)


def members_of(found: crew.Looked, folder: Path, watch: Watch) -> list[Member]:
    """The hosts that were looked at, with a SLURM for each: installed, or unpacked into the lab's folder."""
    addresses = plan.addresses(found.looks)
    without = {name: look for name, look in found.looks.items() if not look.slurm and not look.unpacked}
    versions = {name: look.slurm or look.unpacked for name, look in found.looks.items()}
    for system in sorted({look.system for look in without.values()}):
        names = [name for name, look in without.items() if look.system == system]
        look = without[names[0]]
        if not look.unpacks:
            raise ClusterError(
                f"{names[0]} has no {' and '.join(look.missing)}, and no apt-get to fetch it: ask its administrator to "
                f"install SLURM and munge (on Debian: `{install_command(list(look.missing))}`)"
            )
        watch(f"fetching SLURM for {', '.join(names)} ({system})")
        root = folder / "packages" / system
        make_folder(root.parent)
        answer = crew.ask("unpack", {names[0]: UnpackOrder(root=str(root))}, UNPACK_S)[names[0]]
        if isinstance(answer, ClusterError):
            raise answer
        again = crew.look(names[:1], folder)
        if error := next(iter(again.failed.values()), None):
            raise error
        versions |= dict.fromkeys(names, again.looks[names[0]].unpacked)
    hosts.check_versions(versions)
    return [
        plan.member(name, look, addresses[name], version=versions[name], unpacked=not look.slurm)
        for name, look in found.looks.items()
    ]


def _in_order(names: Sequence[str], members: Sequence[Member]) -> list[Member]:
    return sorted(members, key=lambda one: names.index(one.name))


def _blocks() -> tuple[int, ...]:
    """First ports among which one block is free everywhere, most likely the first."""
    return tuple(random.sample(range(FIRST_PORT, LAST_PORT, 10), 60))


def _port(found: crew.Looked) -> int:
    common = set.intersection(*(set(look.blocks) for look in found.looks.values()))
    if not common:
        raise ClusterError(f"the hosts have no {PORTS} free ports in common: name some with --port")
    return min(common)


def _described(one: Member, gpu_problem: str) -> str:
    gpus = f", {len(one.gpus)} GPUs" if one.gpus else ""
    trouble = f" (its GPUs are left out: {gpu_problem})" if gpu_problem else ""
    where = "unpacked" if one.unpacked else "installed"
    return f"{one.name}: {one.cores} cores, {one.memory_mb / 1024:.0f} GiB{gpus}{trouble}, SLURM {one.slurm} {where}"


# ---- starting


def start(lab: Lab, names: Sequence[str], watch: Watch, *, undo: bool) -> None:
    """Start what is down on these hosts and wait until they answer; with `undo` nothing is left of a start in vain."""
    # From here on jobs of the lab are sent to it; before a start that may be killed half way, `down` finds all.
    record.save(msgspec.structs.replace(lab, up=True))
    try:
        watch("starting munge and SLURM")
        for answer in crew.ask_lab("start", lab, names, timeout_s=crew.START_S).values():
            if isinstance(answer, ClusterError):
                raise answer
        wait(lab, names, watch)
        release(lab)
    except BaseException:
        if undo:
            crew.ask_lab("stop", lab, names)
            record.save(msgspec.structs.replace(lab, up=False))
        raise
