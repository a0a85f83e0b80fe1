"""`evaluate`: train a given or a searched architecture from scratch."""

from __future__ import annotations

from typing import Literal

import msgspec

from jobs import architectures
from jobs.errors import BadInput
from jobs.kind import JobKind
from jobs.training.recipe import DEMO, METRICS, Count, Recipe, resources


class EvaluateConfig(Recipe, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """`architecture`: 'vgg19', an edge list such as '0-2,3-7', or a JSON file, which is read at once and kept as edges.

    Or `search`: the architecture that this search job read out at `search_epoch`.
    """

    architecture: str = ""
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
        if bool(self.architecture) == bool(self.search):
            raise ValueError(
                "evaluate needs one of architecture (vgg19, an edge list such as 0-2,3-7, or a .json file) and search"
            )
        if self.architecture:
            try:
                edges = architectures.parse(self.architecture)
            except BadInput as error:
                raise ValueError(str(error)) from None
            # one text for one architecture, so that it is one job however it was written
            msgspec.structs.force_setattr(self, "architecture", architectures.text_of(edges))


KIND = JobKind(
    name="evaluate",
    version=1,
    help="Train VGG19 or VGG19 with given shortcuts from scratch.",
    config=EvaluateConfig,
    run="jobs.shortcuts.evaluation:evaluate",
    resources=resources,
    presets={"demo": DEMO},
    metrics=METRICS,
)
