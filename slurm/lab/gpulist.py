"""The GPUs of a host by its driver: what nvidia-smi lists, or what /proc and /dev tell. Pure but for `here`."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from slurm.lab.hosts import Gpu

_DEVICE = re.compile(r"nvidia(\d+)")
_MINOR = re.compile(r"^Device Minor:\s*(\d+)\s*$", re.MULTILINE)
_EVERYBODYS = frozenset({"nvidia", "geforce", "tesla", "gpu"})
_MODEL = re.compile(r"^Model:\s*(.+?)\s*$", re.MULTILINE)


def of_proc(texts: list[str]) -> tuple[Gpu, ...]:
    """From the texts of /proc/driver/nvidia/gpus/*/information."""
    found = {}
    for text in texts:
        minor, model = _MINOR.search(text), _MODEL.search(text)
        if minor:
            found[int(minor[1])] = model[1] if model else ""
    return tuple(Gpu(device=f"/dev/nvidia{number}", model=found[number]) for number in sorted(found))


def of_names(names: list[str]) -> tuple[Gpu, ...]:
    """From the names of files in /dev, where /proc tells nothing (containers)."""
    numbers = sorted(int(match[1]) for name in names if (match := _DEVICE.fullmatch(name)))
    return tuple(Gpu(device=f"/dev/nvidia{number}") for number in numbers)


def kind(model: str) -> str:
    """A word for a model that --gpus can name: 'NVIDIA GeForce RTX 3090' is rtx_3090; '' for none."""
    words = [
        word for word in re.findall(r"[a-z0-9]+", model.lower()) if word not in ("nvidia", "geforce", "tesla", "gpu")
    ]
    return "_".join(words[:4])


def here() -> tuple[tuple[Gpu, ...], str]:
    """The GPUs of this host, and what is wrong with its driver: GPUs that it does not answer for are left out."""
    texts = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            texts.append(file.read_text())
        except OSError:
            continue
    try:
        names = [entry.name for entry in Path("/dev").iterdir()]
    except OSError:
        names = []
    found = of_proc(texts) or of_names(names)
    if not found:
        return (), ""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return found, ""
    try:
        done = subprocess.run([smi, "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return (), "nvidia-smi does not answer"
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        return (), f"nvidia-smi says: {said[0][:100] if said else 'nothing'}"
    return found, ""
