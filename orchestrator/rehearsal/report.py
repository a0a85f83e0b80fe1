"""What is asked of a rehearsal, and what it found. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from db.seals import Verdict, is_whole
from orchestrator.rehearsal.disturbances import NAMES, Disturbance, of_trial, possible
from orchestrator.rehearsal.histories import Baseline
from orchestrator.rehearsal.judgement import Judged, Overall


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks of a rehearsal."""

    kills: int = 5
    seed: int = 0
    budget_seconds: float = float("inf")
    only: tuple[Disturbance, ...] = tuple(Disturbance)
    chance: int = 0
    at_once: int = 0
    """Runs at the same time; 0: as many as there are CPUs, up to MOST_AT_ONCE."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a rehearsal found."""

    overall: Overall
    judged: tuple[Judged, ...]
    baseline: Baseline
    epochs: int
    left_out: dict[str, str]
    """Disturbed run → why it was not tried."""
    seconds: float
    tried: dict[str, int]
    """Disturbance → runs that were judged."""
    on_slurm: bool = False

    @property
    def untried(self) -> tuple[str, ...]:
        """Disturbances of which no run was judged, of those that there are on its machines."""
        return tuple(str(one) for one in possible(slurm=self.on_slurm) if one not in self.tried)

    @property
    def whole(self) -> bool:
        """Whether every disturbance was tried, with as many kills as there are by default."""
        return is_whole(self.tried, self.untried)

    @property
    def tells(self) -> bool:
        """Whether anything was learnt of resuming: a run that was killed was judged, or one was wrong."""
        return Disturbance.KILL in self.tried or self.overall.verdict is Verdict.WRONG


def tried_of(judged: Sequence[Judged]) -> dict[str, int]:
    """Disturbance → runs that were judged."""
    found = [of_trial(one.trial) for one in judged if one.verdict is not None]
    return {name: many for name in NAMES if (many := sum(one == name for one in found))}
