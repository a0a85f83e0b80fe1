"""What a look says, and after how many seeds it is looked."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from scipy import stats

from db.stopping import DECIDED, FUTILE, GOES_ON, OPPOSITE, PRECISE, UNDECIDED, Look, Rule, Side
from jobs.errors import BadInput
from orchestrator.stopping.deciding import conditional_power, decide
from orchestrator.stopping.planning import FIRST, MOST, plan

AT = datetime(2026, 11, 26, tzinfo=UTC)


def rule(at_most: int = 10, **more: object) -> Rule:
    margin = more.get("margin") is not None
    how = {name: bool(more.get(name)) for name in ("futile", "anytime")}
    sides = (Side("a", 1),) if margin else (Side("a", 1), Side("b", 2))
    looks = plan(at_most, margin=margin, **how)
    return Rule(study="s", text="t", metric="m", sides=sides, at_most=at_most, looks=looks, at=AT, **more)  # type: ignore[arg-type]


def look(rule: Rule, differences: list[float]) -> Look:
    return decide(rule, [differences, [0.0] * len(differences)], AT)


def drawn(n: int, effect: float, seed: int = 0) -> list[float]:
    return np.random.default_rng(seed).normal(effect, 1.0, n).tolist()


def test_a_look_goes_on_decides_either_way_or_ends() -> None:
    strong, none = drawn(10, 3.0), drawn(10, 0.0, 1)
    assert look(rule(), strong[:8]).verdict == DECIDED
    assert look(rule(less=True), strong[:8]).verdict == OPPOSITE
    assert look(rule(), [-one for one in strong[:8]]).verdict == OPPOSITE
    first = look(rule(), none[:8])
    assert (first.verdict, first.seeds, first.low) == (GOES_ON, 9, None)
    last = look(rule(), none)
    assert last.verdict == UNDECIDED and last.seeds == 0
    assert last.low is not None and last.high is not None and last.low < 0 < last.high


def test_what_was_decided_has_an_interval_without_zero() -> None:
    for how in ({}, {"anytime": True}):
        found = look(rule(20, **how), drawn(10, 3.0))
        assert found.verdict == DECIDED
        assert found.low is not None and 0 < found.low < 3.0 < found.high


def test_zero_variance_decides_nothing() -> None:
    for n in (8, 10):
        found = decide(rule(), [[1.5] * n, [1.0] * n], AT)
        assert found.verdict == (UNDECIDED if n == 10 else GOES_ON)
        assert found.p is None and "do not vary" in found.why
    assert decide(rule(margin=0.2), [[1.0] * 10], AT).verdict == UNDECIDED


def test_a_margin_is_the_t_interval() -> None:
    values = drawn(10, 90.0)
    half = stats.t.ppf(0.975, 9) * np.std(values, ddof=1) / np.sqrt(10)
    found = decide(rule(margin=float(half) * 1.001), [values], AT)
    assert found.verdict == PRECISE
    assert found.mean == pytest.approx(np.mean(values)) and found.high - found.mean == pytest.approx(half)
    assert decide(rule(margin=float(half) * 0.999), [values], AT).verdict == UNDECIDED


def test_futile_where_the_maximum_would_hardly_decide() -> None:
    flat = [0.1, -0.1, 0.2, -0.2, 0.05, -0.02]
    found = look(rule(30, futile=True), flat)
    assert found.verdict == FUTILE and conditional_power(rule(30, futile=True), flat) < 0.1
    strong = drawn(6, 1.5)
    assert look(rule(30, futile=True), strong).verdict == GOES_ON
    assert conditional_power(rule(30, futile=True), strong) > 0.5


def test_numbers_beyond_all_floats_decide_nothing() -> None:
    huge = [1e308 * (-1) ** i for i in range(10)]
    found = decide(rule(), [huge, [-one for one in huge]], AT)
    assert found.verdict == UNDECIDED and found.p is None
    large = [8e307 * (1 + i / 10) for i in range(10)]
    assert decide(rule(), [large, [0.0] * 10], AT).high is not None


@pytest.mark.parametrize("at_most", [7, 10, 13, 20, 30, 47, 100, 1000])
@pytest.mark.parametrize("how", [{}, {"futile": True}, {"anytime": True}, {"margin": True}])
def test_looks_are_planned_before_the_first(at_most: int, how: dict[str, bool]) -> None:
    looks = plan(at_most, **how)
    assert list(looks) == sorted(set(looks)) and looks[-1] == at_most and looks[0] >= FIRST and len(looks) <= 10


@pytest.mark.parametrize(
    ("at_most", "how", "said"),
    [(5, {}, "it takes 6"), (0, {}, "from 5"), (MOST + 1, {}, "from 5"), (6, {"anytime": True}, "it takes 7"),
     (4, {"margin": True}, "it takes 5")],
)  # fmt: skip
def test_a_maximum_that_can_decide_nothing_is_refused(at_most: int, how: dict[str, bool], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        plan(at_most, **how)


def test_values_that_are_no_look_are_refused() -> None:
    for values in ([[1.0] * 7, [1.0] * 7], [[1.0] * 8, [1.0] * 9]):
        with pytest.raises(ValueError, match="no look"):
            decide(rule(), values, AT)
