"""Rules that say when there are enough seeds are wrong in 5 of 100 studies at most (enough.py has what is simulated).

ORCH_STUDIES: how many of each kind (`make until`: 10,000).
"""

from __future__ import annotations

import os
from math import sqrt

import numpy as np
import pytest

from tests.simulation.enough import (
    EFFECTS,
    NULL,
    Draw,
    Tally,
    at_once,
    bets,
    many,
    margin_one_by_one,
    margins,
    rule,
    study,
)

STUDIES = int(os.environ.get("ORCH_STUDIES", "60"))
AT_MOST = 30 if STUDIES >= 500 else 14
ALPHA = 0.05
EXCHANGEABLE = sorted(set(NULL) - {"one-sided"})
HOW = {"": {}, ", or futile": {"futile": True}, ", anytime": {"anytime": True}}


def become(how: str, draw: Draw) -> Tally:
    """What becomes of so many studies, by the fast way of that kind of rule."""
    plan = rule(AT_MOST, **HOW[how])
    return bets(plan, draw, STUDIES) if plan.anytime else many(plan, draw, STUDIES, at_once)


def most(share: float, errors: float = 4.0) -> float:
    """What so many studies of that true share show at most, but for one time in 30,000."""
    return share + errors * sqrt(share * (1 - share) / STUDIES)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", EXCHANGEABLE)
def test_exchangeable_pairs_are_decided_falsely_in_five_percent_at_most(name: str, how: str) -> None:
    found = become(how, NULL[name])
    print(f"no difference, {name}{how}: {found.line()}")
    assert found.decided <= most(ALPHA, 3.0 if STUDIES >= 500 else 4.0)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_true_differences_are_found_with_fewer_seeds(name: str, how: str) -> None:
    found = become(how, EFFECTS[name])
    print(f"difference, {name}{how}: {found.line()}")
    assert found.verdicts["opposite"] <= 0.01 * found.studies + 1
    assert found.seeds <= AT_MOST * found.studies
    if name == "normal 1.2":
        assert found.decided > (0.9 if AT_MOST == 30 else 0.6)


@pytest.mark.parametrize("how", ["", ", or futile"])
def test_all_looks_at_once_are_what_looks_one_by_one_are(how: str) -> None:
    """The fast way of the tests above, against the way that the supervisor goes."""
    for draw in (NULL["tied"], EFFECTS["normal 0.8"]):
        for seed in range(min(STUDIES, 20)):
            plan = rule(AT_MOST, **HOW[how])
            assert at_once(plan, draw, seed)[:2] == study(plan, draw, seed)[:2]


@pytest.mark.parametrize("name", ["tied", "wild", "normal"])
def test_all_bets_at_once_are_what_looks_one_by_one_are(name: str) -> None:
    plan, few = rule(AT_MOST, anytime=True), min(STUDIES, 40)
    for draw in (NULL[name], EFFECTS["normal 0.8"]):
        assert bets(plan, draw, few) == many(plan, draw, few, study)


def test_all_margins_at_once_are_what_looks_one_by_one_are() -> None:
    for margin in (0.4, 0.6):
        found, few = [], min(STUDIES, 60)
        for seed in range(few):
            values = np.random.default_rng([20261127, seed]).normal(0, 1, 30)
            found.append(margin_one_by_one(margin, values))
        whole = margins(margin, lambda rng, n: rng.normal(0, 1, n), few)
        assert whole.verdicts["precise"] == sum(word == "precise" for word, _, _ in found)
        assert whole.covered == sum(holds for word, _, holds in found if word == "precise")
        assert whole.seeds == sum(n for _, n, _ in found)


@pytest.mark.parametrize("name", ["normal", "skewed"])
def test_failures_that_are_bad_runs_decide_nothing_falsely(name: str) -> None:
    """Seeds that fail for good, more often where they would have been bad, hold the decision."""
    studies = min(STUDIES, 1000)
    found = many(rule(AT_MOST), NULL[name], studies, lambda *given: study(*given, failing=0.02))
    print(f"no difference, {name}, and 1 in 100 fails, a bad one: {found.line()}")
    assert found.verdicts["held"] > 0
    assert found.decided <= ALPHA + 4.0 * sqrt(ALPHA / studies)


def test_skewed_differences_of_mean_zero_are_measured() -> None:
    """No promise is made for these: the docs say what is seen."""
    for how in HOW:
        found = become(how, NULL["one-sided"])
        print(f"mean zero but skewed, not exchangeable{how}: {found.line()}")
        assert found.decided <= most(0.2)


def test_margins_are_measured() -> None:
    draws = {
        "normal": lambda rng, n: rng.normal(0, 1, n),
        "skewed": lambda rng, n: rng.exponential(1.0, n) - 1.0,
    }
    for name, draw in draws.items():
        for margin in (0.4, 0.6):
            found = margins(margin, draw, STUDIES)
            ended = found.verdicts["precise"]
            share = found.covered / ended if ended else float(np.nan)
            print(
                f"± {margin} standard deviations, {name}: {100 * ended / STUDIES:.1f} % end with "
                f"{found.seeds / STUDIES:.1f} seeds; of these intervals {100 * share:.1f} % hold the mean"
            )
            assert ended and share > (0.85 if name == "normal" else 0.7)
