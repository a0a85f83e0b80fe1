"""How the lab stands: each host's daemons, what SLURM says of it, and who serves the shared folder."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from slurm.lab import controllers, crew
from slurm.lab.agent import NODE
from slurm.lab.errors import ClusterError
from slurm.lab.looking import mount
from slurm.lab.plan import mounted_from
from slurm.lab.record import Lab
from slurm.lab.station import CONTROLLER, MUNGE
from slurm.lab.waiting import SINFO, away, node_states


@dataclass(frozen=True, kw_only=True)
class HostStanding:
    """One host."""

    name: str
    node: str
    role: str
    """controller, backup or ''."""
    running: tuple[str, ...]
    missing: tuple[str, ...]
    state: str = ""
    """In sinfo's words; '' where nobody says."""
    reason: str = ""
    split: bool = False
    """Whether its slurmctld ended itself, since another one was in charge as well."""
    deaf: bool = False
    """Whether its slurmctld runs and takes no connections."""
    error: str = ""
    """Why it does not answer us."""

    @property
    def whole(self) -> bool:
        return not self.error and not self.missing and not self.deaf and not away(self.state or "unknown")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The lab."""

    up: bool
    hosts: tuple[HostStanding, ...]
    jobs: dict[str, int]
    """State in SLURM's words → how many."""
    trouble: str
    served_by: str

    @property
    def whole(self) -> bool:
        return self.up and not self.trouble and all(one.whole for one in self.hosts)


def role(lab: Lab, name: str) -> str:
    """What the host is for the lab besides a node."""
    names = [one.name for one in lab.controllers()]
    return ("controller", "backup")[names.index(name)] if name in names else ""


def served_by(lab: Lab) -> str:
    """The host whose death takes the shared folder away, in words; '' where that cannot be told."""
    try:
        found = mount(Path("/proc/self/mountinfo").read_text(errors="replace"), os.path.realpath(lab.folder))
    except OSError:
        return ""
    return mounted_from(found, lab.members)


def standing(lab: Lab) -> Standing:
    """Ask every host, and SLURM; takes a minute at most where some are silent."""
    answers = crew.ask_lab("state", lab)
    trouble = controllers.trouble(lab) if lab.up else ""
    states: dict[str, tuple[str, str]] = {}
    jobs: Counter[str] = Counter()
    chiefs = [name for name, one in answers.items() if not isinstance(one, ClusterError) and one.in_charge]
    # Where nobody is in charge, and we know why, SLURM's commands would hang.
    asks = bool(chiefs) or (lab.up and not trouble)
    if asks and any(not isinstance(one, ClusterError) and CONTROLLER in one.running for one in answers.values()):
        try:
            states = node_states(crew.slurm_says(lab, *SINFO))
            jobs.update(crew.slurm_says(lab, "squeue", "-h", "-r", "-o", "%T").split())
        except ClusterError as error:
            trouble = trouble or f"SLURM does not answer: {error}"
    trouble = trouble or controllers.split(lab, chiefs)
    found = []
    for one in lab.members:
        answer = answers[one.name]
        wanted = (MUNGE, NODE, *((CONTROLLER,) if role(lab, one.name) else ()))
        running = () if isinstance(answer, ClusterError) else answer.running
        state, reason = states.get(one.node, ("", ""))
        found.append(
            HostStanding(
                name=one.name,
                node=one.node,
                role=role(lab, one.name),
                running=running,
                missing=tuple(name for name in wanted if name not in running),
                state=state,
                reason="" if reason == "none" else reason,
                split=not isinstance(answer, ClusterError) and answer.split,
                deaf=not isinstance(answer, ClusterError) and answer.deaf,
                error=str(answer) if isinstance(answer, ClusterError) else "",
            )
        )
    return Standing(
        up=lab.up,
        hosts=tuple(found),
        jobs={key.lower(): jobs[key] for key in sorted(jobs)},
        trouble=trouble,
        served_by=served_by(lab),
    )
