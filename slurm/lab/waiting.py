"""Waiting until the nodes of a lab answer, and what SLURM says of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

from slurm.lab import crew
from slurm.lab.errors import ClusterError
from slurm.lab.record import Lab

NODES_S = 90.0
"""How long nodes may take to answer."""
POLL_S, SELDOM_S = 0.5, 3.0
"""Between two questions, each an ssh: at first, and where nodes take their time, as after a reboot."""
_AWAY = ("down", "unknown", "inval", "future")
Watch = Callable[[str], None]


def wait(lab: Lab, names: Sequence[str], watch: Watch) -> None:
    """Return when all nodes of these hosts answer."""
    wanted = {one.node: one.name for one in lab.members if one.name in names}
    end, left, last, pause = time.monotonic() + NODES_S, len(wanted) + 1, "", POLL_S
    missing = dict(wanted)
    while True:
        try:
            states = node_states(crew.slurm_says(lab, *SINFO))
            missing = {node: name for node, name in wanted.items() if away(states.get(node, ("unknown", ""))[0])}
            last = "; ".join(f"{node} is {states[node][0]} ({states[node][1]})" for node in missing if node in states)
        except ClusterError as error:
            last = str(error)
        if not missing:
            return
        if len(missing) < left:
            left = len(missing)
            watch(f"{len(wanted) - left} of {len(wanted)} hosts answer")
        if time.monotonic() > end:
            raise ClusterError(
                f"{', '.join(missing.values())} did not answer within {NODES_S:.0f} s ({last[:200]}): "
                "`orch lab doctor` looks at ports, clocks and the shared folder"
            )
        time.sleep(pause)
        pause = min(pause * 1.5, SELDOM_S)


SINFO = ("sinfo", "--Node", "--noheader", "--format=%N|%T|%E")


def node_states(text: str) -> dict[str, tuple[str, str]]:
    """Node → state in sinfo's words (with `*`: it does not answer) and the reason, from what SINFO prints."""
    found = {}
    for line in text.splitlines():
        words = line.split("|", 2)
        if len(words) == 3:
            found[words[0]] = (words[1], words[2])
    return found


def away(state: str) -> bool:
    """Whether a node in that state does not take part: it is down, or has not answered."""
    return state.endswith("*") or state.startswith(_AWAY)


def release(lab: Lab) -> None:
    """What SLURM holds since it could not be started may go again; what a person holds stays."""
    with contextlib.suppress(ClusterError):
        rows = crew.slurm_says(lab, "squeue", "-h", "-r", "-t", "PD", "-o", "%i|%r").splitlines()
        held = [row.partition("|")[0] for row in rows if "launch failed requeued held" in row]
        if held:
            crew.slurm_says(lab, "scontrol", "release", ",".join(held))
