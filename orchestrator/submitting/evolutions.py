"""What an evolution will cost, and the evaluations of its front: one job for each architecture on it and each seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from db import details, jobs, results
from db.creation import Ensured
from db.jobs import StoredJob
from db.store import Store
from db.writer import Writer
from jobs.architectures import text_of
from jobs.errors import BadInput
from jobs.files import read_json
from jobs.kind import kind_named
from jobs.kinds.evolve import EvolveConfig
from jobs.kinds.individual import KIND as INDIVIDUAL
from jobs.kinds.individual import IndividualConfig
from jobs.records import Outcome
from jobs.words import JobState
from orchestrator.submitting import graph
from orchestrator.submitting.estimating import SECONDS_PER_EPOCH
from orchestrator.submitting.planning import Launch, Order
from orchestrator.submitting.request import Request

TABLE_1_EPOCHS = 150
HALF = 0.5
"""An individual trains on one half of the train set."""


def costs(orders: Sequence[Order]) -> tuple[str, ...]:
    """What the evolutions among these orders will cost, a sentence each."""
    found = [(order.config, len(order.seeds)) for order in orders if isinstance(order.config, EvolveConfig)]
    return tuple(line for config, seeds in found for line in cost(config, seeds))


def cost(config: EvolveConfig, seeds: int) -> list[str]:
    """Individuals, hours and memory of an evolution before anything ran, a sentence each."""
    most = config.population * config.generations
    epochs = most * config.epochs
    each = " a seed" if seeds > 1 else ""
    long = f"{config.epochs} epoch{'s' if config.epochs > 1 else ''}"
    lines = [
        f"at most {most} individuals{each} (population {config.population} × {config.generations} generations; a "
        f"genome that comes again is not trained again), each {long} on half of the train set"
    ]
    if config.preset == "report" and config.width == 1.0 and not config.train_images:
        whole = seeds * epochs * HALF  # epochs of the whole train set
        lines.append(
            f"about {whole * SECONDS_PER_EPOCH / 3600:.1f} GPU hours in all at most, as much as "
            f"{whole / TABLE_1_EPOCHS:.1f} trainings of {TABLE_1_EPOCHS} epochs (an estimate: docs/benchmarks.md)"
        )
    else:
        lines.append("hours: not known, since the estimate is of preset report at width 1 on a GPU")
    recipe = {name: getattr(config, name) for name in IndividualConfig.__struct_fields__ if hasattr(config, name)}
    asked = INDIVIDUAL.resources(IndividualConfig(**recipe))
    gpu = f", at most {asked.gpu_memory_mb} MB of a GPU's memory" if asked.gpus else ", no GPU"
    lines.append(f"memory: an individual is a job of its own and asks for {asked.memory_mb} MB{gpu}")
    lines.append(
        f"random search at the same budget: orch submit evolve --population {most} --generations 1, "
        "with the same options"
    )
    return lines


def evaluations(
    store: Store, writer: Writer, request: Request, values: Mapping[str, Any], launch: Launch, at: datetime
) -> Ensured:
    """Make sure of the evaluations of the fronts of evolutions, each named by its evolution ('evolve 12')."""
    connection = writer.connection
    made = []
    for found in evolutions(connection, request.study, request.from_evolve or "", request.preset):
        best = front(store, connection, found)
        wanted = orders(found, best, values, request.preset, request.seeds, request.repeats)
        named = replace(launch, label=launch.label or f"evolve {found.id}")
        made.append(graph.ensure(writer, request.study, wanted, named, at))
    ids = tuple(dict.fromkeys(job for part in made for job in part.ids))
    return Ensured(ids=ids, created=tuple(job for part in made for job in part.created))


def evolutions(connection: Connection, study: str, chosen: str, preset: str) -> list[StoredJob]:
    """The evolutions that `--from-evolve all|JOB[,JOB]` means. Raises BadInput."""
    if chosen == "all":
        alive = [state for state in JobState if state is not JobState.CANCELLED]
        every = jobs.select(connection, study=study, kinds=["evolve"], states=alive)
        found = [job for job in every if job.preset == preset]
        if not found:
            raise BadInput(
                f"study '{study}' has no evolution of preset '{preset}': submit one with "
                f"'orch submit evolve --preset {preset}'"
            )
        return found
    found = []
    for word in chosen.split(","):
        if not word.strip().isdigit():
            raise BadInput(f"--from-evolve takes 'all' or job ids (got '{word}')")
        job = jobs.get(connection, int(word))
        if job.kind != "evolve":
            raise BadInput(f"job {job.id} is of the kind {job.kind}, not evolve: 'orch status' lists the jobs")
        found.append(job)
    return found


def front(store: Store, connection: Connection, evolution: StoredJob) -> list[str]:
    """The architectures on the front of a finished evolution as texts, the smallest first. Raises BadInput."""
    from jobs.shortcuts.evolution import Evolution, edges_of, from_text
    from jobs.shortcuts.evolution import front as best

    last = _last_step(connection, evolution)
    config = msgspec.convert(evolution.config, EvolveConfig)
    finished = last.state is JobState.SUCCEEDED and last.config.get("generation", 1) >= config.generations
    place = results.accepted_execution(connection, last.id) if last.kind == "evolve-step" and finished else None
    if place is None:
        raise BadInput(
            f"evolution {evolution.id} has no front yet: its newest step, job {last.id}, is {last.state}; "
            f"'orch explain {last.id}' says why"
        )
    outcome = read_json(store.layout.attempt(last.id, place[0]) / place[1] / "outcome.json", Outcome)
    if outcome is None or not outcome.state:
        raise BadInput(f"evolution {evolution.id}: the outcome of its last step, job {last.id}, cannot be read")
    fitness = msgspec.convert(outcome.state, Evolution).fitness
    return [text_of(edges_of(from_text(genome))) for genome in best(fitness)]


def _last_step(connection: Connection, evolution: StoredJob) -> StoredJob:
    """The newest step of an evolution; itself where there is none yet."""
    last = evolution
    while True:
        following = [one.id for one in details.get(connection, last.id).needed_by if one.kind == "evolve-step"]
        if not following:
            return last
        last = jobs.get(connection, following[-1])


def orders(
    evolution: StoredJob,
    front: Sequence[str],
    values: Mapping[str, Any],
    preset: str,
    seeds: Sequence[int],
    repeats: int,
) -> list[Order]:
    """Trainings from scratch by Table 1's settings: the data set, the width and the images are the evolution's."""
    if repeats < 1:
        raise BadInput(f"--repeats must be at least 1 (got {repeats})")
    if "architecture" in values:
        raise BadInput("--from-evolve takes the architectures of a front: leave --architecture out")
    kind = kind_named("evaluate")
    own = msgspec.convert(evolution.config, EvolveConfig)
    taken = {name: getattr(own, name) for name in ("dataset", "width", "train_images")}
    return [
        Order(
            kind=kind,
            config=kind.configure({**taken, **values, "architecture": one, "repeat": repeat}, preset),
            seeds=seeds,
        )
        for one in front
        for repeat in range(repeats)
    ]
