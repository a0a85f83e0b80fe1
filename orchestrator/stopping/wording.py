"""A rule in words, for status, tables and claims: how far it is, what was decided, what is not as registered. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db.registered import Registered, Seed
from db.stopping import BY_HAND, DECIDED, FUTILE, GOES_ON, OPPOSITE, PRECISE, UNDECIDED, Look, Rule
from jobs.words import JobState
from orchestrator.text import plain

MOST_LOOKS = 4
MOST_NAMED = 4


def sentences(history: Sequence[Registered], seeds: Sequence[Seed] = ()) -> list[str]:
    """What a reader of the study's numbers must know of its rules: the one in force, then what is odd about it.

    `seeds`: those of the rule in force, where its progress is to be told.
    """
    if not history:
        return []
    newest = history[-1]
    return [f"{_head(newest)}: {_standing(newest, seeds)}", *_odd(history)]


def _head(one: Registered) -> str:
    return f"rule of {one.rule.at:%Y-%m-%d} '{plain(one.rule.text)}'"


def _standing(one: Registered, seeds: Sequence[Seed]) -> str:
    rule, look = one.rule, one.look
    most = f"of at most {rule.at_most}"
    if one.verdict == BY_HAND:
        before = f", after it was {_before(look)}" if look is not None and look.verdict != GOES_ON else ""
        return f"stopped by hand: {plain(one.why)}{before}"
    if one.verdict == GOES_ON or look is None:
        return progress(one, seeds)
    at = f"at n = {look.n} {most}"
    if one.verdict == UNDECIDED:
        why = f" ({plain(look.why)})" if look.why else ""
        return f"not decided {at}{why}{_numbers(rule, look)}"
    if one.verdict == FUTILE:
        return f"futile {at}: more seeds would hardly show a difference{_numbers(rule, look)}"
    if one.verdict == PRECISE:
        return f"decided {at}{_numbers(rule, look)}"
    opposite = one.verdict == OPPOSITE
    first, second = (plain(side.name) for side in rule.sides)
    sign = "<" if rule.less != opposite else ">"
    against = ", against what the rule names" if opposite else ""
    return f"decided {at}{against}: {first} {sign} {second}{_numbers(rule, look)}"


def _before(look: Look) -> str:
    words = {DECIDED: "decided", OPPOSITE: "decided", PRECISE: "decided", FUTILE: "futile"}
    return f"{words.get(look.verdict, 'not decided')} at n = {look.n}"


def _numbers(rule: Rule, look: Look) -> str:
    """', difference 0.42 (0.11 to 0.73, adjusted for stopping), p = 0.003'."""
    if look.mean is None:
        return ""
    what = "mean" if rule.margin is not None else "difference"
    said = f"; {what} {look.mean:.4g}"
    if look.low is not None and look.high is not None:
        adjusted = "95 %" if rule.margin is not None else "95 %, adjusted for stopping"
        said += f" ({look.low:.4g} to {look.high:.4g}, {adjusted})"
    if look.p is not None and look.bound is not None:
        said += f", p = {look.p:.2g} (decides from {look.bound:.2g} down)"
    return said


def progress(one: Registered, seeds: Sequence[Seed]) -> str:
    """How far a rule is that goes on."""
    held = holds(one, seeds)
    if held:
        return f"undecided: {held}"
    rule = one.rule
    complete = one.seeds - len({seed.seed for seed in seeds if seed.value is None}) if seeds else 0
    left = [n for n in rule.looks if n >= one.seeds]
    shown = ", ".join(map(str, left[:MOST_LOOKS])) + (", …" if len(left) > MOST_LOOKS else "")
    noun = "seeds" if len(rule.sides) == 1 else "pairs of seeds"
    there = f"{complete} of {one.seeds} {noun} have numbers, " if seeds else ""
    looked = f"not decided at n = {one.look.n}, " if one.look is not None else ""
    return f"{looked}{there}looks at n = {shown} of at most {rule.at_most}"


def holds(one: Registered, seeds: Sequence[Seed]) -> str:
    """Which seed holds the decision until a person does something; empty where none does."""
    for seed in sorted(seeds, key=lambda each: (each.seed, each.side)):
        ended = seed.state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
        if seed.value is not None or not (ended or seed.job is None):
            continue
        side = plain(one.rule.sides[seed.side].name)
        if seed.job is None:
            return f"seed {seed.seed} of {side} has no job"
        said = f"seed {seed.seed} has no number ({side}, job {seed.job}"
        if seed.state is not JobState.SUCCEEDED:
            return f"{said}, {seed.state}); 'orch retry {seed.job}' goes on"
        if one.rule.metric in seed.reported:
            return f"{said}: its {plain(one.rule.metric)} is not finite, or was dropped)"
        names = ", ".join(plain(name) for name in seed.reported[:MOST_NAMED]) or "no number"
        return f"{said} reported no {plain(one.rule.metric)}, but {names})"
    return ""


def _odd(history: Sequence[Registered]) -> list[str]:
    newest, found = history[-1], []
    if newest.rule.before:
        n = newest.rule.before
        what = "result was" if n == 1 else "results were"
        found.append(f"the rule was registered when {n} {what} known already: its 5 % holds only if none led to it")
    for one in history[:-1]:
        looks = f", looked at n = {one.look.n}" if one.look is not None else ""
        ended = f", {_before(one.look)}" if one.look is not None and one.look.verdict != GOES_ON else looks
        found.append(
            f"the rule was changed on {newest.rule.at:%Y-%m-%d}: before it was '{plain(one.rule.text)}', at most "
            f"{one.rule.at_most}{', anytime' if one.rule.anytime else ''}, of {one.rule.at:%Y-%m-%d}{ended}"
        )
    return found


def as_json(history: Sequence[Registered], seeds: Sequence[Seed]) -> dict[str, Any] | None:
    """The rule in force, for scripts; None where there is none."""
    if not history:
        return None
    newest = history[-1]
    rule, look = newest.rule, newest.look
    return {
        "text": rule.text,
        "registered_at": rule.at.isoformat(),
        "metric": rule.metric,
        "sides": [side.name for side in rule.sides],
        "at_most": rule.at_most,
        "anytime": rule.anytime,
        "looks": list(rule.looks),
        "seeds": newest.seeds,
        "verdict": newest.verdict,
        "why": newest.why or (holds(newest, seeds) if newest.verdict == GOES_ON else ""),
        "n": look.n if look else None,
        "p": look.p if look else None,
        "decides_from": look.bound if look else None,
        "mean": look.mean if look else None,
        "interval": None if look is None or look.low is None else [look.low, look.high],
        "known_before": rule.before,
        "changed": len(history) - 1,
        "said": sentences(history, seeds),
    }
