"""What an execution used, in `orch show`: curves of a few signs, and its sums. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from jobs.usage import Curve, Usage, UsageFile
from orchestrator.views import idle
from orchestrator.views.words import duration

SIGNS = "▁▂▃▄▅▆▇█"
UNKNOWN = "·"
WIDTH = 32


def facts(found: UsageFile | None, cpus: int, now: datetime, *, runs: bool) -> dict[str, str]:
    """Name → text, of one execution that had so many CPUs."""
    if found is None:
        return {}
    usage, curve = found.usage, found.curve
    sums = usage.sums
    seconds = sums.seconds
    cores = None if sums.cpu_seconds is None or not seconds else sums.cpu_seconds / seconds
    told = [f"{_number(cores, '.2f')} of {cpus} in use", f"memory {_size(usage.memory_mb)}"]
    lines = {"CPUs": _line(_channel(curve, 0), float(cpus), told)}
    if usage.gpus:
        busy = None if sums.busy_seconds is None or not seconds else 100 * sums.busy_seconds / (seconds * usage.gpus)
        energy = "-" if sums.joules is None else f"{sums.joules / 3.6e6:.3f} kWh"
        told = [f"{_number(busy, '.0f')} % of the time", f"memory {_size(usage.gpu_memory_mb)}", f"energy {energy}"]
        told += [text] if runs and (text := idle.sentence(usage, now)) else []
        lines["GPUs"] = _line(_channel(curve, 2), 100.0, told)
    lines["used until"] = f"{duration(seconds)} after its start" if runs else ""
    return lines


def as_json(found: UsageFile, name: str) -> dict[str, Any]:
    """All that is known; null is what nobody knows."""
    every = {field.name: None for field in msgspec.structs.fields(Usage)}
    usage = {**every, **msgspec.structs.asdict(found.usage)}
    curve = found.curve
    names = ("cores", "memory_mb", "gpu_percent", "gpu_memory_mb", "watts")
    return {
        "execution": name,
        **{key: _plain(value) for key, value in usage.items()},
        "curve": {"seconds": curve.span, **{name: _channel(curve, place) for place, name in enumerate(names)}},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {key: _plain(inner) for key, inner in msgspec.structs.asdict(value).items()}
    return msgspec.to_builtins(value)


def _channel(curve: Curve, place: int) -> list[float | None]:
    return [point[place] for point in curve.points]


def sparkline(values: Sequence[float | None], most: float) -> str:
    """A sign for each value, or for several where there are many; '·' where one is not known. `most`: a full sign."""
    step = -(-len(values) // WIDTH) or 1
    signs = ""
    for start in range(0, len(values), step):
        part = [one for one in values[start : start + step] if one is not None]
        mean = sum(part) / len(part) if part else None
        place = 0 if mean is None or most <= 0 else round(mean / most * (len(SIGNS) - 1))
        signs += UNKNOWN if mean is None else SIGNS[max(0, min(place, len(SIGNS) - 1))]
    return signs


def _line(values: Sequence[float | None], most: float, told: Sequence[str]) -> str:
    return f"{sparkline(values, most)} {', '.join(told)}".strip()


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _size(megabytes: float | None) -> str:
    return "-" if megabytes is None else f"{megabytes:.0f} MB"
