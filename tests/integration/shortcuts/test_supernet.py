"""The supernet against the net that it stands for."""

from __future__ import annotations

from random import Random

import pytest
import torch

from jobs import architectures
from jobs.shortcuts import discretise
from jobs.shortcuts.discretise import Method
from jobs.shortcuts.matching import draw
from jobs.shortcuts.supernet import Supernet, frozen_statistics, gate_matrix
from jobs.shortcuts.vgg import Network

WIDTH = 1 / 32


def supernet(seed: int = 0, width: float = WIDTH) -> Supernet:
    net = Supernet(width)
    net.initialise(torch.Generator().manual_seed(seed))
    net.double()
    with torch.no_grad():  # statistics that a mix-up would show
        generator = torch.Generator().manual_seed(seed + 1)
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 1.5, generator=generator)  # type: ignore[union-attr]
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.1, generator=generator)
    return net


def images(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def binary(edges: tuple[tuple[int, int], ...]) -> torch.Tensor:
    gates = torch.zeros(16, 16, dtype=torch.float64)
    for i, j in edges:
        gates[i, j] = 1
    return gates


@pytest.mark.parametrize("count", [0, 7, 105])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("width", [WIDTH, 1 / 64])
def test_the_discretised_net_equals_the_supernet_with_those_gates(count: int, training: bool, width: float) -> None:
    net = supernet(width=width).train(training)
    edges = draw(count, "A", Random(4))
    small = net.discretised(edges).train(training)
    with torch.no_grad():
        torch.testing.assert_close(small(images()), net(images(), binary(edges)), rtol=1e-9, atol=1e-9)


def test_with_any_gates_it_is_the_network_with_all_edges() -> None:
    net = supernet()
    full = net.discretised(architectures.EDGES)
    gates = torch.rand(16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gates.requires_grad_()
    (ours,) = torch.autograd.grad(net(images(), gates).logsumexp(1).sum(), gates)
    (theirs,) = torch.autograd.grad(full(images(), gates).logsumexp(1).sum(), gates)
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)
    assert all((ours[i, j] != 0) == ((i, j) in architectures.EDGES) for i in range(16) for j in range(16))
    trained = net.discretised(architectures.EDGES).state_dict()  # the running statistics followed the same batch
    for name, value in full.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(trained[name], value, msg=name)


def test_one_seed_gives_the_same_start_as_the_full_network() -> None:
    net = Supernet(WIDTH)
    net.initialise(torch.Generator().manual_seed(3))
    full = Network(architectures.EDGES, WIDTH)
    full.initialise(torch.Generator().manual_seed(3))
    found = net.discretised(architectures.EDGES).state_dict()
    assert found.keys() == full.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in full.state_dict().items())


@pytest.mark.parametrize("method", ["A", "B"])
def test_gates_of_the_supernet_are_those_of_the_read_out(method: Method) -> None:
    alpha = torch.randn(16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = torch.tensor(discretise.gates(alpha.tolist(), method), dtype=torch.float64)
    torch.testing.assert_close(gate_matrix(alpha, method), expected)
    assert torch.autograd.gradcheck(lambda a: gate_matrix(a, method), alpha.requires_grad_())


def test_frozen_statistics_leaves_them_alone_and_still_normalises_by_the_batch() -> None:
    net = supernet()
    before = {name: value.clone() for name, value in net.named_buffers()}
    gates = torch.full((16, 16), 0.5, dtype=torch.float64)
    with torch.no_grad():
        with frozen_statistics(net):
            frozen = net(images(), gates)
        assert all(torch.equal(value, before[name]) for name, value in net.named_buffers())
        assert torch.equal(frozen, net(images(), gates))
    assert not all(torch.equal(value, before[name]) for name, value in net.named_buffers())
