"""Footnotes about rehearsals: which numbers come from programs that were seen to survive a kill."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from db.seals import Seal, Standing, Verdict
from orchestrator.tables.afterthoughts import notes
from tests.helpers.plausible import row

WHOLE = {"kill": 5, "term": 1}


def standing(verdict: Verdict, tried: dict[str, int], *untried: str, own: bool = True) -> Standing:
    at = datetime(2026, 11, 27, tzinfo=UTC)
    return Standing(seal=Seal(code="c", program="p", verdict=verdict, tried=tried, untried=untried, at=at), own=own)


def test_a_table_says_which_numbers_are_of_programs_that_were_rehearsed() -> None:
    sure = standing(Verdict.BIT_IDENTICAL, WHOLE)
    known = [
        sure,
        sure,
        standing(Verdict.EQUAL_WITHIN_NOISE, {"kill": 2}, "term", "write"),
        standing(Verdict.BIT_IDENTICAL, {"kill": 4, "term": 1}),
        standing(Verdict.NOT_RESUMABLE, {"kill": 1}, "term"),
        standing(Verdict.WRONG, WHOLE, own=False),
        None,
    ]
    plain = [row(job) for job in range(1, len(known) + 1)]
    assert notes(plain) == []
    told = notes([replace(one, resume=seal, rehearsing=True) for one, seal in zip(plain, known, strict=True)])
    assert told == [
        "not rehearsed: job 7",
        "not resumable: job 5",
        "resume verified: bit-identical: jobs 1–2",
        "resume verified: bit-identical, in part (tried: kill (4), term): job 4",
        "resume verified: equal within noise, in part (tried: kill (2); not tried: term, write): job 3",
        "wrong after resuming, with other arguments: job 6",
    ]


def test_what_has_no_number_or_was_dropped_gets_no_footnote() -> None:
    one = replace(row(1), rehearsing=True)
    assert notes([replace(one, metrics={})]) == []
    assert all("rehearsed" not in note for note in notes([replace(one, dropped="a slip")]))
