"""The points of a program's sweep, held against its arguments. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobs.commands import Parameter, variable
from jobs.errors import BadInput
from jobs.templates import fill, stage_fields, unused
from orchestrator.studyfile.points import Point, expand
from orchestrator.submitting.parameters import FILLED, sweep


def points_of(argv: Sequence[str], grid: Sequence[str], zipped: Sequence[str], *, unused_ok: bool) -> list[Point]:
    """The points of `--grid` and `--zip`. Raises BadInput for a parameter that the command never uses."""
    points = expand(sweep(grid, zipped))
    check_used(argv, points, "--unused-ok", unused_ok=unused_ok)
    return points


def check_used(
    argv: Sequence[str], points: Sequence[Point], allowed_by: str, *, unused_ok: bool, after: str = ""
) -> None:
    """Raise BadInput for a name in the arguments that is a slip, and for a parameter that they never use."""
    for point in points:
        words = (*argv, *point.args)
        check_fields(words, point.values, after)
        idle = unused(words, point.values)
        if idle and not unused_ok:
            raise BadInput(
                f"the command never uses {{{idle[0]}}}: put it into the arguments, or say {allowed_by} where the "
                f"program reads {variable(idle[0])}"
            )


def check_fields(words: Sequence[str], values: Mapping[str, Parameter], after: str) -> None:
    """Raise BadInput for a name in the arguments that is a slip. `after`: the stage before."""
    known = {**dict.fromkeys(FILLED, 0), **stage_fields(words, after)}
    fill(words, {**known, **{name: item.written for name, item in values.items()}})
