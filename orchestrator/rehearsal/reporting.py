"""A rehearsal's report as lines for a person and as JSON for a script. Pure."""

from __future__ import annotations

from typing import Any

from db.sealing import Named
from db.seals import Seal, Verdict
from orchestrator import resuming
from orchestrator.rehearsal.disturbances import WORDS, of_trial
from orchestrator.rehearsal.judgement import Judged
from orchestrator.rehearsal.report import Report

BAD = (Verdict.NOT_RESUMABLE, Verdict.WRONG)


def words_of(trial: str) -> str:
    """What was done in that run."""
    what, number = of_trial(trial), trial.partition("-")[2]
    return trial if what is None else WORDS[what] + (f" ({number})" if number else "")


def line(one: Judged) -> str:
    """One run's line: what was done, what happened, what it cost."""
    told = "; ".join(one.told)
    verdict = one.verdict or "not tried"
    return f"{words_of(one.trial)}: {verdict}" + (f" — {told}" if told else "")


def lines(report: Report) -> list[str]:
    """The report in full, but for the runs' own lines, which were told as they ended."""
    found = []
    for name, why in report.left_out.items():
        found.append(f"left out: {words_of(name)} ({why})")
    noise = {name: value for name, value in report.baseline.measured.items() if value}
    if noise:
        name, value = max(noise.items(), key=lambda item: item[1])
        found.append(f"two undisturbed runs differ, by up to {value:.3g} ({name}): that is run-to-run noise here")
    if report.baseline.left_out:
        found.append(f"not compared, since no two runs agree on them: {', '.join(report.baseline.left_out)}")
    if not report.baseline.lines and not report.baseline.result:
        found.append("the program reports no numbers: only its exit was compared (docs/numbers.md says how)")
    found += [f"note: {remark}" for remark in report.overall.remarks]
    why = f": {report.overall.reason}" if report.overall.reason else ""
    found.append(f"verdict: {resuming.graded(report.overall.verdict, report.whole)}{why}")
    if not report.whole:
        found.append(f"it is of part of a rehearsal: {resuming.basis(report.tried, report.untried)}")
    return found


def kept(named: Named, counts: Seal, report: Report) -> str:
    """What became of the verdict in the project's store. `counts`: the seal that counts from now on."""
    code, program, _ = named
    what = f"{code[:12]}, {program}"
    if (counts.verdict, counts.tried) == (report.overall.verdict, report.tried):
        return f"the verdict is kept with this code and these arguments ({what})"
    return (
        f"the seal of this code and these arguments ({what}) stays '{counts.verdict}' of {counts.at:%Y-%m-%d}: it "
        f"stands on more ({resuming.basis(counts.tried, counts.untried)})"
    )


def as_json(report: Report, name: str) -> dict[str, Any]:
    """The contract of `orch rehearse --json` (docs/rehearse.md)."""
    return {
        "name": name,
        "verdict": str(report.overall.verdict),
        "reason": report.overall.reason,
        "remarks": list(report.overall.remarks),
        "seconds": round(report.seconds, 1),
        "noise": {metric: value for metric, value in sorted(report.baseline.measured.items()) if value},
        "not_compared": list(report.baseline.left_out),
        "left_out": report.left_out,
        "tried": report.tried,
        "untried": list(report.untried),
        "whole": report.whole,
        "runs": [
            {
                "run": one.trial,
                "verdict": str(one.verdict) if one.verdict else None,
                "reason": one.reason,
                "remarks": list(one.remarks),
                "told": list(one.told),
                "resumed_at": one.resumed_at,
                "lost_seconds": one.lost_seconds,
                "how": one.hit,
            }
            for one in report.judged
        ],
    }


def exit_code(reports: list[Report]) -> int:
    """0 where every program goes on as if nothing had been."""
    return int(any(report.overall.verdict in BAD for report in reports))
