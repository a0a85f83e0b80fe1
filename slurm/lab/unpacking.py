"""SLURM without root: the distribution's packages, fetched and unpacked into a folder of one's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from slurm.lab.errors import ClusterError
from slurm.lab.packages import install_command, libraries

PACKAGES = ("slurmd", "slurmctld", "slurm-client", "slurm-wlm-basic-plugins", "munge")
CLIENTS = ("sbatch", "srun", "squeue", "sinfo", "scontrol", "scancel", "sacct", "sacctmgr", "salloc")
_FETCH_S = 600
_VARIANT = "-wlm"
_LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-linux.so.2")


def names_of(simulated: str) -> list[str]:
    """The packages in what `apt-get --simulate install` prints: 'Inst slurmd (22.05.8-4 Debian:12 [amd64])'."""
    return [words[1] for line in simulated.splitlines() if len(words := line.split()) >= 2 and words[0] == "Inst"]


def unpack(root: Path) -> None:
    """Fetch SLURM and all it needs that is not installed here, below `root`. Raises ClusterError."""
    draft = root.with_name(f".{root.name}.{os.getpid()}")
    fetched = draft / "fetched"
    fetched.mkdir(parents=True)
    try:
        # Simulated, as anything else wants to write apt's own files, which is root's.
        wanted = ["apt-get", "install", "--no-install-recommends", "--simulate", "-qq", *PACKAGES]
        names = names_of(_run(wanted, fetched))
        if not names:
            raise ClusterError("apt-get names no package of SLURM")
        _run(["apt-get", "download", "-qq", *names], fetched)
        for file in sorted(fetched.glob("*.deb")):
            _run(["dpkg", "-x", str(file), str(draft)], fetched)
        shutil.rmtree(fetched)
        _link_alternatives(draft)
        if root.exists():
            shutil.rmtree(root)
        draft.rename(root)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _link_alternatives(root: Path) -> None:
    """slurmd beside slurmd-wlm, as the packages' own scripts, which are not run, have update-alternatives do."""
    for folder in (root / "usr" / "sbin", root / "usr" / "bin"):
        for path in sorted(folder.glob(f"*{_VARIANT}")):
            plain = path.with_name(path.name.removesuffix(_VARIANT))
            if not plain.exists():
                plain.symlink_to(path.name)


def _run(command: list[str], where: Path) -> str:
    help_yourself = f"ask its administrator for `{install_command(['slurm-wlm', 'munge'])}`"
    try:
        done = subprocess.run(
            command, cwd=where, capture_output=True, text=True, timeout=_FETCH_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"SLURM's packages could not be fetched ({error}): {help_yourself}") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise ClusterError(f"SLURM's packages could not be fetched ({lines[-1][:120]}): {help_yourself}")
    return done.stdout


def write_commands(folder: Path, root: Path) -> None:
    """SLURM's commands as scripts that find their libraries, and let no job inherit them."""
    loader = next((path for path in _LOADERS if Path(path).exists()), _LOADERS[0])
    where = os.pathsep.join(str(one) for one in libraries(root))
    folder.mkdir(exist_ok=True)
    for name in CLIENTS:
        program = root / "usr" / "bin" / name
        if program.exists():
            script = folder / name
            script.write_text(f'#!/bin/sh\nexec {loader} --library-path {where} {program} "$@"\n')
            script.chmod(0o755)
