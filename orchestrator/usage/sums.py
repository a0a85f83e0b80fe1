"""Pieces added up: by class, by cause, and by any value of their jobs. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TypeVar

from orchestrator.usage.pieces import Piece, Use

K = TypeVar("K", bound=Hashable)
Class = tuple[Use, str]
"""A class and, of what was repeated or failed, its cause."""


@dataclass
class Total:
    """What some pieces spent. Times in microseconds, energy in millijoules.

    What is not known of some of them is left out of a sum, and said beside it: `cpu_untold` is CPU time of which nobody
    knows how much was used, and so on.
    """

    runs: set[tuple[int, int, str]] = field(default_factory=set)
    time: int = 0
    cpu: int = 0
    cpu_used: int = 0
    cpu_untold: int = 0
    gpu: int = 0
    gpu_untold: int = 0
    """Time of executions of which nobody knows how many GPUs they had."""
    busy: int = 0
    busy_untold: int = 0
    energy: int = 0
    energy_untold: int = 0
    """GPU time of which nobody knows what it took."""

    def add(self, piece: Piece) -> None:
        spent = piece.spent
        self.runs.add(piece.run)
        self.time += spent.time
        self.cpu += spent.cpu
        self.gpu += spent.gpu or 0
        self.gpu_untold += spent.time if spent.gpu is None else 0
        self.cpu_used += spent.cpu_used or 0
        self.cpu_untold += spent.cpu if spent.cpu_used is None else 0
        self.busy += spent.gpu_busy or 0
        self.busy_untold += spent.gpu or 0 if spent.gpu_busy is None else 0
        self.energy += spent.energy or 0
        self.energy_untold += spent.gpu or 0 if spent.energy is None else 0

    def join(self, other: Total) -> None:
        """Add what other pieces spent."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            setattr(self, one.name, mine | theirs if one.name == "runs" else mine + theirs)

    @property
    def cpu_share(self) -> float | None:
        """The part of its CPUs that was used, 0 to 1 and, where programs take more than they asked for, beyond."""
        told = self.cpu - self.cpu_untold
        return self.cpu_used / told if told else None

    @property
    def gpu_share(self) -> float | None:
        """The part of the time in which its GPUs computed."""
        told = self.gpu - self.busy_untold
        return self.busy / told if told else None

    @property
    def joules(self) -> float | None:
        """Of its GPUs, as far as it is known; None where nothing is."""
        return self.energy / 1000 if self.gpu > self.energy_untold else None


def by_class(pieces: Iterable[Piece]) -> Mapping[Class, Total]:
    """Each class that there is, in the order of `Use`, then by cause, what took longest first."""
    found: dict[Class, Total] = {}
    for piece in pieces:
        found.setdefault((piece.use, piece.cause), Total()).add(piece)
    places = {use: place for place, use in enumerate(Use)}
    return dict(sorted(found.items(), key=lambda item: (places[item[0][0]], -item[1].time, item[0][1])))


def total(pieces: Iterable[Piece]) -> Total:
    """All of them."""
    found = Total()
    for piece in pieces:
        found.add(piece)
    return found


def grouped(pieces: Iterable[Piece], keys: Mapping[int, K]) -> Mapping[K, list[Piece]]:
    """By what each job has."""
    found: dict[K, list[Piece]] = {}
    for piece in pieces:
        found.setdefault(keys[piece.run[0]], []).append(piece)
    return found
