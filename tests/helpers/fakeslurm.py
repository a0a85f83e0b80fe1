"""SLURM's commands as scripts on PATH: each answers as a healthy empty cluster would, or does what a test writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ANSWERS = {
    "sbatch": 'echo "Submitted batch job $$"',
    "squeue": "true",
    "sacct": "true",
    "sinfo": 'echo "main*|idle|n1"',
    "scontrol": 'echo "MaxArraySize            = 1001"',
    "scancel": "true",
    "srun": "true",
}
HANG = "sleep 600"


def install(folder: Path, environment: Mapping[str, str], **answers: str) -> dict[str, str]:
    """The environment in which these commands are SLURM. Every call is noted in `folder`/calls/<command>."""
    (folder / "calls").mkdir(parents=True)
    (folder / "slurm.conf").touch()
    for name, body in {**ANSWERS, **answers}.items():
        say(folder, name, body)
    return {
        **environment,
        "PATH": f"{folder}:{environment['PATH']}",
        "SLURM_CONF": str(folder / "slurm.conf"),
        "ORCH_BACKEND": "slurm",
    }


def say(folder: Path, name: str, body: str) -> None:
    """From now on that command does this."""
    draft = folder / f".{name}"
    draft.write_text(f'#!/bin/sh\necho "$(date +%s.%N) $*" >> "{folder}/calls/{name}"\n{body}\n')
    draft.chmod(0o755)
    draft.rename(folder / name)


def calls(folder: Path, name: str) -> list[str]:
    """The arguments of each call so far, oldest first."""
    try:
        return [line.partition(" ")[2] for line in (folder / "calls" / name).read_text().splitlines()]
    except FileNotFoundError:
        return []
