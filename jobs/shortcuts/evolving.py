"""The work of `evolve`, `evolve-step` and `individual`: no job waits inside a job.

`evolve` asks for the evaluations of the initial population and for step 1, which needs them. A step reads the state of
the one before and the accuracies of its generation from its inputs, and asks for the next generation and the next step.
Their configs follow from the state alone, so a step that runs again asks for the same jobs.
"""

from __future__ import annotations

from typing import Any

import msgspec

from jobs.architectures import canonical, parameters
from jobs.errors import OrchError
from jobs.kinds.evolve import EvolveConfig
from jobs.kinds.evolve_step import EvolveStepConfig
from jobs.kinds.individual import IndividualConfig
from jobs.node.context import Context
from jobs.records import Architecture, Spawn
from jobs.shortcuts.evolution import Evolution, Fitness, advance, begin, edges_of, from_text, front, genome_of, to_text
from jobs.training.recipe import Recipe


def first(context: Context) -> dict[str, float | None]:
    """Draw the initial population and ask for its evaluations."""
    config: EvolveConfig = context.config
    state = begin(context.seed, config.population, config.most_edges)
    _ask(context, config, state)
    return {"generation": 0.0, "evaluated": 0.0, "failed": 0.0}


def step(context: Context) -> dict[str, float | None]:
    """Select from a generation that was evaluated and, unless it was the last, breed and ask for the next.

    An individual that failed is absent from the inputs: it gets the worst fitness. Raises OrchError where the state
    of the step before is missing, or where every individual of a generation failed.
    """
    config: EvolveStepConfig = context.config
    states = [outcome.state for outcome in context.inputs.values() if outcome.state]
    if len(states) != 1:
        raise OrchError("the state of the step before is missing: let that job succeed, then retry this one")
    state = msgspec.convert(states[0], Evolution)
    measured: dict[str, Fitness] = {}
    for outcome in context.inputs.values():
        accuracy = outcome.result.get("val_accuracy")
        if not outcome.state and outcome.architecture is not None and accuracy is not None:
            edges = outcome.architecture.edges
            measured[to_text(genome_of(edges))] = (accuracy, -float(parameters(edges, config.width)))
    if state.pending and not measured:
        raise OrchError(
            f"all {len(state.pending)} evaluations of generation {state.generation} failed: see `explain` of one, "
            "retry them, then this step"
        )
    following = advance(state, measured, config.population, last=config.generation >= config.generations)
    _ask(context, config, following)
    known = following.fitness
    best = max(known, key=lambda genome: known[genome])
    edges = edges_of(from_text(best))
    context.keep_architecture(Architecture(edges=edges))
    return {
        "generation": float(config.generation),
        "val_accuracy": known[best][0],
        "params": -known[best][1],
        "shortcuts": float(len(edges)),
        "front": float(len(front(known))),
        "evaluated": float(len(known)),
        "failed": float(len(following.failed)),
    }


def _ask(context: Context, config: EvolveConfig, state: Evolution) -> None:
    """Keep the state and spawn the pending evaluations and the step that needs them; none after the last."""
    context.keep_state(msgspec.to_builtins(state))
    generation = getattr(config, "generation", 0) + 1
    if generation > config.generations:
        return
    recipe = {name: getattr(config, name) for name in Recipe.__struct_fields__}
    spawned = [
        Spawn(
            kind="individual",
            seed=context.seed,
            config=_plain(IndividualConfig(**recipe, edges=edges_of(from_text(genome)))),
        )
        for genome in state.pending
    ]
    own = {name: getattr(config, name) for name in EvolveConfig.__struct_fields__}
    spawned.append(
        Spawn(
            kind="evolve-step",
            seed=context.seed,
            config=_plain(EvolveStepConfig(**own, generation=generation)),
            needs=(str(context.job), *(f"#{number}" for number in range(len(spawned)))),
            tolerate_failure=True,
        )
    )
    context.spawn(spawned)


def _plain(config: Recipe) -> dict[str, Any]:
    """The canonical config: plain data without the fields at their default."""
    plain: dict[str, Any] = msgspec.to_builtins(config)
    return plain


def individual(context: Context) -> dict[str, float | None]:
    """Train one architecture on one half of the train set and judge it on the other."""
    from jobs.node import device
    from jobs.shortcuts.search import halves
    from jobs.shortcuts.vgg import Network
    from jobs.training import data
    from jobs.training.loop import Trainer, resume

    config: IndividualConfig = context.config
    chosen, precision = device.prepare(context.device, context.threads, config.precision)
    context.keep_versions(*device.versions(chosen))
    edges = canonical(config.edges)
    context.keep_architecture(Architecture(edges=edges))
    images = data.load(config.dataset, context.data_dir, chosen)
    train, judged = halves(images.train[: config.train_images or None], context.seed)
    trainer = Trainer(
        Network(edges, config.width),
        data.ImageData(images.dataset, train, judged),
        msgspec.structs.replace(config, train_images=0),
        context.seed,
        precision,
        judged="val_accuracy",
    )
    resume(context, trainer)
    trained = trainer.run(context)
    return {
        **trained.values,
        "params": float(parameters(edges, config.width)),
        "shortcuts": float(len(edges)),
        "epochs": float(config.epochs),
        "wall_seconds": trained.wall_seconds,
    }
