"""From what a person asks for to the jobs that should exist. Pure, but for the fingerprint."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from db.entries import Launching, Template
from db.jobs import Wanted
from jobs.errors import BadInput
from jobs.kind import Asked, Config, JobKind

MOST_SEEDS = 1_000_000


def seeds_of(number: int | None, listed: str | None) -> list[int]:
    """`--seeds N` means 0…N−1; `--seed-list 0,3,7` names them. Raises BadInput."""
    if number is not None and listed is not None:
        raise BadInput("--seeds and --seed-list exclude each other: give one of them")
    if listed is None:
        count = 1 if number is None else number
        if not 1 <= count <= MOST_SEEDS:
            raise BadInput(f"--seeds must be from 1 to {MOST_SEEDS} (got {count})")
        return list(range(count))
    words = [word.strip() for word in listed.split(",")]
    wrong = [word for word in words if not re.fullmatch(r"\d{1,9}", word)]
    if wrong:
        raise BadInput(f"--seed-list takes whole numbers with commas between, like 0,3,7 (got '{wrong[0]}')")
    seeds = [int(word) for word in words]
    if len(set(seeds)) != len(seeds):
        twice = next(seed for seed in seeds if seeds.count(seed) > 1)
        raise BadInput(f"--seed-list names seed {twice} twice: name each once")
    return seeds


def assignments(words: Sequence[str], option: str) -> dict[str, str]:
    """`key=value` words as a mapping. Raises BadInput."""
    found: dict[str, str] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key.strip():
            raise BadInput(f"{option} takes key=value (got '{word}')")
        if key.strip() in found:
            raise BadInput(f"{option} sets '{key.strip()}' twice: set it once")
        found[key.strip()] = value
    return found


def grid(words: Sequence[str]) -> list[dict[str, str]]:
    """`--grid lr=0.1,0.01 --grid wd=0,5e-4` as all its points, in order. One empty point without a grid."""
    axes = []
    for key, values in assignments(words, "--grid").items():
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", key):
            raise BadInput(f"--grid names are lower-case words, as they stand in {{braces}} (got '{key}')")
        points = [value.strip() for value in values.split(",")]
        if "" in points or len(set(points)) != len(points):
            raise BadInput(f"--grid {key} has an empty or repeated value: '{values}'")
        axes.append([(key, value) for value in points])
    return [dict(point) for point in itertools.product(*axes)]


def memory_mb(text: str, option: str = "--mem") -> int:
    """'8G', '500M' or plain MB. Raises BadInput."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MG]?)B?", text.strip(), re.IGNORECASE)
    if match is None or float(match.group(1)) <= 0:
        raise BadInput(f"{option} takes a size such as 8G or 500M (got '{text}')")
    return max(1, round(float(match.group(1)) * (1024 if match.group(2).upper() == "G" else 1)))


def minutes(text: str) -> int:
    """Minutes, or SLURM's D-HH:MM:SS, HH:MM:SS, MM:SS; rounded up. Raises BadInput."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if match is None:
        raise BadInput(f"--time takes minutes or HH:MM:SS (got '{text}')")
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
        raise BadInput(f"--time must be more than 0 (got '{text}')")
    return -(-seconds // 60)


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How the jobs of one command are run: what `Launching` needs, besides each kind's resources."""

    backend: str
    device: str = "auto"
    asked: Asked = field(default_factory=Asked)
    cwd: str = ""
    data_dir: str | None = None
    fingerprint: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def launching(self, kind: JobKind, config: Config) -> Launching:
        """For jobs of that kind and config."""
        options = dict(self.options)
        if self.asked.minutes is not None:
            options["minutes"] = self.asked.minutes
        return Launching(
            device=self.device,
            resources=self.asked.over(kind.resources(config), device=self.device),
            asked=self.asked,
            backend=self.backend,
            cwd=self.cwd,
            data_dir=self.data_dir,
            fingerprint=self.fingerprint,
            options=options,
        )


@dataclass(frozen=True, kw_only=True)
class Order:
    """Jobs of one kind and config that should exist: one per seed."""

    kind: JobKind
    config: Config
    seeds: Sequence[int]
    needs: tuple[int, ...] = ()


def templates_and_wanted(orders: Sequence[Order], launch: Launch) -> tuple[list[Template], list[Wanted]]:
    """The store's form of the orders: one template each, one wanted job per seed."""
    templates, wanted = [], []
    for number, order in enumerate(orders):
        templates.append(
            Template(
                kind=order.kind.name,
                kind_version=order.kind.version,
                preset=order.config.preset,
                config=msgspec.to_builtins(order.config),
                dataset=getattr(order.config, "dataset", ""),
                launching=launch.launching(order.kind, order.config),
            )
        )
        keys = order.kind.keys(order.config, order.seeds)
        wanted += [
            Wanted(template=number, seed=seed, key=key, needs=order.needs)
            for seed, key in zip(order.seeds, keys, strict=True)
        ]
    return templates, wanted
