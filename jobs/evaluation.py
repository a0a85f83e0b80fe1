"""The work of `random-baseline` and `evaluate`: settle the architecture, train it from scratch, say what came out."""

from __future__ import annotations

from collections.abc import Sequence

from jobs import data, device, space
from jobs.context import Context
from jobs.errors import BadInput
from jobs.kinds.evaluate import EvaluateConfig
from jobs.kinds.random_baseline import LEAST, MOST, RandomBaselineConfig
from jobs.recipe import Recipe
from jobs.records import Architecture, Edge
from jobs.training import train
from jobs.vgg import Network, parameter_count


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
    return _train(context, config, space.parse(config.architecture), config.repeat)


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
    from jobs.matching import match

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
    context.keep_architecture(Architecture(edges=space.canonical(edges)))
    images = data.load(config.dataset, context.data_dir, chosen)
    network = Network(edges, config.width)
    trained = train(context, network, images, config, space.derive(context.seed, repeat), precision)
    return {
        **{name: trained.values[name] for name in ("test_accuracy", "train_accuracy", "train_loss")},
        "params": float(parameter_count(network)),
        "shortcuts": float(len(edges)),
        "extra_params": float(space.extra_parameters(edges, config.width)),
        "mean_span": space.mean_span(edges),
        "long_share": space.long_share(edges),
        "epochs": float(config.epochs),
        "wall_seconds": trained.wall_seconds,
    }
