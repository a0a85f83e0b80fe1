"""Searches that run: halves, alpha's history, bit-identical resume, divergence, read-outs, pretrained weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models.vgg import cfgs, make_layers

from jobs.errors import BadInput, DataError
from jobs.kind import kind_named
from jobs.kinds.search import SearchConfig
from jobs.node.context import Interrupted
from jobs.shortcuts import bilevel, discretise, pretrained
from jobs.shortcuts.search import Searcher, SearchStep, halves, run
from jobs.shortcuts.supernet import Gated, Supernet
from jobs.training import data
from jobs.training.loop import Diverged
from tests.helpers.context import MemoryContext

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: CUDA graphs are not tested")
SMALL = {"width": 1 / 32, "epochs": 3, "readouts": (1, 3), "train_images": 201, "alpha_lr": 0.3}


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def config(**values: Any) -> SearchConfig:
    found = kind_named("search").configure({"method": "A", **SMALL, **values}, "demo")
    assert isinstance(found, SearchConfig)
    return found


def numbers(context: MemoryContext) -> list[Mapping[str, float | None]]:
    """Every metric of every epoch but the speed."""
    return [{k: v for k, v in line.values.items() if k != "images_per_second"} for line in context.lines]


def test_a_search_stores_alpha_and_metrics_of_every_epoch_and_reads_out(tmp_path: Path) -> None:
    context = MemoryContext(config(), tmp_path)
    result = run(context)
    lines = discretise.read_alpha(tmp_path)
    assert [line.epoch for line in lines] == [0, 1, 2, 3]
    assert all(value == 0 for row in lines[0].alpha for value in row)
    assert [line.epoch for line in context.lines] == [1, 2, 3]
    for line, metrics in zip(lines[1:], numbers(context), strict=True):
        assert metrics["gate_sum"] == pytest.approx(discretise.gate_sum(line.alpha, "A"))
        assert metrics["entropy"] == pytest.approx(discretise.entropy(line.alpha, "A"))
        assert metrics["shortcuts"] == len(discretise.discretise(line.alpha, "A").edges)
        assert {"test_accuracy", "val_accuracy", "train_loss"} <= metrics.keys()
    assert {key: found.edges for key, found in context.architectures.items()} == {
        "1": discretise.discretise(lines[1].alpha, "A").edges,
        "3": discretise.discretise(lines[3].alpha, "A").edges,
    }
    assert context.architecture == context.architectures["3"]
    assert context.architecture is not None
    assert result["shortcuts"] == len(context.architecture.edges) > 0
    assert lines[1].alpha != lines[2].alpha


@pytest.mark.parametrize(
    ("method", "order", "steps"), [("A", "first", [1, 4]), ("B", "second", [3]), ("A", "first", [2])]
)
def test_a_resumed_search_is_the_same_bit_by_bit(method: str, order: str, steps: list[int], tmp_path: Path) -> None:
    chosen = config(method=method, order=order, momentum=0.8)
    whole = MemoryContext(chosen, tmp_path / "whole")
    expected = run(whole)
    earlier: list[Path] = []
    for number, count in enumerate(steps):  # 100 images in batches of 64: 2 steps an epoch
        asked = iter([False] * (count - 1) + [True])
        part = MemoryContext(
            chosen, tmp_path / f"e{number}", earlier=tuple(earlier), stop=partial(next, asked), every=1e9
        )
        with pytest.raises(Interrupted):
            run(part)
        earlier.append(part.folder / "checkpoints")
    last = MemoryContext(chosen, tmp_path / "last", earlier=tuple(earlier))
    result = run(last)
    assert numbers(last) == numbers(whole)
    assert discretise.read_alpha(last.folder) == discretise.read_alpha(whole.folder)
    assert last.architectures == whole.architectures
    speed = {"images_per_second", "wall_seconds"}
    assert {k: v for k, v in result.items() if k not in speed} == {k: v for k, v in expected.items() if k not in speed}


def test_the_optimiser_of_alpha_is_carried(tmp_path: Path) -> None:
    images = data.load("digits")
    made = [Searcher(Gated(Supernet(1 / 32), "A"), images, config(), 0, "fp32", tmp_path) for _ in range(2)]
    first = made[0]._begin_epoch()
    for size in made[0].batches.sizes[first:]:
        made[0].step(size)
        made[0].done += 1
    made[1].load(made[0].state())
    ours, theirs = (m.step.alpha_optimizer.state_dict()["state"][0] for m in made)
    assert ours["step"] == theirs["step"] == 2
    assert torch.equal(ours["exp_avg"], theirs["exp_avg"])
    assert ours["exp_avg_sq"].abs().max() > 0
    assert torch.equal(ours["exp_avg_sq"], theirs["exp_avg_sq"])
    assert torch.equal(made[0].gated.alpha, made[1].gated.alpha)


def test_the_train_set_is_halved_by_the_seed() -> None:
    train = data.load("digits").train
    first, second = halves(train[:101], 4)
    assert (len(first), len(second)) == (50, 51)
    pixels = sorted(map(hash, (bytes(image.numpy()) for part in (first, second) for image in part.images)))
    assert pixels == sorted(hash(bytes(image.numpy())) for image in train.images[:101])
    again, _ = halves(train[:101], 4)
    other, _ = halves(train[:101], 5)
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)


def test_alpha_moves_on_validation_images_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    images = data.load("digits")
    made = [Searcher(Gated(Supernet(1 / 32), "A"), images, config(), 0, "fp32", tmp_path) for _ in range(2)]
    made[1].validation.split.labels.add_(1).remainder_(10)
    for searcher in made:
        searcher._begin_epoch()
        searcher.step(64)
    assert not torch.equal(made[0].gated.alpha, made[1].gated.alpha)
    weights = [list(searcher.gated.supernet.blocks[0].parameters()) for searcher in made]
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True)) is False  # through α alone
    # with α held still, w does not feel the validation half at all
    monkeypatch.setattr(bilevel, "first_order", lambda loss, alpha: torch.zeros_like(alpha))
    made = [Searcher(Gated(Supernet(1 / 32), "A"), images, config(), 0, "fp32", tmp_path) for _ in range(2)]
    made[1].validation.split.labels.add_(1).remainder_(10)
    for searcher in made:
        searcher._begin_epoch()
        searcher.step(64)
    pairs = zip(made[0].gated.state_dict().values(), made[1].gated.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_an_alpha_that_became_nan_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bilevel, "first_order", lambda loss, alpha: torch.full_like(alpha, float("nan")))
    with pytest.raises(Diverged, match=r"alpha became NaN in epoch 1 of the search: lower alpha_lr \(0\.3\)"):
        run(MemoryContext(config(), tmp_path))


def test_tau_of_the_config_is_used(tmp_path: Path) -> None:
    context = MemoryContext(config(tau=0.52, epochs=1, readouts=(1,)), tmp_path)
    run(context)
    alpha = discretise.read_alpha(tmp_path)[1].alpha
    assert context.architectures["1"] == discretise.discretise(alpha, "A", 0.52)
    assert context.architectures["1"] != discretise.discretise(alpha, "A")


def test_demo_finds_more_shortcuts_at_the_last_read_out_than_at_the_first(tmp_path: Path) -> None:
    chosen = kind_named("search").configure({"method": "A"}, "demo")
    context = MemoryContext(chosen, tmp_path)
    run(context)
    first, *_, last = (len(context.architectures[key].edges) for key in sorted(context.architectures, key=int))
    assert last > first


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"readouts": (1, 4)}, "readouts must rise and end within the 3 epochs"),
        ({"readouts": (2, 1)}, "readouts must rise"),
        ({"method": "B", "zero_one": 1.0}, "zero_one belongs to method A"),
        ({"weights": "x.pt"}, "set pretrained=true too"),
        ({"pretrained": True}, "pretrained weights are those of width 1: set width=1"),
        ({"method": "C"}, "bad value for 'method'"),
    ],
)
def test_bad_settings_are_refused(values: dict[str, Any], text: str) -> None:
    with pytest.raises(BadInput, match=text):
        config(**values)


def test_a_wide_supernet_asks_for_more_memory() -> None:
    kind = kind_named("search")
    narrow, wide = (kind.resources(config(width=width)).memory_mb for width in (0.125, 1.0))
    assert (narrow, wide) == (2000, 4000)


def test_the_report_reads_out_where_table_2_does() -> None:
    found = kind_named("search").configure({"method": "B"})
    assert isinstance(found, SearchConfig)
    assert (found.readouts, found.epochs, found.alpha_lr) == ((50, 100, 150), 150, 3e-4)
    assert msgspec.to_builtins(found) == {"method": "B"}


@pytest.fixture(scope="module")
def features() -> dict[str, torch.Tensor]:
    """The feature layers of torchvision's vgg19_bn with made-up statistics."""
    layers = make_layers(cfgs["E"], batch_norm=True)
    for module in layers:
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean.normal_()
    return {f"features.{name}": tensor for name, tensor in layers.state_dict().items()}


