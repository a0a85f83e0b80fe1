"""What tells the jobs of a study apart: what they are given that is not the same everywhere. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import PurePosixPath
from typing import Any

import msgspec

from jobs.commands import canonical_number
from orchestrator.tables import arguments
from orchestrator.tables.values import Name, Sorted, as_data, known_as

HOUSE = "shortcuts"
"""A kind that declares this number is one of the house's study."""
ALIKE = frozenset({"preset", "dataset"})
"""Settings that split tables anyway."""
_CODE_FOLLOWS, _NO_PATH = re.compile(r"-[a-z]*[ce]"), re.compile(r"[\s;(]")
_BRACES = re.compile(r"\{[^{}]*\}")


@cache
def is_house(kind: str) -> bool:
    """Whether a kind is of the house's own study, whose jobs all report accuracy, parameters and shortcuts."""
    from jobs.kind import kinds

    declared = kinds().get(kind)
    return declared is not None and any(metric.name == HOUSE for metric in declared.metrics)


def given(config: Mapping[str, Any]) -> dict[str, Any]:
    """Name → value of all that a job was given: parameters and literal arguments of a program, settings of a kind."""
    argv = config.get("argv")
    if argv is None:
        return {key: found for key, found in config.items() if key not in ALIKE}
    parameters = config.get("parameters") or {}
    quoted = config.get("quoted") or ()
    found: dict[str, Any] = {"folder": config["folder"]} if config.get("folder") else {}
    for place, word in enumerate(arguments.positional(argv), 1):
        if not _BRACES.search(word):
            found[f"argument {place}"] = word
    found |= arguments.given(argv)
    line = " ".join(map(str, argv))
    for name in sorted(parameters, key=lambda name: (line.find(f"{{{name}}}") % (len(line) + 1), name)):
        text = parameters[name]
        if isinstance(text, str):
            text = Name(text) if name in quoted else canonical_number(text) or text
        found[name] = text
    return found


@lru_cache(maxsize=1024)
def encoded(config: str) -> msgspec.Raw:
    """What a job with that config (JSON) was given, by name, as JSON: numbers as numbers."""
    found = given(msgspec.json.decode(config))
    return msgspec.Raw(msgspec.json.encode({name: as_data(value) for name, value in found.items()}))


def program(config: Mapping[str, Any]) -> str:
    """Which program a job runs, in a word: `train.py`; of code itself (`sh -c TEXT`) the text. Empty for a kind."""
    words = arguments.program(config.get("argv") or ())
    if not words:
        return ""
    if any(_CODE_FOLLOWS.fullmatch(word) for word in words[1:-1]) and _NO_PATH.search(words[-1]):
        return " ".join(words[1:])
    return " ".join([*(word for word in words[1:-1] if word != "-m"), PurePosixPath(words[-1]).name])


def varying(configs: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The names of what differs between jobs of one program, in the order in which its command line has them."""
    programs: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for config in configs:
        programs.setdefault(arguments.program(config.get("argv") or ()), []).append(given(config))
    found: dict[str, None] = {}
    for jobs in programs.values():
        names = dict.fromkeys(name for job in jobs for name in job)
        for name in names:
            if _differs(job.get(name) for job in jobs):
                found[name] = None
    return tuple(found)


def _differs(values: Iterable[Any]) -> bool:
    first: Sorted | None = None
    for value in values:
        known = known_as(value)
        if first is None:
            first = known
        elif known != first:
            return True
    return False


_IMPORTANT = (
    r"acc|f1|auc|map\b|map@|bleu|rouge|score|reward|return|precision|recall|iou|dice|psnr|ssim|r2|top",
    r"loss|err|mse|mae|nll|ppl|perplex|wer|cer|fid|bpc|bpd",
)
_PARTS = (r"test|eval|\bbest", r"val|dev", r"train")
_ASIDE = r"(^|[^a-z])(epochs?|steps?|iter\w*|sec\w*|time|wall\w*|lr|learning.rate|mem\w*|speed|\w*per.s\w*)([^a-z]|$)"


def by_importance(names: Iterable[str]) -> list[str]:
    """Names of numbers, those first that a person looks for: qualities, then losses, all else, times and steps."""
    return sorted(dict.fromkeys(names), key=_importance)


def _importance(name: str) -> tuple[int, int, str]:
    small = name.casefold().replace("_", " ")
    if re.search(_ASIDE, small):
        return len(_IMPORTANT) + 1, 0, name
    rank = next((place for place, form in enumerate(_IMPORTANT) if re.search(form, small)), len(_IMPORTANT))
    part = next((place for place, form in enumerate(_PARTS) if re.search(form, small)), 1)
    return rank, part, name
