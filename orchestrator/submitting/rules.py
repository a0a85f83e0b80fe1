"""`--until`: a study's rule, from its words to the first seeds of its sides and its entry in the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import msgspec

from db import jobs, registered
from db.registered import Registered
from db.stopping import Rule, Side
from db.store import Store
from jobs.commands import Parameter
from jobs.errors import BadInput
from jobs.files import now
from orchestrator.stopping import grammar
from orchestrator.stopping.grammar import Wish
from orchestrator.stopping.planning import plan
from orchestrator.studyfile.points import Point
from orchestrator.submitting.study import GRAPH, Made, Part, key_of
from orchestrator.tables.differences import is_value
from orchestrator.tables.values import Name
from orchestrator.text import plain

EXPERIMENT = "experiment"
"""What a side may name beside parameters: the `[[experiment]]`."""
MOST_NAMED = 8


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A rule that can be registered once its first seeds are there."""

    wish: Wish
    at_most: int
    anytime: bool
    looks: tuple[int, ...]
    sides: tuple[tuple[str, Point], ...]
    """(experiment, point) of each."""


def asked(text: str, at_most: int | None, anytime: bool, parts: Sequence[Part]) -> Asked:
    """What a person asks for, found in the study. Raises BadInput."""
    wish = grammar.parse(text)
    if at_most is None:
        raise BadInput("--until (until) needs --at-most N (at_most): the most seeds a side, planned before the first")
    if wish.futile and anytime:
        raise BadInput("'or futile' asks what a planned maximum can still show, and --anytime plans none: drop one")
    if wish.margin is not None and anytime:
        raise BadInput("--anytime is for A > B: a ± rule has none")
    looks = plan(at_most, margin=wish.margin is not None, futile=wish.futile, anytime=anytime)
    sides = tuple(_found(side, parts) for side in wish.sides)
    if len(set(map(_identity, sides))) < len(sides):
        raise BadInput(f"both sides of the rule '{wish.text}' are the same point of the study: name another one")
    return Asked(wish=wish, at_most=at_most, anytime=anytime, looks=looks, sides=sides)


def _identity(side: tuple[str, Point]) -> tuple[object, ...]:
    return side[0], key_of(side[1])


def first_seeds(parts: Sequence[Part], rule: Asked) -> list[Part]:
    """The parts, in which the sides of the rule have the seeds of its first look; other points have their own."""
    mine = {_identity(side) for side in rule.sides}
    seeds = range(rule.looks[0])
    found = []
    for part in parts:
        its = [(part.experiment.name, key_of(point)) in mine for point in part.points]
        if not any(its):
            found.append(part)
        elif part.experiment.command is None:
            requests = [
                replace(one, seeds=seeds) if is_side else one for one, is_side in zip(part.requests, its, strict=True)
            ]
            found.append(replace(part, requests=requests))
        else:
            (whole,) = part.requests
            sides = [point for point, is_side in zip(part.points, its, strict=True) if is_side]
            others = [point for point, is_side in zip(part.points, its, strict=True) if not is_side]
            requests = [replace(whole, points=sides, seeds=seeds)]
            requests += [replace(whole, points=others)] if others else []
            found.append(replace(part, requests=requests))
    return found


def register(store: Store, study: str, rule: Asked, made: Sequence[Made]) -> bool:
    """Write the rule into the journal, unless it is the one in force; whether it is new.

    Raises BadInput where a side rests on imported results.
    """
    by_name = {one.experiment.name: one for one in made}
    names = rule.wish.sides
    sides = tuple(
        Side(", ".join(f"{key}={value}" for key, value in said.items()), by_name[name].jobs[key_of(point), 0])
        for said, (name, point) in zip(names, rule.sides, strict=True)
    )
    entry = Rule(
        study=study,
        text=rule.wish.text,
        metric=rule.wish.metric,
        sides=sides,
        less=rule.wish.less,
        margin=rule.wish.margin,
        futile=rule.wish.futile,
        anytime=rule.anytime,
        at_most=rule.at_most,
        looks=rule.looks,
        at=now(),
    )
    with store.write() as writer:
        connection = writer.connection
        if imported := [one for one in jobs.get_many(connection, [side.job for side in sides]) if one.imported]:
            raise BadInput(f"job {imported[0].id} was imported: orch cannot run more seeds of it, so no rule can")
        newest = registered.in_force(connection, study)
        if newest is not None and msgspec.structs.replace(newest.rule, at=entry.at, before=0) == entry:
            return False
        every = Registered(rule=entry, seeds=rule.at_most)
        before = sum(bool(one.reported) for one in registered.seeds(connection, every))
        writer.decide([msgspec.structs.replace(entry, before=before)])
    return True


def _found(side: Mapping[str, str], parts: Sequence[Part]) -> tuple[str, Point]:
    """The one point that a side names. Raises BadInput."""
    said = ", ".join(f"{name}={value}" for name, value in side.items())
    every = [(part, point) for part in parts for point in part.points]
    for name, value in side.items():
        _check(name, value, every)
    found = [
        (part, point) for part, point in every if all(_has(part, point, name, value) for name, value in side.items())
    ]
    if not found:
        raise BadInput(f"no point of the study is {said}: its values never come together")
    if len(found) > 1:
        shown = " or ".join(f"'{_more(said, side, part, point, found)}'" for part, point in found[:2])
        raise BadInput(f"{said} is {len(found)} points of the study: say which in the rule, like {shown}")
    part, point = found[0]
    if part.experiment.kind == GRAPH:
        raise BadInput(f"{part.experiment.place} is a whole graph: a rule is for experiments of one program or kind")
    if part.experiment.after or any(one.experiment.after == part.experiment.name for one in parts):
        raise BadInput(f"{part.experiment.place} is a stage of others: a rule is for an experiment without stages")
    return part.experiment.name, point


def _value(part: Part, point: Point, name: str) -> str | None:
    item: Parameter | None = point.values.get(name)
    if item is None:
        return part.experiment.name if name == EXPERIMENT else None
    return Name(item.value) if item.quoted else item.value


def _has(part: Part, point: Point, name: str, wanted: str) -> bool:
    found = _value(part, point, name)
    return found is not None and is_value(found, wanted)


def _check(name: str, wanted: str, every: Sequence[tuple[Part, Point]]) -> None:
    """Raise BadInput for a name or a value that no point has."""
    there = {text: None for part, point in every if (text := _value(part, point, name)) is not None}
    if not there:
        names = list(dict.fromkeys(key for _, point in every for key in point.values))
        near = get_close_matches(name, names, n=1)
        known = f"its parameters are {', '.join(names[:MOST_NAMED])}" if names else "it varies nothing"
        hint = f"did you mean '{near[0]}'?" if near else known
        raise BadInput(f"the rule names '{plain(name)}', which is no parameter of the study: {hint}")
    if not any(is_value(text, wanted) for text in there):
        values = ", ".join(list(there)[:MOST_NAMED])
        raise BadInput(f"no point of the study is {plain(name)}={plain(wanted)}: {name} is {values}")


def _more(said: str, side: Mapping[str, str], part: Part, point: Point, found: Sequence[tuple[Part, Point]]) -> str:
    """What a person might say to mean that point."""
    for name in point.values:
        if name not in side and len({_value(other, one, name) for other, one in found}) > 1:
            return f"{said},{name}={_value(part, point, name)}".replace(", ", ",")
    return f"{said},{EXPERIMENT}={part.experiment.name}".replace(", ", ",")
