"""The sign-flip test over looks: against scipy's, against all ways to flip, and its error over all of them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from orchestrator.stopping.flips import GENERATORS, Flips, _signs
from orchestrator.stopping.planning import plan
from orchestrator.stopping.spending import ALPHA, spent

NUMBERS = st.lists(st.one_of(st.floats(-10, 10), st.integers(-2, 2).map(float)), min_size=5, max_size=9)


def one_look(differences: list[float]) -> Flips:
    return Flips(differences, [len(differences)], len(differences))


@given(differences=NUMBERS)
@settings(deadline=None, max_examples=40)
def test_one_look_is_scipys_permutation_test(differences: list[float]) -> None:
    given_ = np.round(np.array(differences) * 8) / 8  # sums without rounding, of which scipy would make no ties
    expected = stats.permutation_test(
        (given_,), lambda x, axis: np.abs(np.mean(x, axis=axis)), permutation_type="samples", n_resamples=np.inf,
        alternative="greater", vectorized=True,
    ).pvalue  # fmt: skip
    assert one_look(given_.tolist()).p() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "sizes",
    [
        [1.0] * 10,
        [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 0.0, 0.0, 1.0, 2.0],
        [2.0**i for i in range(10)],
        [0.7**i for i in range(10)],
        [0.1, 3.0, 0.5, 40.0, 0.2, 0.9, 1.1, 7.0, 0.4, 2.2],
    ],
)
def test_of_all_ways_to_flip_at_most_five_percent_decide(sizes: list[float]) -> None:
    """No simulation: every way, at looks after 8, 9 and 10; p is that of the look that decides."""
    looks = plan(10)
    found = [
        Flips([sign * size for sign, size in zip((1, *signs), sizes, strict=True)], looks, 10).p() <= ALPHA
        for signs in product((1, -1), repeat=9)
    ]
    assert 0.0 < sum(found) / len(found) <= ALPHA


def test_beyond_all_ways_a_group_of_them_is_taken() -> None:
    """A group: closed under flipping twice, so that the test holds for it exactly; a shorter one is its beginning."""
    signs = _signs(40)
    assert signs.shape == (2**GENERATORS, 40) and (signs[0] == 1).all()
    rows = {row.tobytes() for row in signs}
    assert len(rows) == 2**GENERATORS
    for one, other in np.random.default_rng(1).integers(0, len(signs), size=(50, 2)):
        assert (signs[one] * signs[other]).tobytes() in rows
    assert (signs[:, :25] == _signs(25)).all()
    assert np.abs(signs.mean(axis=0, dtype=np.float64)).max() == 0.0, "each pair is flipped in half of them"


def test_a_group_gives_nearly_what_all_ways_give() -> None:
    differences = np.random.default_rng(3).normal(0.45, 1.0, 40)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(4)
    ).pvalue
    assert one_look(differences.tolist()).p() == pytest.approx(expected, rel=0.25)


@given(differences=NUMBERS, scale=st.sampled_from([1e-300, 1e-3, 3.0, 1e300]))
@settings(deadline=None, max_examples=40)
def test_neither_scale_nor_side_changes_p(differences: list[float], scale: float) -> None:
    rounded = [round(one, 2) for one in differences]
    p = one_look(rounded).p()
    assert one_look([-one for one in rounded]).p() == p
    assert one_look([one * scale for one in rounded]).p() == p


def test_a_later_look_takes_out_what_an_earlier_one_did() -> None:
    differences = [1.0] * 9 + [-0.5]
    alone, after = one_look(differences).p(), Flips(differences, [8, 9, 10], 10).p()
    assert after <= spent(0.8) < 0.05 and alone == 2 / 2**10 * 2
    assert Flips(differences, [8, 9, 10], 10).p() == Flips(differences[:8], [8], 10).p(), "it had decided at 8"


@given(seed=st.integers(0, 10**6), n=st.sampled_from([8, 9, 10]))
@settings(deadline=None, max_examples=15)
def test_the_interval_leaves_zero_out_where_the_test_decides(seed: int, n: int) -> None:
    differences = np.random.default_rng(seed).normal(0.9, 1.0, n).tolist()
    looks = [look for look in (8, 9, 10) if look <= n]
    flips = Flips(differences, looks, 10)
    interval = flips.interval()
    assert interval is not None and interval.low < np.mean(differences) < interval.high
    assert (interval.low > 0 or interval.high < 0) == (flips.p() <= spent(n / 10))


def test_one_look_inverts_to_subset_means() -> None:
    """Hartigan (J. Am. Stat. Assoc. 64, 1969): the ends are order statistics of the means of all subsets."""
    differences = np.random.default_rng(8).normal(1.0, 2.0, 9)
    masks = (np.arange(1, 2**9)[:, None] >> np.arange(9)) & 1
    means = np.sort(masks @ differences / masks.sum(axis=1))
    interval = one_look(differences.tolist()).interval()
    assert interval is not None
    k = int(0.025 * 2**9)  # the empty subset is one of the 2^9
    assert interval.low == pytest.approx(means[k - 1], abs=1e-4)
    assert interval.high == pytest.approx(means[-k], abs=1e-4)


def test_what_does_not_vary_has_no_interval() -> None:
    assert one_look([1.0] * 8).interval() is None


def test_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError):
        Flips([], [], 10)
    with pytest.raises(ValueError):
        Flips([1.0, 2.0], [1], 10)
