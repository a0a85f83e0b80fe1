"""The trainer against a plain loop, the kinds that train, and what they refuse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from jobs import architectures
from jobs.errors import BadInput
from jobs.files import now
from jobs.kind import kind_named
from jobs.node import device
from jobs.records import Architecture, Outcome
from jobs.shortcuts import space
from jobs.shortcuts.vgg import Network
from jobs.training import data
from jobs.training.loop import Diverged, GpuFault, Trainer
from jobs.words import Cause, Precision
from tests.helpers.context import MemoryContext

SMALL = {"epochs": 2, "width": 0.03, "train_images": 140}
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: CUDA graphs are not tested")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def run(folder: Path, kind: str = "random-baseline", seed: int = 0, **values: Any) -> tuple[dict[str, Any], Any]:
    inputs = values.pop("inputs", {})
    declared = kind_named(kind)
    context = MemoryContext(declared.configure({**SMALL, **values}, "demo"), folder, seed=seed, inputs=inputs)
    return dict(declared.function()(context)), context


def trainer(precision: Precision = "fp32", name: str = "cpu", graph: bool | None = None, **values: Any) -> Trainer:
    config: Any = kind_named("random-baseline").configure({**SMALL, **values}, "demo")
    loaded = data.load(config.dataset, device=name)
    return Trainer(Network(space.sample(8, 1), config.width), loaded, config, 3, precision, graph=graph)


initialise = Network.initialise


def flat(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_a_step_is_that_of_the_plain_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels-last memory, fused SGD with zeroed momentum and batches on the device against torch's own defaults.

    In float64, so that rounding cannot hide a difference.
    """
    normalise = data.Normaliser.__call__
    monkeypatch.setattr(data.Normaliser, "__call__", lambda self, pixels: normalise(self, pixels).double())
    monkeypatch.setattr(Network, "initialise", lambda self, generator: initialise(self.double(), generator))
    ours = trainer(epochs=3, step_size=1, weight_decay=1e-3)
    plain = trainer(epochs=3, step_size=1, weight_decay=1e-3)
    network = plain.network.to(memory_format=torch.contiguous_format)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0090131, momentum=0.9, weight_decay=1e-3, fused=False)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.2344)
    losses = []
    for _ in range(3):
        plain.batches.shuffle()
        network.train()
        total = 0.0
        for size in plain.batches.sizes:
            images, labels = plain.batches.take(size)
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(images.contiguous()).float(), labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * size
        losses.append(total / 140)
        schedule.step()
    context = MemoryContext(ours.recipe, tmp_path)
    ours.run(context)
    assert [line.values["train_loss"] for line in context.lines] == pytest.approx(losses, rel=1e-6)
    before, after, wanted = map(flat, (trainer(epochs=3).network, ours.network, network))
    assert float((after - wanted).norm() / (wanted - before).norm()) < 1e-5  # the learning rate is a float32


def test_the_last_short_batch_counts(tmp_path: Path) -> None:
    done = trainer()
    assert done.batches.sizes == (64, 64, 12)
    done.run(MemoryContext(done.recipe, tmp_path))
    assert done.total_steps == 6


def test_the_reports_epoch_has_782_steps() -> None:
    full = data.Split(torch.zeros(50_000, 1, 1, 3, dtype=torch.uint8), torch.zeros(50_000, dtype=torch.int64))
    batches = data.Batches(full, data.datasets.named("cifar10"), 64, torch.Generator())
    assert len(batches.sizes) == 782 and batches.sizes[-1] == 16


def test_a_job_is_a_function_of_config_and_seed(tmp_path: Path) -> None:
    timed = ("wall_seconds",)
    first, again = (run(tmp_path / name)[0] for name in ("a", "b"))
    other = run(tmp_path / "c", seed=1)[0]
    assert {k: v for k, v in first.items() if k not in timed} == {k: v for k, v in again.items() if k not in timed}
    assert first["train_loss"] != other["train_loss"]


def test_a_repeat_trains_the_same_architecture_from_other_weights(tmp_path: Path) -> None:
    (one, context), (two, other) = (run(tmp_path / str(repeat), repeat=repeat) for repeat in (0, 1))
    assert context.architecture == other.architecture
    assert one["train_loss"] != two["train_loss"]


