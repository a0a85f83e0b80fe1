"""Making the backends from the settings, and choosing one."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.errors import BadInput, OrchError
from jobs.files import read_json, write_json
from jobs.layout import Layout
from jobs.words import BackendName
from orchestrator.settings import Settings
from slurm.backend import Backend

if TYPE_CHECKING:
    from slurm.lab.record import Lab


def makers(
    layout: Layout, settings: Settings, meanwhile: Callable[[], None] = lambda: None
) -> dict[BackendName, Callable[[], Backend]]:
    """How to make each backend, when it is first needed. `meanwhile`: called while SLURM keeps us waiting."""

    def local() -> Backend:
        from slurm.local.backend import LocalBackend

        own = settings.local
        return LocalBackend(layout, jobs_per_gpu=own.jobs_per_gpu, cpu_slots=own.cpu_slots, gpus=own.gpus)

    def slurm() -> Backend:
        from slurm.cluster.backend import SlurmBackend
        from slurm.cluster.commands import Commands
        from slurm.cluster.sbatch import LaunchSettings

        with contextlib.suppress(OrchError):  # a supervisor may be older than the lab; what is wrong a command tells
            enter_lab(layout.root, settings)
        enter_noted(layout.root)
        return SlurmBackend(
            layout,
            commands=Commands(meanwhile=meanwhile),
            settings=LaunchSettings(signal_delay_s=settings.slurm.signal_delay_seconds),
        )

    return {BackendName.LOCAL: local, BackendName.SLURM: slurm}


CONFIGURATIONS = ("/etc/slurm/slurm.conf", "/etc/slurm-llnl/slurm.conf", "/run/slurm/conf/slurm.conf")


def lab_folder(root: Path, settings: Settings) -> Path:
    """Where the lab of the store in `root` lies, or would."""
    named = settings.lab.folder
    return root / "lab" if named is None else (root.parent / Path(named).expanduser()).absolute()


def lab_of(root: Path, settings: Settings) -> Lab | None:
    """The store's lab, where it is meant to run and SLURM_CONF names no other cluster. Raises ClusterError."""
    folder = lab_folder(root, settings)
    try:
        there = (folder / "lab.json").exists()
    except PermissionError:
        return None  # whoever opens a store that is closed to us tells so
    if not there:
        return None
    from slurm.lab.record import find

    lab = find(folder)
    given = os.environ.get("SLURM_CONF")
    return lab if lab is not None and lab.up and given in (None, "", str(lab.slurm_conf)) else None


def enter_lab(root: Path, settings: Settings) -> None:
    """Point this process, and all that it starts, at the store's lab, where there is one. Raises ClusterError."""
    lab = lab_of(root, settings)
    if lab is None:
        return
    os.environ["SLURM_CONF"] = str(lab.slurm_conf)
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if str(lab.programs) not in folders:
        # Last: only where SLURM is not installed its commands lie there, on every host under this name.
        os.environ["PATH"] = os.pathsep.join([*folders, str(lab.programs)])


NOTED = "slurm-conf.json"
"""The SLURM_CONF of the newest command that changed something: a supervisor may be older than it."""


def note_cluster(root: Path) -> None:
    """Leave word of which cluster this process means, for a supervisor that was started where none was named. Where
    none is named here, a host's own configuration counts again. A lab is found without."""
    given = os.environ.get("SLURM_CONF")
    named = given is not None and Path(given).is_file() and not (Path(given).parent / "lab.json").exists()
    with contextlib.suppress(OSError):
        if named:
            if read_json(root / NOTED, str) != given:
                write_json(root / NOTED, given, durable=False)
        elif slurm_is_here():
            (root / NOTED).unlink(missing_ok=True)


def enter_noted(root: Path) -> None:
    """Point this process at the cluster that the newest command meant, where it was started with none of its own."""
    own, noted = os.environ.get("SLURM_CONF"), read_json(root / NOTED, str)
    if noted and Path(noted).is_file() and not (own and Path(own).exists()):
        os.environ["SLURM_CONF"] = noted


def lab_trouble(root: Path, settings: Settings) -> str:
    """Why the store's lab takes and starts no jobs now, in a sentence with the mend; '' where it does or is none.

    SLURM's commands, which then hang, are not asked: a few connections, of two seconds at most.
    """
    try:
        lab = lab_of(root, settings)
    except OrchError as error:
        return str(error)
    if lab is None:
        return ""
    from slurm.lab.controllers import trouble

    return trouble(lab)


def slurm_is_here() -> bool:
    """Whether this host is set up as a SLURM client: its commands, and a configuration that they will find.

    The controller is not asked: while it is down, `auto` must not turn to local slots.
    """
    given = os.environ.get("SLURM_CONF")
    configured = Path(given).exists() if given else any(Path(path).exists() for path in CONFIGURATIONS)
    return shutil.which("sbatch") is not None and (configured or "SLURM_CONF_SERVER" in os.environ)


def choose(wanted: str) -> BackendName:
    """The backend that `auto` means here: SLURM where it is set up, but not inside an allocation. Raises BadInput."""
    if wanted == "auto":
        inside = "SLURM_JOB_ID" in os.environ
        chosen = BackendName.SLURM if slurm_is_here() and not inside else BackendName.LOCAL
    elif wanted in tuple(BackendName):
        chosen = BackendName(wanted)
    else:
        raise BadInput(f"unknown backend '{wanted}': use auto, local or slurm")
    if chosen is BackendName.SLURM:
        check_of_the_lab()
        if not slurm_is_here():
            raise BadInput(
                "this host is no SLURM client (no sbatch, or no slurm.conf): set SLURM_CONF, or --backend local"
            )
    return chosen


def check_of_the_lab() -> None:
    """Raise BadInput where SLURM_CONF is a lab's and this host is none of it: its munge runs on its hosts alone."""
    given = os.environ.get("SLURM_CONF")
    if not given:
        return
    from slurm.lab.record import find

    lab, here = find(Path(given).parent), socket.gethostname().partition(".")[0]
    if lab is not None and all(here != one.hostname for one in lab.members):
        names = ", ".join(one.name for one in lab.members)
        raise BadInput(
            f"this host, {here}, is none of the lab's ({names}): type it on one of them, take it in with "
            f"`orch lab add {here}`, or --backend local"
        )
