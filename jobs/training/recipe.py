"""What all training kinds share: the settings of Table 1 as a config, the preset `demo`, the requests and metrics."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from jobs.errors import BadInput
from jobs.kind import Config, Metric
from jobs.resources import Resources
from jobs.training.gpumemory import training_mb
from jobs.words import Precision

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Rate = Annotated[float, msgspec.Meta(gt=0)]


class Recipe(Config, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a net is trained. Defaults: Table 1 of the report; what it leaves open is stated in docs/data.md."""

    dataset: str = "cifar10"
    width: Annotated[float, msgspec.Meta(gt=0, le=4)] = 1.0
    epochs: Positive = 150
    batch_size: Annotated[int, msgspec.Meta(ge=2)] = 64
    lr: Rate = 0.0090131
    momentum: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.9
    gamma: Rate = 0.2344
    step_size: Positive = 100
    """Epochs between two multiplications of the learning rate by `gamma`."""
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    precision: Precision = "bf16"
    """Of the matrix products on a GPU; weights, momentum, BN statistics and loss stay fp32. On a CPU always fp32."""
    train_images: Count = 0
    """Train on the first so many images only; 0 = all."""

    def __post_init__(self) -> None:
        from jobs.training.datasets import named

        try:
            named(self.dataset)
        except BadInput as error:
            raise ValueError(str(error)) from None


DEMO: dict[str, Any] = {"dataset": "digits", "width": 0.125, "epochs": 3, "precision": "fp32"}
"""Real training in seconds on one CPU thread; everything else as in Table 1."""


def resources(config: Recipe) -> Resources:
    """What one training asks for: a CPU for a net that a CPU trains in seconds, else one GPU.

    The time limit is for an old GPU: work that outlives it goes on from its checkpoint.
    """
    gpu_memory = training_mb(config.width, config.batch_size, config.precision)
    if config.preset == "demo":
        return Resources(cpus=1, memory_mb=2000, gpus=0, minutes=20, gpu_memory_mb=gpu_memory)
    return Resources(cpus=2, memory_mb=8000, gpus=1, minutes=240, gpu_memory_mb=gpu_memory)


METRICS: tuple[Metric, ...] = (
    Metric(name="test_accuracy", label="test accuracy", unit="%", per_epoch=True, digits=2),
    Metric(name="train_accuracy", label="train accuracy", unit="%", per_epoch=True, digits=2),
    Metric(name="train_loss", label="train loss", higher_is_better=False, per_epoch=True),
    Metric(name="images_per_second", label="images per second", unit="1/s", per_epoch=True),
    Metric(name="params", label="parameters", higher_is_better=False),
    Metric(name="shortcuts", label="shortcuts", digits=1),
    Metric(name="extra_params", label="extra parameters", higher_is_better=False),
    Metric(name="mean_span", label="mean span", unit="blocks"),
    Metric(name="long_share", label="share of long shortcuts"),
    Metric(name="epochs", label="epochs"),
    Metric(name="wall_seconds", label="training time", unit="s", higher_is_better=False),
)
