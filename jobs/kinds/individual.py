"""`individual`: the short training that the evolution judges one architecture by, on half of the train set."""

from __future__ import annotations

from jobs.architectures import canonical
from jobs.kind import JobKind, Metric
from jobs.training.recipe import DEMO, METRICS, Positive, Recipe, resources


class IndividualConfig(Recipe, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Trains on one half of the train set and is judged on the other: selection never sees the test set."""

    epochs: Positive = 10
    edges: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.edges != canonical(self.edges):
            raise ValueError("edges must be sorted and each once")


KIND = JobKind(
    name="individual",
    version=1,
    help="Train one architecture briefly on half of the train set and validate it on the other (asked for by evolve).",
    config=IndividualConfig,
    run="jobs.shortcuts.evolving:individual",
    resources=resources,
    presets={"demo": {**DEMO, "epochs": 1}},
    metrics=(
        Metric(name="val_accuracy", label="validation accuracy", unit="%", per_epoch=True, digits=2),
        *(metric for metric in METRICS if metric.name != "test_accuracy"),
    ),
)
