"""The work of `random-baseline` and `evaluate`: settle the architecture, train it from scratch, say what came out."""

from __future__ import annotations

from collections.abc import Sequence

from jobs import architectures
from jobs.errors import BadInput
from jobs.kinds.evaluate import EvaluateConfig
from jobs.kinds.random_baseline import LEAST, MOST, RandomBaselineConfig
from jobs.node import device
from jobs.node.context import Context
from jobs.records import Architecture, Edge
from jobs.seeds import derive
from jobs.shortcuts import space
from jobs.shortcuts.vgg import Network, parameter_count
from jobs.training import data
from jobs.training.loop import train
from jobs.training.recipe import Recipe


def random_baseline(context: Context) -> dict[str, float | None]:
    """Train a random architecture; its edges depend on the seed alone, so that repeats train the same one."""
    config: RandomBaselineConfig = context.config
    if config.search:
        edges = _matched(context, config)
    else:
        count = config.shortcuts if config.shortcuts >= 0 else space.sample_count(LEAST, MOST, context.seed)
        edges = space.sample(count, context.seed)
    return _train(context, config, edges, config.repeat)


def evaluate(context: Context) -> dict[str, float | None]:
    """Train the architecture of the config, or the one that a search read out."""
    config: EvaluateConfig = context.config
    if config.search:
        return _train(context, config, searched(context, config.search, config.search_epoch), config.repeat)
    return _train(context, config, architectures.parse(config.architecture), config.repeat)


def searched(context: Context, search: int, epoch: int) -> tuple[Edge, ...]:
    """The architecture that a search job read out at an epoch. Raises BadInput where there is none."""
    outcome = context.inputs.get(search)
    if outcome is None:
        raise BadInput(f"there is no result of the search, job {search}: let it succeed first")
    found = outcome.architectures.get(str(epoch))
    if found is None:
        there = ", ".join(sorted(outcome.architectures, key=int)) or "none"
        raise BadInput(f"the search, job {search}, read out no architecture at epoch {epoch} (there are: {there})")
    return found.edges


def _matched(context: Context, config: RandomBaselineConfig) -> tuple[Edge, ...]:
    from jobs.shortcuts.matching import match

    if config.match == "none" or config.method == "":
        raise BadInput("a matched baseline needs match and method")
    target = searched(context, config.search, config.search_epoch)
    found = match(target, config.match, config.method, context.seed, config.width)
    if found.flag:
        context.keep_flag("match", found.flag)
    return found.edges


def _train(context: Context, config: Recipe, edges: Sequence[Edge], repeat: int) -> dict[str, float | None]:
    """Train from scratch; seed and repeat give the weights and the batches."""
    chosen, precision = device.prepare(context.device, context.threads, config.precision)
    context.keep_versions(*device.versions(chosen))
    if precision != config.precision:
        context.keep_flag("precision", f"{precision} on the CPU")
    context.keep_architecture(Architecture(edges=architectures.canonical(edges)))
    images = data.load(config.dataset, context.data_dir, chosen)
    network = Network(edges, config.width)
    trained = train(context, network, images, config, derive(context.seed, repeat), precision)
    return {
        **{name: trained.values[name] for name in ("test_accuracy", "train_accuracy", "train_loss")},
        "params": float(parameter_count(network)),
        "shortcuts": float(len(edges)),
        "extra_params": float(architectures.extra_parameters(edges, config.width)),
        "mean_span": architectures.mean_span(edges),
        "long_share": architectures.long_share(edges),
        "epochs": float(config.epochs),
        "wall_seconds": trained.wall_seconds,
    }
