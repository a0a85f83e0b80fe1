"""`orch nodes --gone`: a person declares a host dead, so that its jobs go on elsewhere at once.

The next supervisor ends what it had begun as node_failure, after a last look at the files; its supervisor's lease is
taken away. Should it live after all, the fences hold: its copies see that they were overtaken, its supervisor that its
lease is another's, and one result counts.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from db import lease
from db.entries import Gone
from db.lease import WATCHED_SECONDS
from db.store import Store
from jobs.errors import BadInput
from jobs.files import now
from orchestrator.settings import Settings
from orchestrator.supervision.hosts import SILENT_SECONDS, OtherHost, Sign, boot_of, by_ssh, others
from orchestrator.supervision.starting import ensure_supervisor

LOOK_SECONDS = 0.5


def declare(
    store: Store, settings: Settings, names: Sequence[str], *, really: bool, watch: Callable[[str], None]
) -> list[OtherHost]:
    """Take the named hosts for dead. Raises BadInput for an unknown one, this one, and one that gave a proof of life.

    `watch`: told while a host is watched for signs. Nothing is changed unless all of them can be.
    """
    there = {host.name: host for host in others(store)}
    here = socket.gethostname()
    for name in names:
        if name == here:
            raise BadInput(f"'{name}' is this very host, so it lives: name the one that is dead")
        if name not in there:
            known = f"only {', '.join(there)} could be" if there else "no other host has any"
            raise BadInput(
                f"nothing of this store runs on local slots of '{name}', so there is nothing to declare: {known} "
                "(SLURM's own nodes are set down with scontrol)"
            )
    if not really:
        for name in names:
            proof = _proof(store, settings, there[name], watch)
            if proof:
                raise BadInput(
                    f"host '{name}' lives: {proof}; nothing was done (--really takes it for gone all the same: its "
                    "jobs begin again beside the copies there, which end when they see it)"
                )
    found = [there[name] for name in dict.fromkeys(names)]
    with store.write() as writer:
        at = now()
        for host in found:
            lease.take_away(writer.connection, host.name)
            writer.decide([Gone(host=host.name, evidence=_evidence(host, at), at=at)])
    ensure_supervisor(store)
    return found


def _evidence(host: OtherHost, at: datetime) -> str:
    sign = host.newest
    heard = f"the last sign of life was {sign.what}, {sign.at:%Y-%m-%d %H:%M:%S} UTC" if sign else "it gave no sign"
    return f"{host.name} was declared gone at {at:%Y-%m-%d %H:%M:%S} UTC; {heard}"


def _proof(store: Store, settings: Settings, host: OtherHost, watch: Callable[[str], None]) -> str:
    """Why the host is alive, as a clause; empty where nothing says so."""
    young = min(host.beats, key=lambda sign: sign.seconds, default=None)
    if young is not None and young.seconds < SILENT_SECONDS:
        return f"{young.what} is {young.seconds:.0f} s old, and one counts as silent from {SILENT_SECONDS:.0f} s on"
    renewed = host.renewal
    if renewed is not None and renewed.seconds < SILENT_SECONDS and (proof := _renewal(store, host, renewed, watch)):
        return proof
    if settings.nodes.ssh and (told := by_ssh(host.name, boot_of(host))) == "answers":
        return f"ssh {told}, in the same boot"
    return ""


def _renewal(store: Store, host: OtherHost, before: Sign, watch: Callable[[str], None]) -> str:
    """Whether its supervisor renews the lease while we look."""
    watch(f"watching {host.name} for {WATCHED_SECONDS:.0f} s: its supervisor renewed its lease lately, by its clock")
    end = time.monotonic() + WATCHED_SECONDS
    while time.monotonic() < end:
        with store.read() as connection:
            holder = lease.holder(connection)
        if holder is None or holder.host != host.name:
            return ""
        if holder.renewed_at != before.at:
            return f"its supervisor (pid {holder.pid}) renewed its lease just now"
        time.sleep(LOOK_SECONDS)
    return ""
