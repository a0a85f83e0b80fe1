"""Names and values of a command's parameters: a name that means something else already is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import msgspec

from jobs.commands import Parameter, distinct, variable
from jobs.errors import BadInput
from jobs.kind import kind_named
from jobs.templates import NAME
from orchestrator.studyfile.points import Sweep
from orchestrator.studyfile.sweeps import rows
from orchestrator.studyfile.values import axis
from orchestrator.submitting.planning import assignments
from orchestrator.tables.keys import ATTRIBUTES, DERIVED

FILLED = ("seed", "job", "out")
"""What orch itself puts into the arguments, by these names."""


@cache
def reserved() -> frozenset[str]:
    """What `--by`, `--filter` and the braces in the arguments know already: a parameter of that name would hide it.

    A parameter `seed` is worse: {seed} becomes its value, so that the jobs of all seeds are one run.
    """
    fields = [field.name for field in msgspec.structs.fields(kind_named("command").config)]
    return frozenset({*FILLED, *ATTRIBUTES, *DERIVED, *fields})


def check_names(names: Iterable[str], option: str) -> None:
    """Raise BadInput for a name that is taken, whatever its case."""
    for name in names:
        plain = name.strip().casefold().replace("-", "_")
        if plain in reserved():
            hint = "--seeds or --seed-list gives the seeds" if plain == "seed" else f"call it '{plain}_' or the like"
            raise BadInput(f"{option} cannot name a parameter '{name}', since orch itself gives every job one: {hint}")


def check_variables(names: Iterable[str], option: str) -> None:
    """Raise BadInput for two parameters that are one environment variable to the program."""
    variables: dict[str, str] = {}
    for name in names:
        other = variables.setdefault(variable(name), name)
        if other != name:
            raise BadInput(
                f"{option} {other} and {name} are both {variable(name)} to the program: call one of them otherwise"
            )


def sweep(grid: Sequence[str], zipped: Sequence[str]) -> Sweep:
    """`--grid lr=0.1,0.01 --grid n=1..10` and `--zip a=1,2 --zip b=x,y`. Raises BadInput."""
    axes = {name: _axis(name, text, "--grid") for name, text in assignments(grid, "--grid").items()}
    columns = {name: _axis(name, text, "--zip") for name, text in assignments(zipped, "--zip").items()}
    both = [name for name in axes if name in columns]
    if both:
        raise BadInput(f"--grid and --zip both give '{both[0]}': keep one of them")
    check_variables(axes, "--grid")
    check_variables([*axes, *columns], "--zip")
    for name, values in axes.items():
        distinct(f"--grid {name}", values)
    return Sweep(grid=axes, zipped=rows(columns, "--zip") if columns else ())


def _axis(name: str, text: str, option: str) -> list[Parameter]:
    check_names([name], option)
    if not NAME.fullmatch(name):
        raise BadInput(
            f"{option} {name}: a parameter's name is a word of letters, digits, '_', '.' and '-', as it stands in "
            f"{{braces}} (got '{name}')"
        )
    try:
        return axis(text)
    except BadInput as error:
        raise BadInput(f"{option} {name}: {error}") from None
