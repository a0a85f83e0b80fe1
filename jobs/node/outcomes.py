"""Making an outcome of whatever happened, and JSON of every outcome: an error while writing it is an outcome too."""

from __future__ import annotations

import contextlib
import math
import traceback
from typing import Any

import msgspec

from jobs.errors import OrchError
from jobs.files import encode, now
from jobs.node.disks import Disks, of_exception
from jobs.node.endings import CommandFailed, cause_of
from jobs.records import Outcome
from jobs.words import Cause

NEEDED = ("architecture", "architectures", "state", "spawn")
"""Fields that other jobs go on from: without one of them a success would be none."""
TEXTS = ("error", "traceback", "dataset", "device", "device_name")
LONGEST_TEXT = 1 << 20
LEFT_OUT = "left out of the outcome"


def failure(error: BaseException, disks: Disks | None) -> Outcome:
    """The outcome of a job that raised. A disk that was full or failing then is the machine's fault, not the job's."""
    cause, text, which = cause_of(error), last_line(error), ""
    if cause is Cause.ERROR:
        said = of_exception(error)
        trouble = disks.trouble(text) if disks is not None else None
        if trouble is not None:
            which, sentence = trouble
            cause, text = Cause.NODE_FAILURE, f"{text}; {sentence}"
        elif said is not None:
            which, cause, text = "disk", Cause.NODE_FAILURE, f"{text}; {said}"
    shown = "".join(traceback.format_exception(error))
    node = error.node if isinstance(error, CommandFailed) else ""
    return Outcome(ending="failure", cause=cause, error=text, node=node, disk=which, traceback=shown, at=now())


def last_line(error: BaseException) -> str:
    """What `status` shows of an exception: our own in plain words, others with their class."""
    if isinstance(error, SystemExit):
        return f"the job called sys.exit({error.code!r}) instead of returning its result"
    return str(error) if isinstance(error, OrchError) else traceback.format_exception_only(error)[-1].strip()


def encoded(outcome: Outcome) -> bytes:
    """The outcome as JSON that can be read again; what cannot be written is left out and named."""
    try:
        return _checked(outcome)
    except Exception as error:  # whatever a job has put into it: it must not cost the run
        return _checked(_reduced(outcome, f"{type(error).__name__}: {error}"))


def _checked(outcome: Outcome) -> bytes:
    """JSON that is an Outcome again. Raises whatever stands against it."""
    data = encode(outcome)
    msgspec.json.decode(data, type=Outcome)
    return data + b"\n"


def _reduced(outcome: Outcome, why: str) -> Outcome:
    """The outcome with its numbers and what else can be written; a success that lacks what others need is a failure."""
    kept = Outcome(ending=outcome.ending, cause=outcome.cause, at=outcome.at)
    missing = []
    result: dict[str, float | None] = {}
    given: dict[Any, Any] = dict(outcome.result)
    for name, value in given.items():
        number = _number(value)
        if number is None and value is not None:
            missing.append(f"result {name!s:.100}")
        result[str(name)] = number
    kept = msgspec.structs.replace(kept, result=result)
    for field in Outcome.__struct_fields__:
        if field in ("ending", "cause", "at", "result", "format"):
            continue
        value = getattr(outcome, field)
        if field in TEXTS and value is not None:
            value = str(value)[-LONGEST_TEXT:]
        try:
            with_it = msgspec.structs.replace(kept, **{field: value})
            _checked(with_it)
            kept = with_it
        except Exception:  # as above
            missing.append(field)
    flags = {**kept.flags, LEFT_OUT: f"{', '.join(missing)} ({why[:300]})"}
    if outcome.ending == "success" and (lost := [field for field in NEEDED if field in missing]):
        text = f"its outcome cannot be written: {', '.join(lost)} ({why[:300]})"
        return msgspec.structs.replace(kept, ending="failure", cause=Cause.ERROR, error=text, flags=flags)
    return msgspec.structs.replace(kept, flags=flags)


def _number(value: Any) -> float | None:
    """A finite number, also of numpy or torch."""
    with contextlib.suppress(Exception):
        number = float(value)
        return number if math.isfinite(number) and not isinstance(value, str | bytes) else None
    return None