def test_pretrained_features_are_loaded_and_the_rest_is_new(features: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save({**features, "classifier.6.bias": torch.zeros(1000)}, tmp_path / "weights.pt")
    net = Supernet()
    net.initialise(torch.Generator().manual_seed(0))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    pretrained.into(net, pretrained.features("weights.pt", tmp_path))
    loaded = [tensor for name, tensor in net.blocks.named_parameters()]
    given = [tensor for name, tensor in features.items() if not name.rpartition(".")[2].startswith(("running", "num"))]
    assert sum(tensor.numel() for tensor in loaded) == 20_035_392
    assert all(torch.equal(a, b) for a, b in zip(loaded, given, strict=True))
    means = [tensor for name, tensor in net.blocks.named_buffers() if name.endswith("running_mean")]
    assert all(
        torch.equal(a, b)
        for a, b in zip(means, (t for n, t in features.items() if n.endswith("running_mean")), strict=True)
    )
    rest = [name for name in before if not name.startswith("blocks.")]
    assert len(rest) > 0
    assert all(torch.equal(net.state_dict()[name], before[name]) for name in rest)


def test_a_wrong_file_is_refused_with_the_keys_that_differ(features: dict[str, torch.Tensor], tmp_path: Path) -> None:
    wrong = {**features, "features.0.weight": torch.zeros(64, 1, 3, 3), "stem.weight": torch.zeros(1)}
    del wrong["features.49.bias"]
    torch.save(wrong, tmp_path / "wrong.pt")
    with pytest.raises(BadInput) as caught:
        pretrained.into(Supernet(), pretrained.features("wrong.pt", tmp_path))
    for key in ("features.49.bias", "stem.weight", "features.0.weight"):
        assert key in str(caught.value)


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the weights .*none\.pt"):
        pretrained.features("none.pt", tmp_path)
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(DataError, match="holds no plain state_dict"):
        pretrained.features("text.pt", tmp_path)
    torch.save(Supernet(1 / 64), tmp_path / "module.pt")
    with pytest.raises(DataError, match="holds no plain state_dict"):  # code in a pickle is never run
        pretrained.features("module.pt", tmp_path)
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    with pytest.raises(DataError, match="holds no state_dict"):
        pretrained.features("list.pt", tmp_path)


def test_a_pretrained_search_starts_from_the_file(
    features: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(features, tmp_path / "weights.pt")
    seen = []

    def stopped(self: Searcher, context: MemoryContext) -> None:
        seen.append(self.gated.supernet.blocks.state_dict()["3.conv.weight"].clone())
        raise Interrupted

    monkeypatch.setattr(Searcher, "run", stopped)
    chosen = config(width=1.0, pretrained=True, weights="weights.pt")
    with pytest.raises(Interrupted):
        run(MemoryContext(chosen, tmp_path / "run", cwd=tmp_path))
    assert torch.equal(seen[0], features["features.10.weight"])


HOST_BOUND = {
    "aten._local_scalar_dense.default",  # .item(), float(), bool(): the host waits
    "aten.nonzero.default",
    "aten.masked_select.default",
    "aten.index.Tensor bool",
    "aten.lift_fresh.default",  # torch.tensor(...): a copy from the host
    "aten.scalar_tensor.default",
}
"""Operations that a CUDA graph cannot hold, as they read from the host or make it wait."""


class Watched(TorchDispatchMode):
    """Counts the operations of a step, backward included."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        by_mask = func is torch.ops.aten.index.Tensor and any(
            found is not None and found.dtype == torch.bool for found in args[1]
        )
        self.seen[f"{func} bool" if by_mask else str(func)] += 1
        return func(*args, **(kwargs or {}))


VARIANTS: list[tuple[str, str, float]] = [("A", "first", 0.1), ("B", "first", 0.0), ("B", "second", 0.0)]


def searcher(folder: Path, method: str, order: str, zero_one: float, device: str = "cpu", **options: Any) -> Searcher:
    chosen = config(method=method, order=order, zero_one=zero_one, precision="fp32")
    folder.mkdir(exist_ok=True)
    found = Searcher(
        Gated(Supernet(1 / 32), chosen.method), data.load("digits", device=device), chosen, 0, "fp32", folder, **options
    )
    found._begin_epoch()
    return found


@pytest.mark.parametrize(("method", "order", "zero_one"), VARIANTS)
def test_a_step_of_a_search_can_be_a_cuda_graph(method: str, order: str, zero_one: float, tmp_path: Path) -> None:
    """What a capture needs, seen without a GPU: nothing is read from the host, and what changes stays in its place."""
    one = searcher(tmp_path, method, order, zero_one)
    places = [tensor.data_ptr() for tensor in one.step.changed()]
    before = [tensor.clone() for tensor in one.step.changed()]
    with Watched() as watched:
        one.step(64)
        one.step(36)
    assert watched.seen["aten.convolution.default"] > 60
    assert not HOST_BOUND & watched.seen.keys()
    assert [tensor.data_ptr() for tensor in one.step.changed()] == places
    after = one.step.changed()
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True) if old.numel() > 100)
    assert one.gated.alpha.grad is None


class Rehearsed(SearchStep):
    """Does all that comes before a graph and after it, and runs the step itself in place of the replay."""

    def _record(self, size: int) -> Callable[[], None]:
        self.recorded = [*getattr(self, "recorded", []), size]
        return partial(self.eager, size)


class Refused(SearchStep):
    """CUDA refuses an operation in the middle of the second capture."""

    def _record(self, size: int) -> Callable[[], None]:
        self.rewind()  # a capture would not run what it records
        with pytest.MonkeyPatch.context() as patch:
            if size == 36:
                patch.setattr(torch.autograd, "backward", self._refuse)
            self.eager(size)
        return partial(self.eager, size)

    @staticmethod
    def _refuse(*_: Any) -> None:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nand so on")


@pytest.mark.parametrize(("method", "order", "zero_one"), VARIANTS)
@pytest.mark.parametrize("kind", [Rehearsed, Refused])
def test_a_capture_leaves_no_trace(
    kind: type[SearchStep], method: str, order: str, zero_one: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search with warm-up and capture, successful or refused, ends bit by bit as one without."""
    eager = searcher(tmp_path / "eager", method, order, zero_one, graph=False)
    monkeypatch.setattr("jobs.shortcuts.search.SearchStep", kind)
    graphed = searcher(tmp_path / "graphed", method, order, zero_one, graph=True)
    contexts = [MemoryContext(one.config, tmp_path / name) for name, one in (("eager", eager), ("graphed", graphed))]
    for one, context in zip((eager, graphed), contexts, strict=True):
        one.run(context)
    for ours, theirs in zip(graphed.step.changed(), eager.step.changed(), strict=True):
        assert torch.equal(ours, theirs)
    assert numbers(contexts[1]) == numbers(contexts[0])
    assert contexts[0].flags == {}
    if isinstance(graphed.step, Rehearsed):
        assert graphed.step.recorded == [64, 36]
        assert contexts[1].flags == {}
    else:
        reason = "CUDA error: operation not permitted when stream is capturing"
        assert contexts[1].flags == {"cuda_graph": f"eager steps, not a CUDA graph: {reason}"}


@needs_gpu
@pytest.mark.parametrize(("method", "order", "zero_one"), VARIANTS)
def test_a_graph_searches_as_eager_steps_do(method: str, order: str, zero_one: float, tmp_path: Path) -> None:
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    ended = []
    for graph in (False, True):
        one = searcher(tmp_path / str(graph), method, order, zero_one, "cuda", graph=graph)
        context = MemoryContext(one.config, tmp_path / f"run {graph}", device="cuda")
        one.run(context)
        assert context.flags == {}
        ended.append((one.alphas[-1], [line.values["train_loss"] for line in context.lines]))
    assert ended[1][1] == pytest.approx(ended[0][1], rel=1e-2)
    assert torch.allclose(ended[1][0], ended[0][0], atol=0.05)
