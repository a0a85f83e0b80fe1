"""Read-outs of α: both methods, their thresholds, and what is logged about α."""

from __future__ import annotations

from math import exp, log
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.architectures import EDGES
from jobs.errors import BadInput
from jobs.shortcuts.discretise import (
    ALPHA_FILE,
    TARGETS,
    Method,
    discretise,
    entropy,
    gate_sum,
    gates,
    initial_gate,
    keep_alpha,
    read_alpha,
    sources,
    write_alphas,
)

values = st.floats(-6, 6)


def zeros() -> list[list[float]]:
    return [[0.0] * 16 for _ in range(16)]


@st.composite
def alphas(draw: st.DrawFn) -> list[list[float]]:
    alpha = zeros()
    for i, j in EDGES:
        alpha[i][j] = draw(values)
    for j in TARGETS:
        alpha[j][j] = draw(values)
    return alpha


def test_nothing_is_kept_at_the_start() -> None:
    assert discretise(zeros(), "A").edges == ()
    assert discretise(zeros(), "B").edges == ()


def test_a_keeps_any_number_of_edges_of_a_block_at_the_threshold() -> None:
    alpha = zeros()
    alpha[0][5] = alpha[3][5] = log(0.7 / 0.3) + 1e-9
    alpha[1][5] = log(0.69 / 0.31)
    assert discretise(alpha, "A").edges == ((0, 5), (3, 5))
    assert discretise(alpha, "A", 0.69 - 1e-9).edges == ((0, 5), (1, 5), (3, 5))


def test_b_keeps_the_best_edge_where_it_beats_none_and_all_others() -> None:
    alpha = zeros()
    alpha[2][6] = 4.0
    alpha[1][6] = 3.0
    alpha[1][7] = 1.0  # the best of its block, but below 1/2
    assert discretise(alpha, "B").edges == ((2, 6),)
    alpha[6][6] = 9.0  # "none" of block 6 wins
    assert discretise(alpha, "B").edges == ()


@pytest.mark.parametrize(("p", "kept"), [(0.59, False), (0.61, True)])
def test_the_only_edge_of_block_2_must_rise_above_where_it_began(p: float, kept: bool) -> None:
    alpha = zeros()
    alpha[0][2] = log(p / (1 - p))
    assert bool(discretise(alpha, "B").edges) is kept
    assert bool(discretise(alpha, "B", 0.05).edges) is kept


@given(alphas(), st.floats(0.05, 0.9), st.floats(0.0, 0.09))
def test_a_higher_threshold_never_adds_an_edge(alpha: list[list[float]], tau: float, more: float) -> None:
    for method in ("A", "B"):
        low, high = discretise(alpha, method, tau), discretise(alpha, method, tau + more)
        assert set(high.edges) <= set(low.edges)


@given(alphas(), st.floats(0.05, 0.95))
def test_b_reads_out_at_most_one_edge_per_block(alpha: list[list[float]], tau: float) -> None:
    targets = [target for _, target in discretise(alpha, "B", tau).edges]
    assert len(targets) == len(set(targets))


@given(alphas())
def test_gates_are_probabilities_on_edges_only(alpha: list[list[float]]) -> None:
    method: Method
    for method in ("A", "B"):
        gate = gates(alpha, method)
        for i in range(16):
            for j in range(16):
                assert 0 < gate[i][j] < 1 if (i, j) in EDGES else gate[i][j] == 0
        assert gate_sum(alpha, method) == pytest.approx(sum(map(sum, gate)))
    for j in TARGETS:
        total = sum(exp(alpha[i][j]) for i in sources(j))
        expected = total / (total + exp(alpha[j][j]))
        assert sum(row[j] for row in gates(alpha, "B")) == pytest.approx(expected)


def test_initial_gates_are_what_zero_alpha_gives() -> None:
    for method in ("A", "B"):
        gate = gates(zeros(), method)
        assert all(gate[i][j] == pytest.approx(initial_gate(j, method)) for i, j in EDGES)
    assert initial_gate(2, "B") == 0.5


def test_entropy_falls_as_alpha_saturates() -> None:
    start, end = zeros(), zeros()
    for i, j in EDGES:
        end[i][j] = 30.0 if i == 0 else -30.0
    assert entropy(start, "A") == pytest.approx(log(2))
    assert entropy(start, "B") == pytest.approx(sum(log(j) for j in TARGETS) / len(TARGETS))
    assert entropy(end, "A") < 1e-6
    assert entropy(end, "B") < 1e-6


def test_large_alpha_does_not_overflow() -> None:
    alpha = zeros()
    alpha[0][9], alpha[1][9] = 1e6, -1e6
    assert discretise(alpha, "A").edges == ((0, 9),)
    assert discretise(alpha, "B").edges == ((0, 9),)


def test_a_diverged_alpha_is_refused_by_name() -> None:
    alpha = zeros()
    alpha[3][8] = float("nan")
    with pytest.raises(BadInput, match=r"alpha\[3\]\[8\] is nan"):
        discretise(alpha, "A")


def test_bad_shapes_and_thresholds_are_refused() -> None:
    with pytest.raises(BadInput, match="16×16"):
        discretise([[0.0] * 16] * 15, "A")
    with pytest.raises(BadInput, match="tau must lie between 0 and 1"):
        discretise(zeros(), "B", 1.5)


def test_alpha_is_kept_and_read_back_by_epoch(tmp_path: Path) -> None:
    alpha = zeros()
    alpha[0][2] = 0.1234567890123
    (tmp_path / ALPHA_FILE).write_text("of an earlier execution")
    write_alphas(tmp_path, [zeros()], "B")
    keep_alpha(tmp_path, 1, alpha, "B")
    with (tmp_path / ALPHA_FILE).open("ab") as handle:
        handle.write(b'{"epoch": 2, "alp')
    lines = read_alpha(tmp_path)
    assert [line.epoch for line in lines] == [0, 1]
    assert lines[1].alpha == alpha
    assert lines[1].gates == gates(alpha, "B")
