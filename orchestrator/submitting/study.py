"""A study file submitted: its experiments one after another, each waiting for what it comes after."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from db import jobs, registered
from db.creation import Ensured
from db.store import Store
from jobs.errors import BadInput
from jobs.odd import to_text
from jobs.reported import Reported
from jobs.resources import Asked
from jobs.words import JobState
from orchestrator.settings import Settings
from orchestrator.studyfile.points import Point, check_jobs, count, expand
from orchestrator.studyfile.reading import Experiment, StudyFile, settings
from orchestrator.submitting import enqueueing, layouts
from orchestrator.submitting.enqueueing import Submitted
from orchestrator.submitting.parameters import check_names, check_variables
from orchestrator.submitting.points import check_used
from orchestrator.submitting.reporting import declaration
from orchestrator.submitting.request import Request

EXPERIMENT = "experiment"
"""The option of a job that names its `[[experiment]]`: how a study file knows what it made."""
FINISHED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)

GRAPH = "table2"

Terms = Callable[[Experiment], tuple[Asked, dict[str, Any]]]
"""What an experiment's resource keys ask for, as the command line reads them. Raises BadInput."""
Key = tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One experiment, ready to be submitted: a request for a program, or one for each point of a kind."""

    experiment: Experiment
    points: Sequence[Point]
    seeds: Sequence[int]
    requests: Sequence[Request]

    def asked(self) -> list[tuple[Point, int]]:
        """Each point with each of its seeds, in the order in which the requests' jobs come."""
        kinds = zip([[point] for point in self.points], self.requests, strict=False)
        groups = kinds if self.experiment.command is None else ((one.points or (), one) for one in self.requests)
        return [(point, seed) for points, request in groups for point in points for seed in request.seeds]


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the submit of one experiment made sure of."""

    experiment: Experiment
    results: Sequence[Submitted]
    jobs: Mapping[tuple[Key, int], int] = field(default_factory=dict)
    """Point and seed → job."""

    @property
    def ensured(self) -> Ensured:
        """The jobs of all its points."""
        ids = tuple(job for one in self.results for job in one.ensured.ids)
        return Ensured(ids=ids, created=tuple(job for one in self.results for job in one.ensured.created))


def plan(study: StudyFile, base: Request, terms: Terms) -> list[Part]:
    """The requests of every experiment, in an order in which each comes after what it waits for. Raises BadInput.

    `base`: what the command line and orch.toml say for all of them; an experiment's own keys win.
    """
    parts: dict[str, Part] = {}
    order = _in_order(study)
    _count(order)
    for experiment in order:
        try:
            before = parts[experiment.after] if experiment.after else None
            if before is not None and before.experiment.kind == GRAPH:
                raise BadInput(f"after names '{experiment.after}', which is {GRAPH}: a whole graph is no stage")
            parts[experiment.name] = _part(experiment, before, study, base, terms)
        except BadInput as error:
            if str(error).startswith(experiment.place):
                raise
            raise BadInput(f"{experiment.place}: {_in_a_file(str(error))}") from None
    layouts.check(study.path, study.tables, [(part.experiment, part.points) for part in parts.values()])
    return list(parts.values())


def _in_a_file(error: str) -> str:
    """An option that a sentence begins with, as the key that it is in a file: `--gpu-mem` is gpu_mem."""
    option = re.match(r"--([a-z][a-z-]*)(?= )", error)
    if option is None:
        return error
    key = {"exclude": "exclude_nodes", "metric": "metrics"}.get(option[1], option[1].replace("-", "_"))
    return key + error[option.end() :].removeprefix(f" ({key})")


def _count(order: Sequence[Experiment]) -> None:
    """Refuse what nobody could run before it is made, point by point. Raises BadInput."""
    found: dict[str, tuple[int, int]] = {}
    for experiment in order:
        try:
            points, seeds = count(experiment.sweep), len(experiment.seeds)
            if experiment.after:
                before = found[experiment.after]
                points, seeds = points * before[0], seeds if experiment.names_seeds else before[1]
            found[experiment.name] = points, seeds
            check_jobs(points, seeds)
        except BadInput as error:
            raise BadInput(f"{experiment.place}: {error}") from None


def submit(root: Path, settings: Settings, parts: Sequence[Part], *, dry_run: bool = False) -> list[Made]:
    """Make sure that all their jobs exist. Raises BadInput, DataError, StoreError.

    Everything is tried before anything is written. What a crash between two experiments leaves out, a repeat adds.
    """
    tried = [_one(root, settings, part, {}, dry_run=True) for part in parts]
    if dry_run:
        return tried
    for one in tried:
        if refusal := next((result.refusal for result in one.results if result.refusal), ""):
            raise BadInput(f"{one.experiment.place}: {refusal}")
    made: dict[str, Made] = {}
    for part in parts:
        made[part.experiment.name] = _one(root, settings, part, made, dry_run=False)
    return list(made.values())


def left_out(store: Store, study: str, made: Sequence[Made]) -> dict[str, list[tuple[int, bool]]]:
    """Jobs that an earlier state of the file made and this one does not: experiment → (id, whether it is finished)."""
    ids = {job for one in made for job in one.ensured.ids}
    found: dict[str, list[tuple[int, bool]]] = {}
    with store.read() as connection:
        rule = registered.in_force(connection, study)
        ids |= {one.job for one in (registered.seeds(connection, rule) if rule else ()) if one.job is not None}
        for job in jobs.select(connection, study=study):
            name = job.launching.options.get(EXPERIMENT)
            if name and job.id not in ids:
                found.setdefault(str(name), []).append((job.id, job.state in FINISHED))
    return found


def _in_order(study: StudyFile) -> list[Experiment]:
    by_name = {experiment.name: experiment for experiment in study.experiments}
    found: list[Experiment] = []
    for experiment in study.experiments:
        chain = [experiment]
        while chain[-1].after:
            following = by_name[chain[-1].after]  # reading has seen to it that it is there
            if following in chain:
                names = " → ".join(one.name for one in (*chain, following))
                raise BadInput(f"{experiment.place}: after goes round in a circle ({names})")
            chain.append(following)
        found += [one for one in reversed(chain) if one not in found]
    return found


def _part(experiment: Experiment, before: Part | None, study: StudyFile, base: Request, terms: Terms) -> Part:
    asked, options = terms(experiment)
    points = expand(experiment.sweep)
    seeds = experiment.seeds
    if before is not None:
        points = _behind(before.points, points)
        seeds = seeds if experiment.names_seeds else before.seeds
        missing = [seed for seed in seeds if seed not in before.seeds]
        if missing:
            raise BadInput(f"seeds has {missing[0]}, which '{before.experiment.name}' before it has not")
    options = {**base.options, **options, EXPERIMENT: experiment.name}
    request = replace(
        base,
        kind=experiment.kind,
        seeds=seeds,
        study=base.study or study.name,
        preset=experiment.preset or base.preset,
        device=experiment.device or base.device,
        backend=str(options.pop("backend", None) or base.backend),
        priority=int(options.pop("priority", None) or 0) or base.priority,
        asked=asked,
        options=options,
        label=experiment.name,
        cwd=study.path.parent.resolve(),
        canary=experiment.canary,
        max_running=study.max_running,
        max_fails=study.max_fails,
    )
    if experiment.command is None:
        one = [replace(request, values=settings(point.values)) for point in points]
        return Part(experiment=experiment, points=points, seeds=seeds, requests=one)
    names = list(dict.fromkeys(name for point in points for name in point.values))
    check_names(names, "it")
    check_variables(names, "parameters")
    argv = [to_text(word) for word in experiment.command]
    unused_ok = experiment.unused_ok or before is not None
    check_used(argv, points, "unused_ok = true", unused_ok=unused_ok, after=experiment.after)
    values: dict[str, Any] = {"argv": argv}
    if experiment.stop_signal:
        values["stop_signal"] = experiment.stop_signal
    request = replace(
        request,
        values=values,
        points=points,
        after=experiment.after,
        env=experiment.env,
        live=experiment.live,
        reported=_reported(experiment),
    )
    return Part(experiment=experiment, points=points, seeds=seeds, requests=[request])


def _reported(experiment: Experiment) -> Reported:
    """Where its numbers are. Raises BadInput."""
    place = f"{experiment.place}, [experiment.metrics"
    return Reported(
        result_files=tuple(experiment.result_files),
        tensorboard=tuple(experiment.tensorboard),
        metrics={name: declaration(f"{place}.{name}]", about) for name, about in experiment.metrics.items()},
    )


def _behind(before: Sequence[Point], own: Sequence[Point]) -> list[Point]:
    """Every point of the stage before, with every own point: it has the same parameters. Raises BadInput."""
    there = {name for point in before for name in point.values}
    twice = [name for point in own for name in point.values if name in there]
    if twice:
        raise BadInput(f"'{twice[0]}' is a parameter of the stage before already: its values hold here too")
    return [Point(values={**first.values, **second.values}, args=second.args) for first in before for second in own]


def _one(root: Path, settings: Settings, part: Part, made: Mapping[str, Made], *, dry_run: bool) -> Made:
    results = []
    for request in part.requests:
        if part.experiment.after and not dry_run:
            request = replace(request, needs=_needs(part, made[part.experiment.after]))
        elif part.experiment.after:
            request = replace(request, canary=False)  # what waits for other jobs has none
        try:
            results.append(enqueueing.submit(root, settings, request, dry_run=dry_run))
        except BadInput as error:
            raise BadInput(f"{part.experiment.place}: {_in_a_file(str(error))}") from None
    ids = [job for one in results for job in one.ensured.ids]
    wanted = [(key_of(point), seed) for point, seed in part.asked()]
    found = dict(zip(wanted, ids, strict=True)) if len(ids) == len(wanted) else {}
    return Made(experiment=part.experiment, results=results, jobs=found)


def _needs(part: Part, before: Made) -> list[dict[int, tuple[int, ...]]]:
    """For each point: seed → the job of the same parameters and seed in the stage before."""
    names = {name for key, _ in before.jobs for name, _, _ in key}
    found: list[dict[int, tuple[int, ...]]] = []
    for point in part.points:
        key = key_of(Point(values={name: item for name, item in point.values.items() if name in names}))
        found.append({seed: (before.jobs[key, seed],) for seed in part.seeds})
    return found


def key_of(point: Point) -> Key:
    """What a point is known by."""
    return tuple(sorted((name, item.value, item.quoted) for name, item in point.values.items()))
