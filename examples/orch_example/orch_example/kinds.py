"""The declaration: everything that `orch submit darts` needs to know."""

from typing import Annotated

import msgspec

from jobs.kind import Config, JobKind, Metric
from jobs.resources import Resources


class DartsConfig(Config, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How many darts are thrown, in how many rounds."""

    darts: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    rounds: Annotated[int, msgspec.Meta(ge=1)] = 10


KIND = JobKind(
    name="darts",
    version=1,
    help="Estimate pi by throwing darts at a square.",
    config=DartsConfig,
    run="orch_example.work:run",
    resources=lambda config: Resources(cpus=1, memory_mb=200, minutes=10),
    presets={"demo": {"darts": 1_000}},
    metrics=(
        Metric(name="pi", label="π", per_epoch=True),
        Metric(name="error", label="|π - estimate|", higher_is_better=False),
    ),
    needs_data=False,
)
