"""`orch lab add`, `remove` and `down`: another list of hosts, or none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from slurm.lab import crew, hosts, plan, record
from slurm.lab.agent import NODE
from slurm.lab.errors import ClusterError
from slurm.lab.folder import opened, write
from slurm.lab.raising import check, members_of, start
from slurm.lab.record import Lab
from slurm.lab.station import CONTROLLER
from slurm.lab.waiting import Watch


def add(folder: Path, names: Sequence[str], watch: Watch) -> Lab:
    """Take hosts into the lab, while it runs. Raises ClusterError."""
    old = record.load(folder)
    hosts.check_names([*(one.name for one in old.members), *names])
    if not old.up:
        raise ClusterError("the lab is down: `orch lab up` it first")
    with opened(folder):
        watch(f"looking at {', '.join(names)}")
        everybody = [one.name for one in old.members] + list(names)
        found = crew.look(everybody, folder, port=old.port, lab=old)
        for name in names:
            if name in found.failed:
                raise found.failed[name]
        check(found, folder)
        mine = crew.Looked(looks={name: found.looks[name] for name in names}, nonce=found.nonce)
        addresses = plan.addresses(found.looks)
        members = [msgspec.structs.replace(one, address=addresses[one.name]) for one in members_of(mine, folder, watch)]
        lab = msgspec.structs.replace(old, members=(*old.members, *members))
        hosts.check_versions({one.name: one.slurm for one in lab.members})
        _change(old, lab, watch)
        return lab


def remove(folder: Path, names: Sequence[str], watch: Watch, *, force: bool = False) -> tuple[Lab, list[str]]:
    """Take hosts out of the lab; what of them could not be stopped. Raises ClusterError."""
    old = record.load(folder)
    gone = [old.member(name) for name in dict.fromkeys(names)]
    rest = tuple(one for one in old.members if one not in gone)
    if not rest:
        raise ClusterError("no host would be left: `orch lab down` ends the lab")
    with opened(folder):
        lab = msgspec.structs.replace(old, members=rest)
        if old.up:
            nodes = ",".join(one.node for one in gone)
            jobs = len(crew.slurm_says(old, "squeue", "-h", "-t", "R,CG,S", "-w", nodes, "-o", "%i").split())
            if jobs and not force:
                raise ClusterError(
                    f"{jobs} jobs run on {nodes}: wait for them (`scontrol update nodename={nodes} state=drain "
                    "reason=leaving` keeps others off), or say --force, and they begin again elsewhere"
                )
            crew.slurm_says(old, "scontrol", "update", f"nodename={nodes}", "state=down", "reason=removed")
        answers = crew.ask_lab("stop", old, [one.name for one in gone], timeout_s=crew.START_S)
        sorry = [str(answer) for answer in answers.values() if isinstance(answer, ClusterError)]
        if old.up:
            _change(old, lab, watch)
        else:
            write(lab)
        return lab, sorry


def down(folder: Path, watch: Watch, *, force: bool = False) -> tuple[Lab, list[str]]:
    """Stop every daemon and job, and leave no file outside the lab's folder; which hosts could not be reached."""
    lab = record.load(folder)
    with opened(folder):
        if lab.up and not force and (jobs := _running_jobs(lab)):
            raise ClusterError(
                f"{jobs} jobs run in the lab: wait for them, or say --force: they are killed, and begin again when the "
                "lab is up"
            )
        record.save(msgspec.structs.replace(lab, up=False))
        watch("stopping the controllers")
        crew.ask_lab("stop", lab, [one.name for one in lab.controllers()], daemons=(CONTROLLER,))
        watch(f"stopping {', '.join(one.name for one in lab.members)}")
        answers = crew.ask_lab("stop", lab, timeout_s=crew.START_S)
        return lab, [str(answer) for answer in answers.values() if isinstance(answer, ClusterError)]


def _running_jobs(lab: Lab) -> int:
    """Jobs that run; none where nobody can say."""
    try:
        return len(crew.slurm_says(lab, "squeue", "-h", "-t", "R,CG,S", "-o", "%i").split())
    except ClusterError:
        return 0


def _change(old: Lab, new: Lab, watch: Watch) -> None:
    """Have the running lab take its new list of hosts: SLURM reads that at its start only. Jobs go on meanwhile."""
    write(new)
    kept = [one.name for one in new.members if one in old.members]
    watch("starting SLURM anew with the new list of hosts; jobs go on meanwhile")
    stopped = crew.ask_lab("stop", old, kept, daemons=(CONTROLLER, NODE))
    away = [name for name, answer in stopped.items() if isinstance(answer, ClusterError)]
    start(new, [one.name for one in new.members if one.name not in away], watch, undo=False)
