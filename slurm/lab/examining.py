"""`orch lab doctor`: hosts, clocks, ids, versions, the shared folder and ports, each with the mend."""

from __future__ import annotations

import os
from dataclasses import dataclass

from slurm.lab import controllers, crew, hosts
from slurm.lab.agent import NODE
from slurm.lab.environment import user_name
from slurm.lab.errors import ClusterError
from slurm.lab.hosts import Look
from slurm.lab.orders import LabOrder
from slurm.lab.record import Lab, Member
from slurm.lab.remote import Unreachable
from slurm.lab.station import CONTROLLER, MUNGE

LARGE_OFFSET_S = 5.0
_DEAF = (
    "slurmctld of {} runs and takes no connections, as SLURM's backup may after it gave the lab back: `orch lab up` "
    "starts it anew"
)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was looked at: `problem` is a sentence with the mend, '' where all is well."""

    subject: str
    text: str
    problem: str = ""


def examine(lab: Lab) -> list[Checked]:
    """Look at everything that keeps a lab from working; a host that does not answer is one of them."""
    try:
        found = crew.look([one.name for one in lab.members], lab.place, port=lab.port, lab=lab)
    except ClusterError as error:
        return [Checked(subject="folder", text="", problem=str(error)), *_of_the_lab(lab, set())]
    told = [Checked(subject=name, text="ssh", problem=str(error)) for name, error in found.failed.items()]
    own = list(
        hosts.problems(found.looks, found.off, user=user_name(), uid=os.geteuid(), folder=lab.folder, nonce=found.nonce)
    )
    for name, look in found.looks.items():
        mine = [sentence for host, sentence in own if host == name]
        told += [Checked(subject=name, text="", problem=sentence) for sentence in mine]
        told.append(Checked(subject=name, text=_described(look, found.off[name])))
        if look.gpu_problem:
            told.append(Checked(subject=name, text="", problem=f"its GPUs are left out: {look.gpu_problem}"))
        elif lab.up and len(look.gpus) != len(lab.member(name).gpus):
            had = len(lab.member(name).gpus)
            mend = "`orch lab down` and `up` take the new number"
            told.append(Checked(subject=name, text="", problem=f"it has {len(look.gpus)} GPUs and had {had}: {mend}"))
    told.append(_versions(found.looks))
    silent = {name for name, error in found.failed.items() if isinstance(error, Unreachable)}
    return [*told, *_of_the_lab(lab, silent)]


def _of_the_lab(lab: Lab, silent: set[str]) -> list[Checked]:
    """Its daemons and who is in charge; nothing where it is down. `silent`: hosts that do not answer."""
    if not lab.up:
        return []
    told, chiefs = _daemons(lab, silent)
    trouble = controllers.trouble(lab) or controllers.split(lab, chiefs)
    return [*told, Checked(subject="controller", text="" if trouble else "answers", problem=trouble)]


def _described(look: Look, off: float) -> str:
    clock = "clock right" if abs(off) <= LARGE_OFFSET_S else f"clock {off:+.0f} s"
    return f"user {look.user} ({look.uid}), {clock}, SLURM {look.slurm or look.unpacked or 'missing'}, {look.mount}"


def _versions(looks: dict[str, Look]) -> Checked:
    versions = {name: version for name, look in looks.items() if (version := look.slurm or look.unpacked)}
    try:
        hosts.check_versions(versions)
    except ClusterError as error:
        return Checked(subject="versions", text="", problem=str(error))
    return Checked(subject="versions", text=f"SLURM {', '.join(sorted(set(versions.values())))}")


def _daemons(lab: Lab, silent: set[str]) -> tuple[list[Checked], list[str]]:
    """Which daemons run, and whether every host reaches them; and the hosts whose controller is in charge."""
    chiefs = {one.name for one in lab.controllers()}
    told: list[Checked] = []
    asked = {
        one.name: LabOrder(lab=lab, name=one.name, targets=_targets(lab, one, chiefs))
        for one in lab.members
        if one.name not in silent
    }
    answers = {name: one for name, one in crew.ask("reach", asked).items() if not isinstance(one, ClusterError)}
    down: set[str] = set()
    for name, answer in answers.items():
        wanted = (MUNGE, NODE, *((CONTROLLER,) if name in chiefs else ()))
        if missing := [one for one in wanted if one not in answer.running]:
            down |= {f"{one} of {name}" for one in missing}
            what = f"{' and '.join(missing)} of {name}"
            why = controllers.ended_itself(name) if answer.split else f"{what} does not run"
            problem = f"{why}: `orch lab up` starts it, and `orch lab logs {name}` tells why"
            told.append(Checked(subject=name, text="", problem=problem))
        if answer.deaf:
            down.add(f"{CONTROLLER} of {name}")
            told.append(Checked(subject=name, text="", problem=_DEAF.format(name)))
    for name, answer in answers.items():
        if unreached := [one for one in answer.unreached if one not in down and one.rpartition(" ")[2] not in silent]:
            ports = f"{lab.port} and {lab.port + 1}"
            problem = (
                f"{name} does not reach {', '.join(unreached)}: open the ports {ports} between the hosts (firewall)"
            )
            told.append(Checked(subject=name, text="", problem=problem))
        else:
            told.append(Checked(subject=name, text="reaches every daemon of the other hosts"))
    return told, [name for name, answer in answers.items() if answer.in_charge]


def _targets(lab: Lab, me: Member, chiefs: set[str]) -> tuple[tuple[str, str, int], ...]:
    others = [one for one in lab.members if one.name != me.name]
    return tuple(
        (f"{daemon} of {one.name}", one.address, port)
        for one in others
        for daemon, port in ((NODE, lab.port + 1), (CONTROLLER, lab.port))
        if daemon == NODE or one.name in chiefs
    )
