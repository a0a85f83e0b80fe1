"""What a disturbed run says of its program: how it went on, what that cost, and whether it is right. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from db.seals import Verdict
from orchestrator.rehearsal import reasons
from orchestrator.rehearsal.disturbances import Disturbance, Trial
from orchestrator.rehearsal.histories import (
    Baseline,
    Hit,
    Observed,
    Stretch,
    history,
    is_clock,
    repeated,
    saved_epoch,
    trained,
)
from orchestrator.rehearsal.judgement import AGAIN, BEHIND, BY_TIME, FROM_START, IN_PLACE, Judged

TOO_LATE = "it ended before it could be disturbed"
ALL_DONE = "all its epochs were done when it was struck"
CUT = {Disturbance.WRITE: "a kill", Disturbance.DISK: "a full disk"}
"""Disturbances that cut a write off, and by what."""
KILLS = (
    *(Disturbance.KILL, Disturbance.WRITE, Disturbance.TORN, Disturbance.TIMES),
    *(Disturbance.REQUEUE, Disturbance.NODE),
)


def of_other_seed(base: Baseline, other: Observed, seed: int) -> Judged:
    """A run of another seed, or a second one of the same: it must begin at the beginning."""
    lines = history(line for one in other.stretches for line in one.lines)
    who = f"seed {other.seed}" if other.seed != seed else f"a second run of seed {seed}"
    name = other.name
    if other.state != "succeeded":
        reason = f"{who} ends undisturbed with '{other.error}'"
        return Judged(trial=name, verdict=Verdict.NOT_RESUMABLE, reason=reason, told=(reason,))
    if base.first is not None and (not lines or min(lines) != base.first):
        begins = f"begins at epoch {min(lines)}" if lines else "trains no epoch at all"
        reason = f"{who} {begins}: it takes the checkpoint of another run, which lies outside ORCH_CHECKPOINT_DIR"
        return Judged(trial=name, verdict=Verdict.WRONG, reason=reason, told=(reason,))
    remarks: tuple[str, ...] = ()
    if other.seed != seed and base.lines and lines == base.lines:
        remarks = (f"seed {other.seed} gives the numbers of seed {seed}: the seed has no effect",)
    return Judged(trial=name, verdict=Verdict.BIT_IDENTICAL, remarks=remarks, told=(f"{who} began at the beginning",))


def judge(trial: Trial, seen: Observed, base: Baseline, *, saves: bool) -> Judged:
    """One disturbed run held against the undisturbed ones. `saves`: whether the undisturbed run left checkpoints."""
    if seen.hit is None:
        return Judged(trial=trial.name, told=(seen.missed or TOO_LATE,))
    if seen.state != "succeeded":
        return _failed(trial, seen, seen.hit)
    after = [one for one in seen.stretches[seen.hit.stretch + 1 :] if one.lines or one.ending == "success"]
    if trial.disturbance is Disturbance.TWICE:
        return _twice(trial, seen, base)
    if not after and trial.disturbance in KILLS:
        return Judged(trial=trial.name, told=(TOO_LATE,))
    if not after:
        return _went_on(trial, seen, seen.hit, base)
    return _resumed(trial, seen, seen.hit, after, base, saves)


def _failed(trial: Trial, seen: Observed, hit: Hit) -> Judged:
    error = seen.error or "no word"
    if trial.disturbance in CUT and hit.in_place:
        reason = _in_place(hit.in_place, CUT[trial.disturbance], "fails")
    elif trial.disturbance is Disturbance.TORN:
        reason = "fails on a torn checkpoint, and goes back to no older one"
    elif trial.disturbance is Disturbance.TWICE:
        reason = "fails where two of it run at once"
    else:
        reason = f"fails after resuming: {error}"
    told = (reason,) if error in reason else (error, reason)
    return Judged(trial=trial.name, verdict=Verdict.NOT_RESUMABLE, reason=reason, told=told, hit=hit.how)


def _in_place(name: str, what: str, then: str) -> str:
    return (
        f"{IN_PLACE} ({name}), so {what} leaves half of it and the next start {then}: write to "
        "a temporary name and rename it"
    )


def _twice(trial: Trial, seen: Observed, base: Baseline) -> Judged:
    assert seen.hit is not None
    silent = any(one.ending == "success" and not one.lines for one in seen.stretches)
    if silent and base.lines and any(name not in seen.result for name in base.result):
        return Judged(trial=trial.name, told=(ALL_DONE,))  # the second copy began when the first was through
    for one in seen.stretches:
        lines = history(one.lines)
        wrong = reasons.first_difference(base.lines, lines, base.noise)
        if wrong is not None and base.first is not None and min(lines) > base.first:
            verdict, reason, told = _compare(seen, base, lines, seen.hit.names)
            told = [f"one of the two went on from a checkpoint at epoch {min(lines)}", *told]
            return Judged(trial=trial.name, verdict=verdict, reason=reason, told=tuple(told), hit=seen.hit.how)
        if wrong is not None:
            what = f"epoch {wrong.epoch}, {wrong.metric}: {reasons.pair(wrong.wanted, wrong.found)}"
            reason = "two of it at once disturb each other: they write outside the folders that orch gives them"
            return Judged(trial=trial.name, verdict=Verdict.WRONG, reason=reason, told=(what, reason), hit=seen.hit.how)
    verdict, reason, told = _result(seen, base, {}, Verdict.BIT_IDENTICAL if base.exact else Verdict.EQUAL_WITHIN_NOISE)
    both = "both ran, and the first to end counts"
    return Judged(trial=trial.name, verdict=verdict, reason=reason, told=(both, *told), hit=seen.hit.how)


def _went_on(trial: Trial, seen: Observed, hit: Hit, base: Baseline) -> Judged:
    """It was not started again: told to stop and did not."""
    struck = seen.stretches[hit.stretch] if seen.stretches else Stretch(began=0.0)
    later = sum(line.at > hit.at for line in struck.lines)
    remarks: tuple[str, ...] = ()
    told = "went on to its end"
    if trial.disturbance in (Disturbance.TERM, Disturbance.LIMIT) and (later > 1 or hit.outlived):
        remarks, told = ("ignores TERM",), "ignores TERM: it went on to its end"
    if trial.disturbance is Disturbance.DISK:
        told = "went on to its end all the same"
    lines = history(struck.lines)
    verdict, reason, more = _compare(seen, base, lines, hit.names)
    return Judged(
        trial=trial.name,
        verdict=verdict,
        reason=reason,
        remarks=remarks,
        told=(told, *more),
        lost_seconds=0.0,
        hit=hit.how,
    )


def _resumed(trial: Trial, seen: Observed, hit: Hit, after: Sequence[Stretch], base: Baseline, saves: bool) -> Judged:
    what, struck = trial.disturbance, seen.stretches[hit.stretch]
    lines = history(line for one in after for line in one.lines)
    until = hit.at if what is Disturbance.DISK else float("inf")  # what is told to stop may save once more
    saved = saved_epoch(struck, base, until)
    remarks: list[str] = []
    if hit.outlived and what in (Disturbance.TERM, Disturbance.LIMIT):
        remarks.append("ignores TERM")
    if not lines:
        verdict, reason, more = _result(seen, base, lines, _fine(base))
        done = base.last in history(struck.lines) or (saved is not None and saved == base.last)
        silent_end = done and any(name not in seen.result for name in base.result)
        if base.lines and (verdict is not Verdict.WRONG or silent_end):
            return Judged(trial=trial.name, told=(ALL_DONE,))  # nothing is learnt of resuming
        silent = ("went on without reporting a line", *more)
        return Judged(
            trial=trial.name, verdict=verdict, reason=reason, remarks=tuple(remarks), told=silent, hit=hit.how
        )
    begins = min((line.epoch for line in trained(after, hit.at, saved, base.pace)), default=min(lines))
    lost = hit.at - max((line.at for line in struck.lines if line.epoch < begins), default=struck.began)
    of = max((line.epochs for one in after for line in one.lines), default=0) or base.last or begins
    cost = f"lost {_seconds(lost)}"
    over = begins == base.first
    told = [f"started again at epoch {begins}, {cost}" if over else f"resumed at epoch {begins} of {of}, {cost}"]
    verdict, reason = _fine(base), ""
    twice = [one for run in after for one in repeated(run.lines) if one not in base.repeated]
    differs = reasons.first_difference(base.lines, lines, base.noise)
    if twice:
        verdict, reason = Verdict.WRONG, "writes lines of an epoch twice"
        told.append(f"writes lines of epoch {twice[0]} twice")
    elif over and differs is None:
        verdict, reason, more_remarks = _over(what, hit, saved, saves, verdict)
        remarks += more_remarks
    elif differs is None and saved is not None and begins <= saved:
        if what is Disturbance.TORN:
            told.append("went back to an older checkpoint")
        else:
            remarks.append(_behind(what))
    if verdict in (Verdict.BIT_IDENTICAL, Verdict.EQUAL_WITHIN_NOISE):
        if differs is not None and saved is not None and begins == saved and what is not Disturbance.TORN:
            verdict, reason = Verdict.WRONG, f"an epoch is trained twice: {reasons.OFF_BY_ONE}"
            told += [_told(differs), f"epoch {begins} was saved, and is trained again"]
        elif differs is not None and saved is not None and begins == saved + 2:
            verdict, reason = Verdict.WRONG, f"an epoch is skipped: {reasons.OFF_BY_ONE}"
            told += [_told(differs), f"epoch {saved + 1} was not saved, and is never trained"]
        else:
            verdict, reason, more = _compare(seen, base, lines, hit.names)
            told += more
    hole = [epoch for epoch in base.lines if epoch < begins and all(line.epoch != epoch for line in struck.lines)]
    if hole and verdict is not Verdict.WRONG:
        told.append(f"the line of epoch {hole[0]} was saved, and not taken in before the kill")
    if reason and not any(reason in one for one in told):
        told.append(reason)
    return Judged(
        trial=trial.name,
        verdict=verdict,
        reason=reason,
        remarks=tuple(remarks),
        told=tuple(dict.fromkeys([*told, *remarks])),
        resumed_at=begins,
        lost_seconds=round(lost, 3),
        hit=hit.how,
    )


def _over(
    what: Disturbance | None, hit: Hit, saved: int | None, saves: bool, fine: Verdict
) -> tuple[Verdict, str, list[str]]:
    """It began anew, with the right numbers."""
    if not saves:
        return Verdict.NOT_RESUMABLE, f"{FROM_START}: it writes nothing into ORCH_CHECKPOINT_DIR", []
    if what in CUT and hit.in_place:
        return Verdict.NOT_RESUMABLE, _in_place(hit.in_place, CUT[what], "begins from the beginning"), []
    if saved is None:
        return fine, "", []
    if what is Disturbance.TORN:
        return fine, "", [f"{AGAIN} where its newest checkpoint is torn"]
    if what is Disturbance.WRITE:
        return fine, "", [f"{AGAIN} where a checkpoint write was cut off"]
    if what is Disturbance.DISK:
        return fine, "", [f"{AGAIN} where its disk was full"]
    return (
        Verdict.NOT_RESUMABLE,
        f"{FROM_START}: it does not go on from the checkpoint that it is given",
        [],
    )


def _behind(what: Disturbance | None) -> str:
    if what is Disturbance.TIMES:
        return BY_TIME
    return BEHIND


def _fine(base: Baseline) -> Verdict:
    return Verdict.BIT_IDENTICAL if base.exact else Verdict.EQUAL_WITHIN_NOISE


def _told(difference: reasons.Difference) -> str:
    where = f"{difference.metric} of epoch {difference.epoch}"
    return f"first value after resuming differs: {reasons.pair(difference.wanted, difference.found)} ({where})"


def _compare(
    seen: Observed, base: Baseline, lines: dict[int, dict[str, float]], names: Sequence[str]
) -> tuple[Verdict, str, list[str]]:
    """Every line and the result against the undisturbed runs: verdict, likely reason, sentences."""
    differs = reasons.first_difference(base.lines, lines, base.noise)
    if differs is not None:
        differs = reasons.telling(differs, base.lines, lines, base.first or 0)
        why = reasons.likely(differs, base.lines, lines, names, base.first or 0)
        return Verdict.WRONG, why, [f"{_told(differs)}; {why}"]
    return _result(seen, base, lines, _fine(base))


def _result(
    seen: Observed, base: Baseline, lines: dict[int, dict[str, float]], fine: Verdict
) -> tuple[Verdict, str, list[str]]:
    told = []
    for name, wanted in base.result.items():
        if is_clock(name):
            continue
        found = seen.result.get(name)
        if found is None:
            reason = f"the result has no {name} after resuming"
            return Verdict.WRONG, reason, [reason]
        off, noise = abs(found - wanted), base.noise.get(name, 0.0)
        if off > noise:
            why = reasons.of_result(name, wanted, found, base.lines, lines)
            return Verdict.WRONG, why, [f"the result {name} differs: {reasons.pair(wanted, found)}; {why}"]
        if noise:
            told.append(
                f"result {name} differs by {reasons.shown(off)}, within run-to-run noise of {reasons.shown(noise)} "
                "(two undisturbed runs)"
            )
    return fine, "", told


def _seconds(value: float) -> str:
    value = max(0.0, value)
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"
