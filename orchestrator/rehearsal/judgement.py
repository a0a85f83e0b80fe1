"""The verdicts that there are, on one run and on a program. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from db.seals import ORDER, Verdict

IN_PLACE = "the checkpoint is written in place"
FROM_START = "starts from the beginning"
AGAIN = "begins from the beginning"
"""So begin remarks on single runs, of which FROM_START is the whole truth where it is the reason."""
BEHIND = "does not go on from its newest checkpoint, but from an older one"
BY_TIME = "takes the newest checkpoint by its file's time, not by its epoch"
OF_ALWAYS = {BEHIND: BY_TIME}
"""A remark on any run → one on a special run that says no more beside it."""
PLAIN = ("kill", "term", "limit", "times", "requeue", "node")
"""Runs whose checkpoints are left as they are."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One disturbed run, judged. `verdict` None: it could not be tried."""

    trial: str
    verdict: Verdict | None = None
    reason: str = ""
    """Why it is no better, in words; the likely reason where it is wrong."""
    remarks: tuple[str, ...] = ()
    """What is worth knowing and no fault of the result."""
    told: tuple[str, ...] = ()
    """What happened, and what it cost."""
    resumed_at: int | None = None
    lost_seconds: float | None = None
    hit: str = ""


class Overall(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a program."""

    verdict: Verdict
    reason: str = ""
    remarks: tuple[str, ...] = ()


def overall(judged: Sequence[Judged]) -> Overall:
    """The worst of all, with the reason of the first run that shows it."""
    tried = [one for one in judged if one.verdict is not None]
    worst = max((ORDER.index(one.verdict) for one in tried if one.verdict is not None), default=0)
    shows = _shown([one for one in tried if one.verdict is ORDER[worst]], tried)
    remarks = tuple(dict.fromkeys(remark for one in judged for remark in one.remarks))
    always = {OF_ALWAYS[remark] for remark in remarks if remark in OF_ALWAYS}
    if any(one.reason.startswith(FROM_START) for one in tried):
        always |= {remark for remark in remarks if remark.startswith(AGAIN)}
    remarks = tuple(remark for remark in remarks if remark not in always)
    return Overall(verdict=ORDER[worst], reason=shows.reason if shows is not None else "", remarks=remarks)


def _shown(worst: Sequence[Judged], tried: Sequence[Judged]) -> Judged | None:
    """Which of the worst runs tells why. A plain kill may meet a write too: where others were survived, a run that was
    cut off in a write tells more than one that only failed."""
    in_a_write = next((one for one in worst if IN_PLACE in one.reason), None)
    plain = [one for one in tried if one.trial.partition("-")[0] in PLAIN]
    if in_a_write is not None and any(one.verdict not in (None, Verdict.NOT_RESUMABLE) for one in plain):
        return in_a_write
    return worst[0] if worst else None
