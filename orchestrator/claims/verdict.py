"""The verdict on a claim: what is there, what was taken out, and whether the table is what its results give. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from jobs.errors import BadInput
from orchestrator.claims import chain, naming, rules, tabled
from orchestrator.claims.findings import Case, Finding, Verdict
from orchestrator.claims.ledger import Event, Job, Ledger, fold
from orchestrator.claims.records import Claim, digest_of, rows_of, short
from orchestrator.tables.varying import by_importance
from orchestrator.views.words import plural

NONSENSE = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError)
"""What values of kinds that no orch writes may raise anywhere in a table."""


def judge(claim: Claim, data: bytes) -> Verdict:
    """The verdict from the claim alone. Raises BadInput for what cannot be read at all."""
    try:
        return _judge(claim, data)
    except NONSENSE as error:
        raise BadInput(f"it is no claim: it holds what no orch writes ({short(error)})") from None


def _judge(claim: Claim, data: bytes) -> Verdict:
    rows = rows_of(claim)
    ledger = fold(chain.entries(claim))
    mine = ledger.of(claim.study)
    verdict = Verdict(study=claim.study, digest=digest_of(data), head=f"{len(claim.files)}:{claim.head}")
    names = naming.labels(list(ledger.jobs.values()))
    wanted = by_importance(name for row in rows for name in row.metrics)
    case = Case(
        verdict=verdict, names=names, wanted=[*(["test_accuracy"] if "test_accuracy" in wanted else []), *wanted]
    )
    cells = sorted({job.cell for job in mine})
    for fault in [*chain.faults(claim), *chain.hidden(claim, cells)]:
        verdict.findings.append(Finding(what="journal", text=f"journal file {fault.n}: {fault.text}", file=fault.n))
    for lost in ledger.lost:
        verdict.findings.append(
            Finding(what="lost", text=f"journal file {lost.file} was lost ({lost.why}), with {_lost(lost.jobs)}")
        )
    _count(case, mine)
    for job in mine:
        _of_job(case, job)
    _elsewhere(case, ledger, mine, cells, claim.study)
    tabled.against_rows(case, mine, rows)
    tabled.filtered(case, claim, rows)
    tabled.table_again(case, claim, rows)
    rules.against_rows(case, rules.history(chain.entries(claim), ledger, claim.study), ledger, rows)
    _remarks(case, claim, mine)
    return verdict


def _lost(jobs: Sequence[int]) -> str:
    return f"job{'s' if len(jobs) > 1 else ''} {', '.join(map(str, jobs))}" if jobs else "no job, as far as is known"


def _counts(job: Job, wanted: Sequence[str]) -> bool:
    """Whether it has a number in the table."""
    return job.metrics is not None and job.dropped is None and any(job.metrics.get(name) is not None for name in wanted)


def _count(case: Case, mine: Sequence[Job]) -> None:
    verdict = case.verdict
    verdict.asked = len(mine)
    verdict.have = sum(_counts(job, case.wanted) for job in mine)
    verdict.dropped = sum(job.dropped is not None for job in mine)
    groups: dict[str, list[Job]] = {}
    for job in mine:
        groups.setdefault(case.names[job.cell], []).append(job)
    verdict.cells = {
        name: (sum(_counts(job, case.wanted) for job in these), len(these)) for name, these in sorted(groups.items())
    }
    if any(len({job.seed for job in these}) < len(these) for these in groups.values()):
        verdict.noun = "runs"
    before: Counter[str] = Counter()
    for job in mine:
        causes = [event.why for event in job.events if event.what == "resubmitted"]
        causes += ["a person's retry" for event in job.events if event.what == "again" and not _told(case, job, event)]
        before.update(dict.fromkeys(causes, 1))
        verdict.after += any(
            event.what == "superseded" or (event.what == "again" and _told(case, job, event)) for event in job.events
        )
    verdict.before = dict(sorted(before.items()))


def _told(case: Case, job: Job, event: Event) -> bool:
    """Whether a number that the table is made of was known when a person had it run again."""
    names = set(job.metrics or {}) or set(case.wanted)
    return event.known is not None and any(
        value is not None and name in names for name, value in event.known.numbers.items()
    )


def _of_job(case: Case, job: Job) -> None:
    for event in job.events:
        seen = case.seen(event)
        if event.what == "superseded":
            case.say(
                "superseded", job, f"ran again by hand after its number was known: it was {seen.strip() or 'there'}"
            )
        elif event.what == "again" and _told(case, job, event):
            case.say("again", job, f"was {event.why}{seen}, and ran again by hand")
    last = {event.what: event for event in job.events}
    if job.dropped is not None:
        event = last["dropped"]
        had = case.seen(event) or (f" with {case.number(job.metrics)}" if job.metrics else "")
        case.say("dropped", job, f"was dropped by hand{had}: {job.dropped}")
    elif job.state == "cancelled":
        event = last["cancelled"]
        case.say("cancelled", job, f"was cancelled{case.seen(event)}{f' ({event.why})' if event.why else ''}")
    elif job.state == "failed":
        end = last.get("failed")
        case.say("failed", job, f"failed{case.seen(end)}: {end.why}" if end else "failed elsewhere")
    elif job.metrics is None:
        case.say("open", job, "has no number yet")
    elif not _counts(job, case.wanted):
        case.say("unfinite", job, "has no finite number")
    if job.source:
        case.say("imported", job, f"was imported from {job.source}: no journal tells how it came to be")


def _elsewhere(case: Case, ledger: Ledger, mine: Sequence[Job], cells: Sequence[str], study: str) -> None:
    """The same cells in other studies: what was asked for there, and is not here, or is another number."""
    here: dict[tuple[str, int], list[Job]] = {}
    for job in mine:
        here.setdefault((job.cell, job.seed), []).append(job)
    alike: Counter[str] = Counter()
    for job in ledger.jobs.values():
        if job.study == study or job.cell not in cells:
            continue
        same = here.get((job.cell, job.seed), [])
        if job.metrics is not None and any(one.metrics == job.metrics for one in same):
            alike[job.study] += 1
            continue
        shown = [event for event in job.events if event.what in ("cancelled", "failed")]
        had = (
            f"with {case.number(job.metrics)}" if job.metrics else f"{job.state}{case.seen(shown[-1]) if shown else ''}"
        )
        numbers = [case.number(one.metrics) for one in same if one.metrics]
        if not same:
            so = "and not in this one"
        elif numbers:
            so = f"here it has {' and '.join(numbers)}"
        else:
            so = "here it has none"
        gone = f", dropped there ({job.dropped})" if job.dropped is not None else ""
        case.say("elsewhere", job, f"is in study '{job.study}' too, {had}{gone}; {so}")
    for name, n in sorted(alike.items()):
        case.verdict.remarks.append(f"{n} of the jobs ran in study '{name}' too, with the same numbers")


def _remarks(case: Case, claim: Claim, mine: Sequence[Job]) -> None:
    remarks = case.verdict.remarks
    for what, text in (
        ("corrected", "read again from their run folders, by a newer rule"),
        ("undone", "given back by hand what was accepted first ('orch correct --undo')"),
    ):
        these = [job.id for job in mine if any(event.what == what for event in job.events)]
        if these:
            remarks.append(f"{plural(len(these), 'result')} {'was' if len(these) == 1 else 'were'} {text}")
    gone = sum(not one.outcome for one in claim.ran)
    if gone:
        remarks.append(f"{plural(gone, 'outcome file')} {'was' if gone == 1 else 'were'} gone when the claim was made")
    codes = {one.code for one in claim.ran}
    if len(codes) > 1:
        remarks.append(f"the jobs ran {len(codes)} different codes: " + "; ".join(sorted(codes)[:3]))
    kept = [job for job in mine if job.dropped is None and any(event.what == "kept" for event in job.events)]
    if kept:
        remarks.append(f"{plural(len(kept), 'job')} {'was' if len(kept) == 1 else 'were'} dropped and taken back")
    if not case.wanted:
        remarks.append("no job has a number yet")
