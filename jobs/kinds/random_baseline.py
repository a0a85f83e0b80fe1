"""`random-baseline`: train a random architecture from scratch, drawn from the seed, or matched to a searched one."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from jobs.architectures import EDGES
from jobs.kind import JobKind
from jobs.training.recipe import DEMO, METRICS, Count, Recipe, resources

LEAST, MOST = 4, 20
"""Range of the number of shortcuts where none is given: about that of the report's searched nets (5.8 to 18.9)."""


class RandomBaselineConfig(Recipe, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """`shortcuts`: how many, -1 = drawn from 4…20 by the seed. With `search`: matched to its read-out."""

    shortcuts: Annotated[int, msgspec.Meta(ge=-1, le=len(EDGES))] = -1
    match: Literal["none", "count", "count+params", "indegree"] = "none"
    search: Count = 0
    """Job id of the search."""
    search_epoch: Count = 0
    method: Literal["", "A", "B"] = ""
    pretrained: bool = False
    """Whether that search began from pretrained weights (names the table's row; this training starts from scratch)."""
    repeat: Count = 0
    """Another training of the same architecture."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.match != "none") != (self.search != 0):
            raise ValueError("match and search belong together: give both, or neither")
        if self.search and not self.method:
            raise ValueError("a matched baseline needs the search's method (A or B)")
        if self.search and self.shortcuts != -1:
            raise ValueError("shortcuts cannot be given for a matched baseline: the searched net sets their number")


KIND = JobKind(
    name="random-baseline",
    version=1,
    help="Train VGG19 with random shortcuts from scratch, one architecture per seed.",
    config=RandomBaselineConfig,
    run="jobs.shortcuts.evaluation:random_baseline",
    resources=resources,
    presets={"demo": DEMO},
    metrics=METRICS,
)
