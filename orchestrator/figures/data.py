"""What figures are drawn from: plain values, nothing read from a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from db.rows import Curve, ResultRow, Span
from jobs.errors import BadInput
from jobs.records import Edge
from jobs.shortcuts.discretise import AlphaLine, discretise, nones
from orchestrator.tables.cells import ACCURACY
from orchestrator.tables.keys import setting
from orchestrator.tables.render import DATASETS

Matrix = Sequence[Sequence[float]]


class NothingToDraw(BadInput):
    """The rows hold nothing of what this figure shows; the text says what is missing."""


@dataclass(frozen=True, kw_only=True)
class AlphaMap:
    """The gates of one search after some epoch."""

    job: int
    method: str
    seed: int
    epoch: int
    gates: Matrix
    """16×16 values in 0..1; [i][j] belongs to the edge i→j."""
    kept: Sequence[Edge] = ()
    """The edges that the read-out keeps at this epoch."""
    pretrained: bool = False
    none: Sequence[float] = ()
    """Of method B: what "none" has of each block's softmax (16 values in 0..1)."""


@dataclass(frozen=True, kw_only=True)
class Axes:
    """What a person asks a figure to show; empty: what fits best."""

    x: str = ""
    y: str = ""
    hue: str = ""
    facet: str = ""
    baseline: Mapping[str, str] = field(default_factory=dict)
    """Of comparisons: the group that the others are compared with."""


@dataclass(frozen=True, kw_only=True)
class FigureData:
    """The rows of one study (or what a filter left of it), and what else its figures need."""

    rows: Sequence[ResultRow] = ()
    curves: Sequence[Curve] = ()
    spans: Sequence[Span] = ()
    alphas: Sequence[AlphaMap] = ()
    metric: str = "test_accuracy"
    """Of `curves` and `pareto`."""
    axes: Axes = Axes()
    """Of figures of any study."""

    def setting(self) -> str:
        """'study NAME, CIFAR-10, preset report': stands in every title.

        Raises BadInput where data sets or presets are mixed, since no figure may mix them.
        """
        settings = sorted({(row.dataset, row.preset) for row in self.rows})
        if len(settings) > 1:
            have = "; ".join(f"{dataset} with preset {preset}" for dataset, preset in settings)
            raise BadInput(
                f"a figure never mixes data sets or presets, and there are {len(settings)} ({have}): "
                "choose one by --filter dataset=… or --filter preset=…"
            )
        parts = [f"study {study}" for study in sorted({row.study for row in self.rows})]
        for dataset, preset in settings:
            parts += [DATASETS.get(dataset, dataset)] if dataset else []
            parts += [f"preset {preset}"]
        return ", ".join(parts)


def alpha_maps(row: ResultRow, lines: Sequence[AlphaLine], epochs: Sequence[int] = ()) -> list[AlphaMap]:
    """The gates that a search wrote, at those of the given epochs that it has; without any, at its last one.

    What is kept follows from α by the search's own method and threshold. Raises BadInput where α is not finite.
    """
    method = row.config.get("method")
    if method not in ("A", "B") or not lines:
        return []
    chosen = [line for line in lines if line.epoch in epochs] if epochs else [lines[-1]]
    return [
        AlphaMap(
            job=row.job,
            method=method,
            seed=row.seed,
            epoch=line.epoch,
            gates=line.gates,
            kept=discretise(line.alpha, method, setting(row, "tau") or 0.0).edges,
            pretrained=bool(row.config.get("pretrained")),
            none=nones(line.alpha) if method == "B" else (),
        )
        for line in chosen
    ]


def reported(curves: Sequence[Curve]) -> str:
    """The metric that is drawn where nobody names one: the study's own, else the one that most curves have."""
    counts: dict[str, int] = {}
    for curve in curves:
        for name in dict.fromkeys(name for _, values in curve.points for name in values):
            counts[name] = counts.get(name, 0) + 1
    return ACCURACY if ACCURACY in counts or not counts else max(counts, key=lambda name: counts[name])
