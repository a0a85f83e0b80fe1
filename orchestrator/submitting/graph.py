"""Jobs that rest on other jobs: evaluations and matched baselines of searches, and all of Table 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from db import creation, jobs
from db.creation import Ensured
from db.jobs import StoredJob
from db.writer import Writer
from jobs.errors import BadInput
from jobs.kind import kind_named
from jobs.words import JobState
from orchestrator.submitting.planning import Launch, Order, templates_and_wanted


def ensure(
    writer: Writer,
    study: str,
    orders: Sequence[Order],
    launch: Launch,
    at: datetime,
    same: Mapping[str, Sequence[StoredJob]] | None = None,
) -> Ensured:
    """Make sure that the jobs of these orders exist. `same`: key → jobs of an earlier version that are the same."""
    templates, wanted = templates_and_wanted(orders, launch)
    if same:
        wanted = [replace(item, same=tuple(job.id for job in same.get(item.key, ()))) for item in wanted]
    return creation.ensure(writer, study, templates, wanted, at)


def searches(connection: Connection, study: str, chosen: str, preset: str) -> list[StoredJob]:
    """The searches that `--from-search all|JOB[,JOB]` means. Raises BadInput."""
    if chosen == "all":
        alive = [state for state in JobState if state is not JobState.CANCELLED]
        found = jobs.select(connection, study=study, kinds=["search"], states=alive)
        others = sorted({job.preset for job in found} - {preset})
        found = [job for job in found if job.preset == preset]
        if not found:
            mend = (
                f"it has some of --preset {' and of --preset '.join(others)}"
                if others
                else f"submit some with 'orch submit search --method A --preset {preset}'"
            )
            raise BadInput(f"study '{study}' has no searches of preset '{preset}': {mend}")
        return found
    found = []
    for word in chosen.split(","):
        if not word.strip().isdigit():
            raise BadInput(f"--from-search takes 'all' or job ids (got '{word}')")
        job = jobs.get(connection, int(word))
        if job.kind != "search":
            raise BadInput(f"job {job.id} is a {job.kind}, not a search: 'orch status' lists the jobs")
        found.append(job)
    return found


def readouts(search: StoredJob) -> list[int]:
    """The epochs at which a search reads architectures out."""
    config = msgspec.convert(search.config, kind_named("search").config)
    return [int(epoch) for epoch in msgspec.to_builtins(config).get("readouts", (50, 100, 150))]


def epochs_of(text: str | None) -> list[int] | None:
    """`--epochs 50,100,150`. Raises BadInput."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdigit() and int(word) > 0 for word in words) or len(set(words)) != len(words):
        raise BadInput(f"--epochs takes epochs of the search, like 50,100,150 (got '{text}')")
    return [int(word) for word in words]


def from_searches(
    kind_name: str,
    found: Sequence[StoredJob],
    epochs: Sequence[int] | None,
    values: Mapping[str, Any],
    preset: str,
    repeats: int,
) -> list[Order]:
    """One job per search replicate, read-out epoch and repeat; its seed is the search's. Raises BadInput."""
    if repeats < 1:
        raise BadInput(f"--repeats must be at least 1 (got {repeats})")
    kind = kind_named(kind_name)
    orders = []
    for search in found:
        there = readouts(search)
        wrong = [epoch for epoch in epochs or () if epoch not in there]
        if wrong:
            text = ", ".join(map(str, there))
            raise BadInput(f"search {search.id} has no read-out at epoch {wrong[0]}: it has {text}")
        for epoch in epochs or there:
            for repeat in range(repeats):
                config = kind.configure(
                    {
                        **_recipe(search, preset),
                        **values,
                        "search": search.id,
                        "search_epoch": epoch,
                        "method": search.config["method"],
                        "pretrained": search.config.get("pretrained", False),
                        "repeat": repeat,
                    },
                    preset,
                )
                orders.append(Order(kind=kind, config=config, seeds=[search.seed], needs=(search.id,)))
    return orders


def _recipe(search: StoredJob, preset: str) -> dict[str, Any]:
    """What an architecture's training takes over from its search: the data set, the width, the number of images."""
    config = msgspec.to_builtins(msgspec.convert(search.config, kind_named("search").config))
    return {name: config[name] for name in ("dataset", "width", "train_images") if name in config}


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One line of a graph: what it makes, of how many, and what it costs."""

    what: str
    count: int
    new: int
    epochs: int
    """Training epochs in all."""


def table2(
    writer: Writer,
    study: str,
    seeds: Sequence[int],
    values: Mapping[str, Any],
    preset: str,
    match: str,
    launch: Launch,
    at: datetime,
) -> tuple[Ensured, list[Planned]]:
    """All jobs of Table 2: searches A and B, evaluations at their read-outs, matched random nets, VGG19.

    Idempotent: with more seeds only the missing jobs are added.
    """
    search, evaluate = kind_named("search"), kind_named("evaluate")
    known = {field.name for field in msgspec.structs.fields(search.config)}
    wrong = [key for key in values if key not in known]
    if wrong:
        search.configure(values, preset)  # raises with the nearest match
    made: list[Ensured] = []
    planned: list[Planned] = []

    def add(what: str, orders: Sequence[Order], epochs: int) -> Ensured:
        found = ensure(writer, study, orders, launch, at)
        made.append(found)
        planned.append(Planned(what=what, count=len(found.ids), new=len(found.created), epochs=epochs * len(found.ids)))
        return found

    shared = {name for name in known if name in {f.name for f in msgspec.structs.fields(evaluate.config)}}
    own = {key: value for key, value in values.items() if key in shared and key != "pretrained"}
    for method in ("A", "B"):
        config = search.configure({**values, "method": method}, preset)
        epochs = int(getattr(config, "epochs", 1))
        found = add(f"search {method}", [Order(kind=search, config=config, seeds=seeds)], epochs)
        replicates = jobs.get_many(writer.connection, found.ids)
        training = {key: value for key, value in own.items() if key != "epochs"}
        for name, extra in (("evaluate", {}), ("random-baseline", {"match": match})):
            orders = from_searches(name, replicates, None, {**training, **extra}, preset, 1)
            length = int(getattr(orders[0].config, "epochs", 1))
            add(f"{name} of {method} at {', '.join(map(str, readouts(replicates[0])))}", orders, length)
    baseline = evaluate.configure(
        {**{key: value for key, value in own.items() if key != "epochs"}, "architecture": "vgg19"}, preset
    )
    add("evaluate vgg19", [Order(kind=evaluate, config=baseline, seeds=seeds)], int(getattr(baseline, "epochs", 1)))
    ids = tuple(job for part in made for job in part.ids)
    return Ensured(ids=ids, created=tuple(job for part in made for job in part.created)), planned
