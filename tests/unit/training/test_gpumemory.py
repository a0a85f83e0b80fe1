"""The estimate of a training's GPU memory, against what torch really keeps for the backward pass."""

from __future__ import annotations

import pytest
import torch

from jobs import architectures
from jobs.kind import kind_named
from jobs.shortcuts.supernet import Supernet
from jobs.shortcuts.vgg import Network
from jobs.training.gpumemory import STEP_MB, saved_bytes, training_mb
from jobs.training.recipe import Recipe


def kept_per_image(net: torch.nn.Module, *more: torch.Tensor, batch: int) -> float:
    """Bytes of all storages that autograd keeps in a forward pass, the weights' own excepted."""
    weights = {weight.untyped_storage().data_ptr() for weight in net.parameters()}
    sizes: dict[int, int] = {}
    alive = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        alive.append(tensor)  # else an address could be another tensor's later
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(torch.zeros(batch, 3, 32, 32), *more).sum()
    return sum(sizes.values()) / batch


@pytest.mark.parametrize("width", [0.125, 0.5])
def test_what_autograd_keeps_of_the_net_with_all_shortcuts(width: float):
    assert saved_bytes(width) == pytest.approx(kept_per_image(Network(architectures.EDGES, width), batch=16), rel=0.02)


def test_a_searched_net_and_a_supernet_keep_no_more():
    gates = torch.full((architectures.BLOCKS, architectures.BLOCKS), 0.5, requires_grad=True)
    bound = saved_bytes(0.25) * 1.1
    assert kept_per_image(Network(architectures.EDGES[::6], 0.25), batch=16) < bound
    assert kept_per_image(Supernet(0.25), gates, batch=16) < bound


def test_the_estimate_grows_with_batch_width_and_precision_and_is_rounded_up():
    def estimate(**settings: object) -> int:
        recipe = kind_named("search").configure({"method": "A", **settings})
        assert isinstance(recipe, Recipe)
        return training_mb(recipe.width, recipe.batch_size, recipe.precision)

    assert estimate() % STEP_MB == 0
    assert estimate(batch_size=1024) > estimate() >= estimate(width=0.125, batch_size=64)
    assert estimate(batch_size=1024, precision="fp32") > estimate(batch_size=1024)
    config = kind_named("evaluate").configure({"architecture": "vgg19"})
    assert kind_named("evaluate").resources(config).gpu_memory_mb == training_mb(1.0, 64, "bf16")
