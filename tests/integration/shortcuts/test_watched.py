"""A search under watch: the eigenvalue is that of the full Hessian, and looking changes no bit of the search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from jobs.kind import kind_named
from jobs.shortcuts import curvature, discretise
from jobs.shortcuts.discretise import Method
from jobs.shortcuts.search import Searcher, run
from jobs.shortcuts.supernet import Gated, Supernet, gate_matrix
from jobs.training import data
from tests.helpers.context import MemoryContext
from tests.integration.shortcuts.test_search import config

WATCHED = {"alpha_eigenvalue"}


@pytest.mark.parametrize("method", ["A", "B"])
def test_the_eigenvalue_is_that_of_the_full_hessian(method: Method) -> None:
    """On a tiny net whose 16 units are joined by the gates; a full Hessian of the supernet takes minutes."""
    generator = torch.Generator().manual_seed(3)
    images, into, out = (torch.randn(*size, generator=generator).double() for size in ((40, 6), (6, 16), (16, 10)))
    labels = torch.randint(0, 10, (40,), generator=generator)
    alpha = torch.randn(16, 16, generator=generator).double().requires_grad_(True)

    def loss(at: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(images @ into)
        return functional.cross_entropy(torch.tanh(hidden @ gate_matrix(at, method)) @ out, labels)

    before = alpha.detach().clone()
    found = curvature.largest_eigenvalue(lambda: loss(alpha), alpha, method, tolerance=1e-6)
    full = torch.autograd.functional.hessian(loss, alpha.detach()).reshape(256, 256)
    where = curvature.moved(alpha, method).flatten()
    assert int(where.sum()) == {"A": 105, "B": 119}[method]
    assert float(full[~where].abs().max()) == 0.0  # what is left out has no say
    wanted = torch.linalg.eigvalsh(full)[-1].item()
    assert wanted > 1e-3
    assert found == pytest.approx(wanted, rel=1e-4)
    assert torch.equal(alpha, before)
    assert alpha.grad is None
    rough = curvature.largest_eigenvalue(lambda: loss(alpha), alpha, method)
    assert rough == pytest.approx(wanted, rel=0.05)


def test_an_eigenvalue_of_nothing_finite_is_none() -> None:
    alpha = torch.zeros(16, 16, requires_grad=True)
    assert curvature.largest_eigenvalue(lambda: (alpha * float("nan")).sum() ** 2, alpha, "A") is None


def test_a_watched_search_is_the_same_bit_by_bit(tmp_path: Path) -> None:
    results: list[Mapping[str, float | None]] = []
    contexts = []
    for every in (0, 2):
        torch.manual_seed(0)
        context = MemoryContext(config(eigenvalue_every=every), tmp_path / str(every))
        results.append(run(context))
        contexts.append((context, torch.get_rng_state()))
    (plain, state), (watched, state_after) = contexts
    assert torch.equal(state, state_after)
    assert [set(line.values) & WATCHED for line in plain.lines] == [set(), set(), set()]
    assert [set(line.values) & WATCHED for line in watched.lines] == [set(), WATCHED, WATCHED]
    assert discretise.read_alpha(plain.folder) == discretise.read_alpha(watched.folder)
    left_out = {"images_per_second", "wall_seconds", *WATCHED}
    for one, two in zip(plain.lines, watched.lines, strict=True):
        assert {k: v for k, v in one.values.items() if k not in left_out} == {
            k: v for k, v in two.values.items() if k not in left_out
        }
    kept = [{k: v for k, v in one.items() if k not in left_out} for one in results]
    assert kept[0] == kept[1]
    assert plain.architectures == watched.architectures


def test_discretising_draws_nothing_and_is_of_the_read_out(tmp_path: Path) -> None:
    images = data.load("digits")
    searcher = Searcher(Gated(Supernet(1 / 32), "A"), images, config(), 0, "fp32", tmp_path)
    state = torch.get_rng_state()
    found = discretise.discretise([[9.0 if (i, j) in {(0, 3), (1, 3), (4, 9)} else -9.0 for j in range(16)]
                                   for i in range(16)], "A")  # fmt: skip
    accuracy = searcher._discretised(found)
    assert torch.equal(torch.get_rng_state(), state)
    edges = torch.zeros(16, 16)
    for i, j in found.edges:
        edges[i, j] = 1.0
    searcher.gated.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(searcher.validator.split), 500):
            part = searcher.validator.split[start : start + 500]
            logits = searcher.gated.supernet(searcher.validator._normalise(part.images), edges)
            right += int((logits.argmax(1) == part.labels).sum())
    assert accuracy == pytest.approx(100.0 * right / len(searcher.validator.split), abs=1.0)


def test_the_share_on_one_block() -> None:
    assert discretise.target_share(()) is None
    assert discretise.target_share([(0, 3)]) == 1.0
    assert discretise.target_share([(0, 3), (1, 3), (0, 5), (0, 6)]) == 0.5


def test_looking_is_no_part_of_an_unwatched_job() -> None:
    kind = kind_named("search")
    plain = kind.configure({"method": "A"})
    assert kind.keys(plain, [0]) == kind.keys(kind.configure({"method": "A", "eigenvalue_every": 0}), [0])
