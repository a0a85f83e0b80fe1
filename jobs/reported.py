"""What a program's job reports besides ORCH_RESULT and ORCH_METRICS, and what its numbers are called. Pure.

Declared by options of `orch submit command` or by a study file. These are terms of a job: no part of what it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from jobs.metrics import PLACE

Better = Literal["", "higher", "lower"]
MOST_DIGITS = 12
MISSING = "not found"
"""Names the remark on metrics that were declared and that nothing gave."""


class Declared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One metric: where it is found in what the program prints, and how it is shown."""

    pattern: str = ""
    """A regular expression on one printed line; its group is the value. Empty: the value comes from elsewhere."""
    label: str = ""
    unit: str = ""
    digits: int | None = None
    """Decimals that tables show; None: as many as the spread of the values gives a meaning."""
    better: Better = ""
    """Which way is better; empty: as the name says."""

    @property
    def higher_is_better(self) -> bool | None:
        """None where nobody said."""
        return None if not self.better else self.better == "higher"


class Reported(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a program's numbers are, and what they are."""

    result_files: tuple[str, ...] = ()
    """Paths with {out}, {seed}, {job} and parameters in them; relative ones are of the program's working folder."""
    metrics: dict[str, Declared] = msgspec.field(default_factory=dict)
    """By name. `epoch` and `epochs` say where the others stand."""
    tensorboard: tuple[str, ...] = ()
    """Folders of event files, written like result files."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Reported:
        """What the options of a job's terms hold of it."""
        return msgspec.convert({name: options[name] for name in FIELDS if name in options}, cls)

    def options(self) -> dict[str, Any]:
        """The options that hold it: one for each way, so that naming one again leaves the others."""
        plain = msgspec.to_builtins(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items() if value}

    @property
    def expected(self) -> list[str]:
        """The metrics that the result should have."""
        return [name for name in self.metrics if name not in PLACE]


FIELDS = tuple(Reported.__struct_fields__)

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_LOWER = re.compile(
    "loss|losses|err|errors?|perplexity|ppl|fid|kid|rmse|mse|mae|mape|nll|wer|cer|eer|bpc|bpb|times?|seconds|"
    "latency|runtime|duration|regret|memory|flops|macs|ece|brier"
)
_HIGHER = re.compile(
    "acc|accuracy|accuracies|top|auc|auroc|auprc|ap|map|mrr|ndcg|f|bleu|rouge|meteor|cider|chrf|iou|miou|dice|psnr|ssim|"
    "recall|precision|sensitivity|specificity|scores?|rewards?|returns?|throughput|kappa|mcc"
)


def higher_is_better(name: str, declared: Mapping[str, Declared] | None = None) -> bool:
    """Which way is better: as declared, else by the last word of the name that tells ('val/top1_err' is an error)."""
    told = told_direction(name, declared)
    return "loss" not in name.lower() if told is None else told


def told_direction(name: str, declared: Mapping[str, Declared] | None = None) -> bool | None:
    """The same; None where neither a declaration nor a word of the name tells."""
    said = declared[name].higher_is_better if declared and name in declared else None
    if said is not None:
        return said
    words = [word.lower() for word in _WORDS.findall(name)]
    for word in reversed(words):
        if _LOWER.fullmatch(word):
            return False
        if _HIGHER.fullmatch(word):
            return True
    return False if "loss" in name.lower() else None


def title(name: str, declared: Mapping[str, Declared] | None = None) -> str:
    """Its label, else its name; with the unit in brackets where it has one."""
    one = declared.get(name) if declared else None
    if one is None:
        return name
    return f"{one.label or name} ({one.unit})" if one.unit else one.label or name
