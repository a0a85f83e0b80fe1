"""What `orch lab status` shows. Pure."""

from __future__ import annotations

from rich.text import Text

from orchestrator.views.tables import columns
from orchestrator.views.words import plural
from slurm.lab import controllers
from slurm.lab.standing import HostStanding, Standing


def render(found: Standing, width: int) -> Text:
    """A line a host, and what is wrong."""
    rows = [
        (
            one.name,
            one.role,
            ", ".join(one.running) or "-",
            one.state or "-",
            _wrong(one) if found.up else "",
        )
        for one in found.hosts
    ]
    lines = columns(("HOST", "ROLE", "RUNNING", "SLURM SAYS", "WRONG"), rows, width=width)
    if not found.up:
        lines.append(Text("the lab is down: 'orch lab up' starts it"))
    if found.trouble:
        lines.append(Text(f"! {found.trouble}", style="bold red"))
    if found.jobs:
        lines.append(Text("jobs: " + ", ".join(f"{number} {state}" for state, number in found.jobs.items())))
    elif found.up and not found.trouble:
        lines.append(Text(plural(0, "job")))
    return Text("\n").join(lines)


def _wrong(one: HostStanding) -> str:
    if one.error:
        return one.error
    missing = f"{' and '.join(one.missing)} not running" if one.missing else ""
    if one.split:
        return f"{controllers.ended_itself(one.name)}: 'orch lab up' starts it"
    deaf = "slurmctld takes no connections: 'orch lab up' starts it anew" if one.deaf else ""
    return missing or deaf or one.reason
