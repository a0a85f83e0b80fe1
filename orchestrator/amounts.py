"""Sizes and times as people write them."""

from __future__ import annotations

import math
import re

from jobs.errors import BadInput

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def memory_mb(text: str, option: str = "--mem") -> int:
    """'8G', '500M' or plain MB. Raises BadInput."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MG]?)B?", text.strip(), re.IGNORECASE)
    if match is None or float(match.group(1)) <= 0:
        raise BadInput(f"{option} takes a size such as 8G or 500M (got '{text}')")
    return max(1, round(float(match.group(1)) * (1024 if match.group(2).upper() == "G" else 1)))


def size_bytes(text: str, option: str) -> int:
    """'500G', '2T', '800M' or '5000K', in powers of 1024. Raises BadInput."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None or float(match.group(1)) <= 0:
        raise BadInput(f"{option} takes a size such as 500G or 2T (got '{text}')")
    return round(float(match.group(1)) * (1 << 10 * " KMGT".index(match.group(2).upper())))


def size_text(count: float) -> str:
    """Bytes as 3.4 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def minutes(text: str, option: str = "--time") -> int:
    """Minutes, or SLURM's D-HH:MM:SS, HH:MM:SS, MM:SS; rounded up. Raises BadInput."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if match is None:
        raise BadInput(f"{option} takes minutes or HH:MM:SS (got '{text}')")
    days, first, second, third = (int(part) if part is not None else None for part in match.groups())
    if days is not None:
        seconds = days * 86400 + (first or 0) * 3600 + (second or 0) * 60 + (third or 0)
    elif third is not None:
        seconds = (first or 0) * 3600 + (second or 0) * 60 + third
    elif second is not None:
        seconds = (first or 0) * 60 + second
    else:
        seconds = (first or 0) * 60
    if seconds <= 0:
        raise BadInput(f"{option} must be more than 0 (got '{text}')")
    return -(-seconds // 60)


def hang_after(text: str, option: str = "--hang-after") -> float:
    """Seconds of '90s', '30m', '2h' or '1d'; 0 for 'off', -1 for 'auto'. Raises BadInput."""
    word = text.strip().lower()
    if word in ("off", "auto"):
        return 0.0 if word == "off" else -1.0
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", word)
    seconds = float(match.group(1)) * _SECONDS[match.group(2)] if match else 0.0
    if not 1 <= seconds <= 1e9:
        raise BadInput(f"{option} takes a time such as 90s, 30m or 2h, 'off' or 'auto' (got '{text}')")
    return seconds


def slices(text: str, option: str = "--slices") -> int | str:
    """Whole minutes of '30m', '2h' or '30', rounded up; 0 for 'off'; 'auto'. Raises BadInput."""
    word = text.strip().lower()
    if word in ("off", "auto"):
        return 0 if word == "off" else word
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", word)
    seconds = float(match.group(1)) * _SECONDS[match.group(2) or "m"] if match else 0.0
    if not 60 <= seconds <= 1e7:
        raise BadInput(f"{option} takes a time of at least a minute such as 30m or 2h, 'off' or 'auto' (got '{text}')")
    return math.ceil(seconds / 60)
