"""`evolve-step`: between two generations: takes in the evaluations, selects, and asks for the next ones."""

from __future__ import annotations

from jobs.kind import JobKind
from jobs.kinds.evolve import KIND as EVOLVE
from jobs.kinds.evolve import METRICS, EvolveConfig, resources
from jobs.training.recipe import Positive


class EvolveStepConfig(EvolveConfig, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """`generation`: the one that this step breeds (the initial population is 0)."""

    generation: Positive = 1


KIND = JobKind(
    name="evolve-step",
    version=1,
    help="One step of an evolution (asked for by evolve and by the step before).",
    config=EvolveStepConfig,
    run="jobs.shortcuts.evolving:step",
    resources=resources,
    presets=EVOLVE.presets,
    metrics=METRICS,
    checkpoints=False,
)