def test_the_result_says_what_was_trained(tmp_path: Path) -> None:
    result, context = run(tmp_path, shortcuts=7)
    edges = context.architecture.edges
    assert len(edges) == 7 == result["shortcuts"]
    assert result["params"] == architectures.parameters(edges, 0.03)
    assert result["extra_params"] == architectures.extra_parameters(edges, 0.03)
    assert result["mean_span"] == architectures.mean_span(edges) and result["long_share"] == architectures.long_share(
        edges
    )
    assert result["epochs"] == 2 and result["wall_seconds"] > 0
    assert [(line.epoch, line.epochs) for line in context.lines] == [(1, 2), (2, 2)]
    last = context.lines[-1].values  # the last epoch is reported, not the best
    assert {name: result[name] for name in ("test_accuracy", "train_accuracy", "train_loss")} == {
        name: last[name] for name in ("test_accuracy", "train_accuracy", "train_loss")
    }
    assert last["images_per_second"] > 0
    assert context.readies == 1 and context.versions["torch"] == torch.__version__
    declared = {metric.name for metric in kind_named("random-baseline").metrics}
    assert set(result) | set(last) == declared


def test_the_demo_learns(tmp_path: Path) -> None:
    declared = kind_named("random-baseline")
    context = MemoryContext(declared.configure({}, "demo"), tmp_path, seed=2)
    result = declared.function()(context)
    assert 85 < (result["test_accuracy"] or 0) <= 100
    assert context.architecture is not None and 4 <= len(context.architecture.edges) <= 20


def test_vgg19_and_a_given_architecture(tmp_path: Path) -> None:
    result, context = run(tmp_path / "vgg", "evaluate", architecture="vgg19")
    assert result["shortcuts"] == 0 and result["params"] == architectures.base_parameters(0.03)
    assert result["mean_span"] is None and result["long_share"] is None
    assert context.architecture == Architecture(edges=())
    _, context = run(tmp_path / "net", "evaluate", architecture="3-7, 0-2")
    assert context.architecture == Architecture(edges=((0, 2), (3, 7)))
    assert context.config.architecture == "0-2,3-7"


SEARCHED = ((0, 2), (1, 5), (3, 9), (4, 8), (6, 12))


def searched() -> dict[int, Outcome]:
    found = {"50": Architecture(edges=SEARCHED), "100": Architecture(edges=())}
    return {4: Outcome(ending="success", cause=Cause.SUCCESS, architectures=found, at=now())}


def test_a_searched_architecture(tmp_path: Path) -> None:
    values = {"search": 4, "method": "B", "inputs": searched()}
    _, context = run(tmp_path / "a", "evaluate", search_epoch=50, **values)
    assert context.architecture.edges == SEARCHED
    with pytest.raises(BadInput, match=r"job 4, read out no architecture at epoch 70 \(there are: 50, 100\)"):
        run(tmp_path / "b", "evaluate", search_epoch=70, **values)
    with pytest.raises(BadInput, match="no result of the search, job 5"):
        run(tmp_path / "c", "evaluate", search_epoch=50, **{**values, "search": 5})


