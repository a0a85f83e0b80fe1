"""From hosts that were looked at to the files that make one SLURM of them: pure text."""

from __future__ import annotations

from collections.abc import Mapping

from slurm.lab import configuration
from slurm.lab.gpulist import kind
from slurm.lab.hosts import Look, node_name
from slurm.lab.record import CONTROLLER_TIMEOUT_S, Lab, Member

RESERVE = 0.05
"""Of a host's memory, for those who are logged in there."""
MOST_RESERVE_MB = 4096


def member(name: str, look: Look, address: str, *, version: str, unpacked: bool) -> Member:
    """A host of the lab, from how it looks."""
    return Member(
        name=name,
        node=node_name(name, look),
        hostname=look.hostname,
        address=address,
        cores=look.cores,
        memory_mb=int(look.memory_mb - min(look.memory_mb * RESERVE, MOST_RESERVE_MB)),
        slurm=version,
        system=look.system,
        gpus=look.gpus,
        unpacked=unpacked,
    )


def addresses(looks: Mapping[str, Look]) -> dict[str, str]:
    """Host → the address under which the others reach it.

    What we reached is said by ssh itself; of this host, and of one that ssh reached over the loopback, by the others.
    """
    callers = [look.caller for look in looks.values() if look.caller and not _loopback(look.caller)]
    own = callers[0] if callers else "127.0.0.1"
    return {name: own if not look.address or _loopback(look.address) else look.address for name, look in looks.items()}


def _loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def slurm_conf(lab: Lab) -> str:
    """The text of slurm.conf."""
    values = configuration.daemons(
        user=lab.user,
        port=lab.port,
        socket=lab.munge_socket,
        state=lab.state,
        spool=lab.runtime / "spool.%n",
        pids=lab.runtime,
        logs=lab.logs,
    )
    values |= configuration.without_root()
    values |= {
        "SlurmdPort": lab.port + 1,
        # Times of people's own hosts: busy, now and then away for a moment.
        "SlurmdTimeout": 60,
        "SlurmctldTimeout": CONTROLLER_TIMEOUT_S,
        "MessageTimeout": 10,
        "KillWait": 30,
        "UnkillableStepTimeout": 60,
        "BatchStartTimeout": 30,
        # A host that was booted takes jobs again by itself.
        "ReturnToService": 2,
    }
    if any(one.gpus for one in lab.members):
        values["GresTypes"] = "gpu"
    if any(one.unpacked for one in lab.members):
        values["PluginDir"] = str(lab.plugins)
    return configuration.text(values, lab.extra, host_lines(lab, "lab"))


def conf_of(lab: Lab, one: Member) -> str:
    """slurm.conf for a command that asks the controller on that host and no other."""
    lines = slurm_conf(lab).splitlines(keepends=True)
    own = f"SlurmctldHost={one.hostname}("
    return "".join(line for line in lines if not line.startswith("SlurmctldHost=") or line.startswith(own))


def host_lines(lab: Lab, partition: str) -> list[str]:
    """The lines of slurm.conf that name controllers, nodes and the one partition."""
    lines = [f"SlurmctldHost={one.hostname}({one.address})" for one in lab.controllers()]
    lines += [_node(one) for one in lab.members]
    return [*lines, f"PartitionName={partition} Nodes=ALL Default=YES MaxTime=INFINITE State=UP"]


def _node(one: Member) -> str:
    gres = f" Gres={_gres(one)}" if one.gpus else ""
    return (
        f"NodeName={one.node} NodeHostname={one.hostname} NodeAddr={one.address} "
        f"CPUs={one.cores} RealMemory={one.memory_mb}{gres} State=UNKNOWN"
    )


def _kinds(one: Member) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for gpu in one.gpus:
        found.setdefault(kind(gpu.model), []).append(gpu.device)
    return found


def _gres(one: Member) -> str:
    return ",".join(f"gpu:{word}:{len(files)}" if word else f"gpu:{len(files)}" for word, files in _kinds(one).items())


def gres_conf(lab: Lab) -> str:
    """The text of gres.conf: without a device's file SLURM never sets CUDA_VISIBLE_DEVICES."""
    return "".join(
        f"NodeName={one.node} Name=gpu{f' Type={word}' if word else ''} File={file}\n"
        for one in lab.members
        for word, files in _kinds(one).items()
        for file in files
    )


def files(lab: Lab) -> dict[str, str]:
    """The name of each file in the lab's folder that SLURM reads → its text."""
    return {
        "slurm.conf": slurm_conf(lab),
        "gres.conf": gres_conf(lab),
        "cgroup.conf": configuration.cgroup_conf(),
    }


def mounted_from(mount: str, members: tuple[Member, ...]) -> str:
    """Which host serves the shared folder, from 'nfs4 tanuki:/export'; '' where that cannot be told."""
    source = mount.partition(" ")[2]
    host, colon, _ = source.partition(":")
    host = host.rpartition("@")[2]
    if not colon or "/" in host or not host:
        return ""
    for one in members:
        if host in (one.name, one.node, one.hostname, one.address) or host.partition(".")[0] == one.hostname:
            return one.name
    return host
