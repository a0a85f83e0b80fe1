"""The rules of a claim's study (`orch submit --until`): folded from its entries, the newest look made again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from db.entries import Entry
from db.registered import Registered
from db.rows import ResultRow
from db.stopping import BY_HAND, GOES_ON, REPLACED, Look, Rule
from orchestrator.claims.findings import Case, Finding
from orchestrator.claims.ledger import Job, Ledger
from orchestrator.stopping.deciding import judge
from orchestrator.stopping.planning import LOOKS, MOST
from orchestrator.stopping.wording import sentences

HOW = {"dropped": "was dropped", "superseded": "was run again after its number was known"}


def history(entries: Iterable[tuple[int, Entry]], ledger: Ledger, study: str) -> list[Registered]:
    """All rules of the study, as the store's database has them (db/registered.py)."""
    found: list[Registered] = []
    events = [(event.n, job, event.what) for job in ledger.of(study) for event in job.events if event.what in HOW]
    steps: list[tuple[int, int, Rule | Look | tuple[Job, str]]] = [(n, 1, (job, what)) for n, job, what in events]
    steps += [(n, 0, entry) for n, entry in entries if isinstance(entry, Rule | Look) and entry.study == study]
    for _, _, step in sorted(steps, key=lambda one: one[:2]):
        newest = found[-1] if found else None
        if isinstance(step, Rule):
            if newest is not None and newest.verdict == GOES_ON:
                found[-1] = replace(newest, verdict=REPLACED)
            found.append(Registered(rule=step, seeds=step.looks[0]))
        elif newest is None:
            continue
        elif isinstance(step, Look):
            if newest.verdict == GOES_ON:
                found[-1] = replace(newest, look=step, seeds=max(newest.seeds, step.seeds), verdict=step.verdict)
        elif newest.verdict != BY_HAND and (side := _side(newest, step[0], ledger)):
            found[-1] = replace(newest, verdict=BY_HAND, why=f"seed {step[0].seed} of {side} {HOW[step[1]]}")
    return found


def _side(rule: Registered, job: Job, ledger: Ledger) -> str:
    """The side that a job counts for, by its name; empty where it counts for none."""
    for side in rule.rule.sides:
        first = ledger.jobs.get(side.job)
        if first is not None and job.seed < rule.seeds and (job.kind, job.config) == (first.kind, first.config):
            return side.name
    return ""


def against_rows(case: Case, found: Sequence[Registered], ledger: Ledger, rows: Sequence[ResultRow]) -> None:
    """What a reader must know of the rule; that the look says what the results give."""
    if not found:
        return
    newest, verdict = found[-1], case.verdict
    standing, *odd = sentences(found)
    if newest.verdict == BY_HAND:
        verdict.findings.append(Finding(what="rule", text=standing))
    else:
        verdict.remarks.append(standing)
    verdict.findings += [Finding(what="rule", text=text) for text in odd]
    values = _values(newest, ledger, rows)
    if newest.look is None or newest.verdict == BY_HAND or values is None:
        return
    again = judge(newest.rule, values, newest.look.at)
    if (again.verdict, again.p, again.mean) != (newest.look.verdict, newest.look.p, newest.look.mean):
        text = f"the look at n = {again.n} says '{newest.look.verdict}' (p = {newest.look.p}), its results give "
        verdict.findings.append(Finding(what="rule", text=f"{text}'{again.verdict}' (p = {again.p})"))


def _values(rule: Registered, ledger: Ledger, rows: Sequence[ResultRow]) -> list[list[float]] | None:
    """Of each side the numbers that the newest look was at; None where one is not in the claim, or no orch looks so."""
    plan = rule.rule
    if rule.look is None or rule.look.n not in plan.looks or len(plan.looks) > LOOKS or plan.at_most > MOST:
        return None
    found = []
    for side in rule.rule.sides:
        first = ledger.jobs.get(side.job)
        own = {
            row.seed: row.metrics.get(rule.rule.metric)
            for row in rows
            if first is not None and (row.kind, row.config) == (first.kind, first.config)
        }
        told = [value for seed in range(min(rule.look.n, MOST)) if (value := own.get(seed)) is not None]
        if len(told) < rule.look.n:
            return None
        found.append(told)
    return found
