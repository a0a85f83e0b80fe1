"""Names of a command's parameters: none hides what orch gives every job, and no two points are one run."""

from __future__ import annotations

import pytest

from jobs.errors import BadInput
from orchestrator.studyfile.points import Values, expand
from orchestrator.submitting.parameters import reserved, sweep
from orchestrator.tables import keys


def grid(words: list[str]) -> list[Values]:
    """The points of `--grid`."""
    return [point.values for point in expand(sweep(words, ()))]


def test_everything_that_by_knows_is_reserved() -> None:
    assert reserved() >= {*keys.ATTRIBUTES, *keys.DERIVED, "seed", "job", "name", "argv"}


@pytest.mark.parametrize("name", sorted(reserved()))
def test_a_reserved_name_is_refused_in_any_case(name: str) -> None:
    for shown in (name, name.upper(), name.title(), f" {name}", name.replace("_", "-")):
        with pytest.raises(BadInput, match="cannot name a parameter"):
            grid([f"{shown}=1,2"])


def written(words: list[str]) -> list[dict[str, str]]:
    """What the program gets at each point."""
    return [{name: item.written for name, item in point.items()} for point in grid(words)]


def test_other_names_are_points_in_order() -> None:
    assert grid([]) == [{}]
    assert written(["lr=0.1,1e-2", "seed_=5"]) == [{"lr": "0.1", "seed_": "5"}, {"lr": "1e-2", "seed_": "5"}]
    assert [point["lr"].value for point in grid(["lr=0.10,1e-2"])] == ["0.1", "0.01"]


@pytest.mark.parametrize("values", ["0.1,0.10", "1,1.0", "1e3,1000"])
def test_one_value_written_in_two_ways_is_named(values: str) -> None:
    with pytest.raises(BadInput, match="are one number: quote them if they are names"):
        grid([f"lr={values}"])


@pytest.mark.parametrize(("values", "said"), [("a,a", "repeated value 'a'"), ("1,,2", "empty"), ("", "empty")])
def test_one_value_written_twice_is_one_run(values: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        grid([f"lr={values}"])


@pytest.mark.parametrize("values", ["a,A", "1,-1", "0x1,1", "1,nan", "1e999,2e999", "v1,v1.0"])
def test_other_texts_are_other_values(values: str) -> None:
    assert [point["x"] for point in written([f"x={values}"])] == values.split(",")


@pytest.mark.parametrize(("one", "other"), [("lr-a", "lr_a"), ("lr.a", "LR-a"), ("lr", "LR")])
def test_two_names_that_are_one_variable_to_the_program_are_refused(one: str, other: str) -> None:
    with pytest.raises(BadInput, match=f"{one} and {other} are both ORCH_PARAM_LR"):
        grid([f"{one}=1", f"{other}=2"])