@pytest.mark.parametrize("match", ["count", "count+params", "indegree"])
def test_a_matched_baseline(match: str, tmp_path: Path) -> None:
    values = {"search": 4, "search_epoch": 50, "method": "B", "inputs": searched(), "match": match}
    (_, context), (_, other) = (run(tmp_path / str(seed), seed=seed, **values) for seed in (0, 1))
    edges = context.architecture.edges
    assert len(edges) == 5 and edges != SEARCHED and edges != other.architecture.edges
    assert len({target for _, target in edges}) == 5  # method B: at most one per block
    assert ("match" in context.flags) == (match == "indegree")


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        ("evaluate", {}, "needs one of architecture"),
        ("evaluate", {"architecture": "vgg19", "search": 3}, "needs one of architecture"),
        ("evaluate", {"architecture": "0-1"}, "'0-1' is not in the space"),
        ("evaluate", {"architecture": "none.json"}, "cannot read the architecture file none.json"),
        ("random-baseline", {"shortcuts": 106}, "<= 105"),
        ("random-baseline", {"match": "count"}, "match and search belong together"),
        ("random-baseline", {"match": "count", "search": 2}, "needs the search's method"),
        (
            "random-baseline",
            {"match": "count", "search": 2, "method": "A", "shortcuts": 3},
            "shortcuts cannot be given",
        ),
        ("random-baseline", {"dataset": "cifar"}, "did you mean 'cifar10'"),
        ("random-baseline", {"epochs": "0"}, ">= 1"),
        ("random-baseline", {"lr": "-1"}, "> 0"),
        ("random-baseline", {"width": 0}, "> 0"),
        ("random-baseline", {"precision": "fp16"}, "fp16"),
        ("random-baseline", {"train_images": -5}, ">= 0"),
    ],
)
def test_bad_settings_are_refused(kind: str, values: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        kind_named(kind).configure(values, "demo")


def test_job_keys_are_pinned() -> None:
    """A changed default changes what old jobs mean: raise the kind's version together with it."""
    baseline, evaluate = kind_named("random-baseline"), kind_named("evaluate")
    assert baseline.keys(baseline.configure({}), [0]) == ["e32bb26228738bb685fa74c1b4285e50"]
    assert baseline.keys(baseline.configure({}, "demo"), [3]) == ["27dd71de20faae478a6a3b3c1ca6af0e"]
    for text in ("3-7,0-2", "0-2,3-7"):
        assert evaluate.keys(evaluate.configure({"architecture": text}), [0]) == ["56afbd1c268395b2b27cfd02dae99fce"]


def test_presets_are_table_1_and_a_demo_on_a_cpu() -> None:
    kind = kind_named("random-baseline")
    report: Any = kind.configure({})
    assert (report.lr, report.momentum, report.gamma, report.step_size) == (0.0090131, 0.9, 0.2344, 100)
    assert (report.dataset, report.batch_size, report.epochs, report.width) == ("cifar10", 64, 150, 1.0)
    assert kind.resources(report).gpus == 1
    demo: Any = kind.configure({}, "demo")
    assert (demo.lr, demo.batch_size, demo.dataset) == (report.lr, report.batch_size, "digits")
    assert kind.resources(demo).gpus == 0


def test_a_loss_that_is_no_number_says_so(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"loss became (nan|inf) in epoch 1: lower the learning rate \(lr=1e\+20\)"):
        run(tmp_path, lr=1e20)


def test_a_gpu_that_is_not_there_is_a_gpu_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(GpuFault, match="no working GPU"):
        device.prepare("cuda", 1, "bf16")


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (RuntimeError("CUDA error: uncorrectable ECC error encountered\nmore"), GpuFault),
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError),
    ],
)
def test_a_gpu_that_fails_at_once(raised: Exception, expected: type, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*sizes: int, **options: Any) -> None:
        raise raised

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", fail)
    with pytest.raises(expected) as caught:
        device.prepare("cuda", 1, "bf16")
    assert "more" not in str(caught.value)


def test_on_a_cpu_it_is_always_fp32_and_says_so(tmp_path: Path) -> None:
    assert device.prepare("cpu", 1, "bf16") == (torch.device("cpu"), "fp32")
    _, context = run(tmp_path, precision="bf16", epochs=1)
    assert context.flags == {"precision": "fp32 on the CPU"}


def test_bf16_stays_near_fp32(tmp_path: Path) -> None:
    """The arithmetic of autocast, on the CPU: fp32 weights, momentum and loss, products in bf16."""
    results = {}
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    for precision in precisions:
        one = trainer(precision)
        results[precision] = one.run(MemoryContext(one.recipe, tmp_path / precision)).values["train_loss"]
        assert {parameter.dtype for parameter in one.network.parameters()} == {torch.float32}
    assert results["fp32"] != results["bf16"]
    assert results["bf16"] == pytest.approx(results["fp32"], rel=0.02)


@needs_gpu
def test_a_graph_trains_as_eager_steps_do(tmp_path: Path) -> None:
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    losses = []
    for graph in (False, True):
        one = trainer("fp32", "cuda", graph, epochs=3)
        context = MemoryContext(one.recipe, tmp_path / str(graph), device="cuda")
        one.run(context)
        losses.append([line.values["train_loss"] for line in context.lines])
    assert all(math.isfinite(loss or math.nan) for loss in losses[0])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@needs_gpu
def test_the_host_never_waits_inside_an_epoch() -> None:
    one = trainer("bf16", "cuda")
    one._begin_epoch()
    one.step(64)  # captures
    torch.cuda.set_sync_debug_mode("error")
    try:
        for size in one.batches.sizes[1:]:
            one.step(size)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert math.isfinite(float(one.step.sums[0]))
