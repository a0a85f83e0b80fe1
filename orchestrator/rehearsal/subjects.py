"""What is rehearsed: a program's words, a study file's experiments, or a job kind, each as one request of one run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from jobs.errors import BadInput
from jobs.kind import kinds
from orchestrator.submitting.program import KIND
from orchestrator.submitting.request import Request
from orchestrator.submitting.study import Part

_EPOCHS = re.compile(r"(?P<flag>-{0,2}[A-Za-z][\w.-]*)=(?P<epochs>[1-9]\d{0,5})")
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h)?")
_SECONDS = {None: 60.0, "m": 60.0, "min": 60.0, "s": 1.0, "sec": 1.0, "h": 3600.0}


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One program or kind that is rehearsed."""

    name: str
    request: Request
    submitted: Request | None = None
    """What its seal is of, where the rehearsal has fewer epochs than a submit."""


def is_kind(words: Sequence[str]) -> bool:
    """Whether these words name a job kind rather than a program."""
    return len(words) == 1 and words[0] in kinds() and words[0] != KIND


def of_part(part: Part, backend: str) -> Subject | None:
    """The first job of an experiment, on that backend; None for one that comes after another, whose output it reads."""
    if part.experiment.after or part.experiment.kind == "table2":
        return None
    request = part.requests[0]
    points = request.points[:1] if request.points is not None else None
    request = replace(request, points=points, backend=backend)
    return Subject(name=part.experiment.name, request=prepared(request))


def prepared(request: Request) -> Request:
    """A kind saves at every epoch, so that there is something to go on from."""
    if request.kind == KIND:
        return request
    return replace(request, options={"checkpoint_every": 0.0, **request.options})


def with_epochs(words: Sequence[str], flag: str) -> list[str]:
    """A command line with another number of epochs: `--epochs=5` replaces what stands after `--epochs`, or behind
    `--epochs=`. Raises BadInput."""
    found = _EPOCHS.fullmatch(flag)
    if found is None:
        raise BadInput(f"--epochs-flag takes FLAG=N, like --epochs=3 (got '{flag}')")
    name, number = found["flag"], found["epochs"]
    made = list(words)
    for place, word in enumerate(words):
        if word.startswith(f"{name}="):
            made[place] = f"{name}={number}"
            return made
        if word == name and place + 1 < len(words):
            made[place + 1] = number
            return made
    raise BadInput(f"--epochs-flag: there is no {name} with a value in the command line")


def seconds(text: str) -> float:
    """`10m`, `90s`, `1h` or minutes without a unit. Raises BadInput."""
    found = _LENGTH.fullmatch(text.strip())
    if found is None or not float(found[1]):
        raise BadInput(f"--budget takes a time like 10m, 90s or 1h (got '{text}')")
    return float(found[1]) * _SECONDS[found[2]]
