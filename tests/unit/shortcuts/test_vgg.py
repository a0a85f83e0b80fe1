"""VGG19 with shortcuts: parameters against the formula, values against the definition, torchvision's weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torchvision.models.vgg import cfgs, make_layers

from jobs import architectures
from jobs.errors import BadInput
from jobs.shortcuts import space
from jobs.shortcuts.vgg import Network, Projection, load_features, parameter_count

subsets = st.lists(st.sampled_from(architectures.EDGES), unique=True, max_size=30).map(tuple)


def built(edges: tuple[tuple[int, int], ...] = (), width: float = 0.0625, seed: int = 0) -> Network:
    network = Network(edges, width)
    network.initialise(torch.Generator().manual_seed(seed))
    return network


def test_the_base_net_has_the_reports_parameters() -> None:
    assert parameter_count(Network()) == 20_040_522


@given(subsets, st.sampled_from([0.02, 0.0625, 0.125]))
@settings(max_examples=25, deadline=None)
def test_parameters_agree_with_the_formula(edges: tuple[tuple[int, int], ...], width: float) -> None:
    network = Network(edges, width)
    assert parameter_count(network) == architectures.parameters(edges, width)
    assert parameter_count(network.shortcuts) == architectures.extra_parameters(edges, width)


def test_parameters_agree_with_the_formula_at_full_width() -> None:
    with torch.device("meta"):
        network = Network(architectures.EDGES)
    assert parameter_count(network) == architectures.parameters(architectures.EDGES) == 20_040_522 + 10_041_600


def test_the_forward_pass_is_the_definition() -> None:
    """z_j = ReLU(BN(conv_j(x_j)) + Σ g_ij S_ij(z_i)), written out plainly for one net with gates."""
    edges = ((0, 3), (1, 3), (2, 9), (4, 6), (8, 10), (11, 15))
    network = built(edges).double().eval()
    gates = torch.rand(16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    z: list[torch.Tensor] = []
    x = images
    for j, block in enumerate(network.conv_blocks()):
        y = block.norm(block.conv(x))
        for i, target in edges:
            if target == j:
                term = z[i]
                stride = 2 ** (architectures.STAGES[j] - architectures.STAGES[i])
                module = network.shortcuts[f"{i}-{j}"]
                if isinstance(module, Projection):
                    term = module.norm(functional.conv2d(functional.max_pool2d(term, stride), module.conv.weight))
                y = y + gates[i, j] * term
        z.append(functional.relu(y))
        assert z[j].shape[2:] == (architectures.size(j), architectures.size(j))
        x = functional.max_pool2d(z[j], 2) if j in (1, 3, 7, 11, 15) else z[j]
    torch.testing.assert_close(network(images, gates), network.head(x.flatten(1)), rtol=1e-12, atol=1e-12)


def test_gates_of_one_change_nothing_and_of_zero_leave_vgg19() -> None:
    edges = space.sample(12, 0)
    network, plain = built(edges, seed=3).eval(), built((), seed=3).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        torch.testing.assert_close(network(images, torch.ones(16, 16)), network(images))
        # nets of one seed start from the same VGG19 whatever their shortcuts
        torch.testing.assert_close(network(images, torch.zeros(16, 16)), plain(images))
        assert not torch.allclose(network(images), plain(images))


def test_a_seed_gives_the_weights() -> None:
    first, again, other = built(seed=1), built(seed=1), built(seed=2)
    weights = [net.conv_blocks()[3].conv.weight for net in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_every_parameter_gets_a_gradient() -> None:
    network = built(architectures.EDGES)
    functional.cross_entropy(network(torch.randn(4, 3, 32, 32)), torch.tensor([0, 1, 2, 3])).backward()
    missing = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert missing == []


def test_an_edge_outside_the_space_is_refused() -> None:
    with pytest.raises(BadInput, match="'3-4' is not in the space"):
        Network([(3, 4)])


def torchvision_features() -> torch.nn.Module:
    wrapper = torch.nn.Module()
    wrapper.features = make_layers(cfgs["E"], batch_norm=True)
    return wrapper.eval()


def test_torchvisions_features_are_loaded_whole() -> None:
    source = torchvision_features()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, tensor in source.state_dict().items():
            if name.endswith(("running_mean", "running_var", "bias")):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    network = Network().eval()
    load_features(network, {**source.state_dict(), "classifier.0.weight": torch.zeros(3)})
    assert parameter_count(source) == 20_035_392
    images = torch.randn(1, 3, 32, 32, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(network(images), network.head(source.features(images).flatten(1)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: state.pop("features.0.weight"), "missing: features.0.weight"),
        (lambda state: state.update({"layer1.weight": torch.zeros(1)}), "not in vgg19_bn: layer1.weight"),
        (lambda state: state.update({"features.3.bias": torch.zeros(7)}), "of another shape: features.3.bias"),
    ],
)
def test_foreign_weights_are_refused_with_their_keys(change, told) -> None:  # type: ignore[no-untyped-def]
    state = dict(torchvision_features().state_dict())
    change(state)
    network = Network()
    before = network.conv_blocks()[0].conv.weight.clone()
    with pytest.raises(BadInput, match=told):
        load_features(network, state)
    assert torch.equal(before, network.conv_blocks()[0].conv.weight)
