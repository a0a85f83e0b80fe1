"""`search`: the differentiable search of shortcuts (DARTS-like), method A or B."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from jobs.kind import JobKind, Metric
from jobs.resources import Resources
from jobs.training.recipe import DEMO, METRICS, Count, Positive, Rate, Recipe, resources

NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class SearchConfig(Recipe, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The recipe is that of w; α is trained by Adam. What is the report's and what is ours: docs/study.md."""

    method: Literal["A", "B"]
    """A: independent gates σ(α). B: a block's sources and "none" compete in a softmax."""
    order: Literal["first", "second"] = "first"
    """second: through one virtual step of w; about four times the work."""
    hessian: Literal["none", "exact", "difference"] = "none"
    """Of second order: the Hessian's product by differentiating twice (exact), or by DARTS's finite difference. Without
    a word it is exact, which the job's key then says: results by the difference of orch 0.1.0 stay their own."""
    alpha_lr: Rate = 3e-4
    alpha_weight_decay: NotNegative = 1e-3
    zero_one: NotNegative = 0.0
    """Weight of FairDARTS's zero-one loss (method A)."""
    tau: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """Threshold of the read-out; 0 = the method's own (A 0.7, B 0.5)."""
    readouts: tuple[Positive, ...] = (50, 100, 150)
    """After how many epochs an architecture is read out."""
    pretrained: bool = False
    """Begin from torchvision's ImageNet weights of vgg19_bn."""
    weights: str = ""
    """A file with such a state_dict instead of the download."""
    eigenvalue_every: Count = 0
    """After every so many epochs (and the last) the largest eigenvalue of ∇²_α of the validation loss; 0: never. It
    changes no other number of the search (docs/study.md)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order == "second" and self.hessian == "none":
            msgspec.structs.force_setattr(self, "hessian", "exact")
        if self.order == "first" and self.hessian != "none":
            raise ValueError("hessian is for order=second")
        if list(self.readouts) != sorted(set(self.readouts)) or (self.readouts and self.readouts[-1] > self.epochs):
            given = ", ".join(map(str, self.readouts))
            raise ValueError(f"readouts must rise and end within the {self.epochs} epochs (got {given})")
        if self.zero_one and self.method == "B":
            raise ValueError("zero_one belongs to method A: B's gates compete already")
        if self.weights and not self.pretrained:
            raise ValueError("weights are for a pretrained search: set pretrained=true too")
        if self.pretrained and self.width != 1.0:
            raise ValueError("pretrained weights are those of width 1: set width=1 (preset demo narrows the net)")


def asked_for(config: SearchConfig) -> Resources:
    """What a training asks for; a supernet of width 1 has 30 M parameters, and peaks at 2.4 GB on a CPU."""
    asked = resources(config)
    wide = config.width > 0.5
    return msgspec.structs.replace(asked, memory_mb=max(asked.memory_mb, 4000)) if wide else asked


KIND = JobKind(
    name="search",
    version=1,
    help="Search shortcuts of VGG19 by gradient: method A (independent gates) or B (competition).",
    config=SearchConfig,
    run="jobs.shortcuts.search:run",
    resources=asked_for,
    presets={"demo": {**DEMO, "readouts": (1, 2, 3), "alpha_lr": 0.1}},
    metrics=(
        Metric(name="val_accuracy", label="validation accuracy", unit="%", per_epoch=True, digits=2),
        Metric(name="gate_sum", label="Σg", per_epoch=True),
        Metric(name="entropy", label="entropy of the gates", unit="nat", per_epoch=True),
        Metric(name="shortcuts", label="shortcuts", per_epoch=True, digits=1),
        Metric(name="target_share", label="share of edges on one block", higher_is_better=False, per_epoch=True),
        Metric(
            name="alpha_eigenvalue", label="largest eigenvalue over α", higher_is_better=False, per_epoch=True, digits=4
        ),
        Metric(
            name="eigenvalue_ratio",
            label="growth of the eigenvalue",
            higher_is_better=False,
            per_epoch=True,
            digits=2,
        ),
        Metric(
            name="discretised_accuracy",
            label="validation accuracy when discretised",
            unit="%",
            per_epoch=True,
            digits=2,
        ),
        *(metric for metric in METRICS if metric.name != "shortcuts"),
    ),
)
