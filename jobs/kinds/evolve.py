"""`evolve`: NSGA-II over shortcut sets; its individuals are jobs of their own, so a generation uses all slots."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from jobs.kind import JobKind, Metric
from jobs.resources import Resources
from jobs.training.recipe import DEMO, Positive, Recipe


class EvolveConfig(Recipe, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The recipe is that of an individual's training; `epochs` are its proxy epochs."""

    epochs: Positive = 10
    population: Annotated[int, msgspec.Meta(ge=2)] = 20
    generations: Positive = 10
    """Generations that are evaluated, the initial population included."""
    most_edges: Annotated[int, msgspec.Meta(ge=0, le=105)] = 20
    """Individuals of the initial population have 0 to this many shortcuts."""


def resources(config: Any) -> Resources:
    """A step only selects and breeds."""
    return Resources(cpus=1, memory_mb=1000, gpus=0, minutes=10)


METRICS = (
    Metric(name="generation", label="generation"),
    Metric(name="val_accuracy", label="best validation accuracy", unit="%", digits=2),
    Metric(name="params", label="its parameters", higher_is_better=False),
    Metric(name="shortcuts", label="its shortcuts", digits=1),
    Metric(name="front", label="architectures on the front"),
    Metric(name="evaluated", label="architectures evaluated"),
    Metric(name="failed", label="failed evaluations", higher_is_better=False),
)

KIND = JobKind(
    name="evolve",
    version=1,
    help="Evolve shortcut sets by NSGA-II on (validation accuracy, fewer parameters); every individual is a job.",
    config=EvolveConfig,
    run="jobs.shortcuts.evolving:first",
    resources=resources,
    presets={"demo": {**DEMO, "epochs": 1, "population": 4, "generations": 2}},
    metrics=METRICS,
    checkpoints=False,
    spawns=("individual", "evolve-step"),
)
