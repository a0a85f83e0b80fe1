"""From what a person asks for to the jobs that should exist. Pure, but for the fingerprint."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from db.creation import Wanted
from db.launching import Launching, Template
from jobs import launchers
from jobs.errors import BadInput
from jobs.kind import Config, JobKind
from jobs.records import Code, Surroundings
from jobs.resources import Asked
from orchestrator import text

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
    label: str = ""
    code: Code | None = None
    surroundings: Surroundings | None = None

    def launching(self, kind: JobKind, config: Config, written: Mapping[str, str]) -> Launching:
        """For jobs of that kind and config."""
        options = dict(self.options)
        if self.asked.minutes is not None:
            options["minutes"] = self.asked.minutes
        ranks = launchers.ranks(options, self.asked.gpus or 0)
        return Launching(
            device=self.device,
            resources=self.asked.over(launchers.for_all(kind.resources(config), ranks), device=self.device),
            asked=self.asked,
            backend=self.backend,
            cwd=self.cwd,
            data_dir=self.data_dir,
            fingerprint=self.fingerprint,
            options=options,
            label=self.label,
            written=dict(written),
            code=self.code,
            surroundings=self.surroundings,
        )


@dataclass(frozen=True, kw_only=True)
class Order:
    """Jobs of one kind and config that should exist: one per seed."""

    kind: JobKind
    config: Config
    seeds: Sequence[int]
    needs: tuple[int, ...] = ()
    needs_of: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """By seed: more jobs that must have succeeded before."""
    written: Mapping[str, str] = field(default_factory=dict)
    """Parameters as they were written, where that is not their canonical text."""


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
                launching=launch.launching(order.kind, order.config, order.written),
            )
        )
        keys = order.kind.keys(order.config, order.seeds)
        wanted += [
            Wanted(template=number, seed=seed, key=key, needs=(*order.needs, *order.needs_of.get(seed, ())))
            for seed, key in zip(order.seeds, keys, strict=True)
        ]
    return templates, wanted


def check_place(root: Path) -> None:
    """A path in which SLURM finds no pattern of log names (sbatch(1), filename pattern). Raises BadInput."""
    if text.plain(str(root)) != str(root) or "%" in str(root) or "\\" in str(root):
        raise BadInput(
            f"SLURM cannot write logs below '{text.plain(str(root))}': it takes a '%' or a backslash for a pattern of "
            "its own, and signs that cannot be shown are lost; choose another folder with --store"
        )
