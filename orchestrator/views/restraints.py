"""What holds queued jobs back while machines are free, in sentences: a study's limits, and canaries. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from db.canaries import OpenCanary
from db.limits import StudyLimits
from orchestrator.views.words import one_line, plural


def option(study: str) -> str:
    """' --study NAME' where that is not the one that commands mean without it."""
    return "" if study == "default" else f" --study {study}"


def of_study(limits: StudyLimits | None) -> str:
    """Why nothing of the study is sent now; '' where something may be."""
    if limits is None:
        return ""
    if limits.stopped:
        failed = f"{plural(limits.failed, 'job')} of the study failed"
        return f"the study sends nothing more: {failed} (--max-fails {limits.max_fails})"
    if limits.max_running is not None and limits.room == 0:
        return f"waits: the study runs {limits.max_running} at once (--max-running)"
    return ""


def how_on(limits: StudyLimits) -> str:
    """What lets a study that stopped go on."""
    more = limits.failed + (limits.max_fails or 0)
    return (
        f"'orch retry --all{option(limits.study)}' runs the failed ones again, 'orch set{option(limits.study)} "
        f"--max-fails {more}' (or none) goes on beside them"
    )


def study_note(limits: StudyLimits | None, queued: int) -> str | None:
    """What `status` says of the limits of a study with so many queued jobs."""
    if limits is None:
        return None
    if limits.stopped and queued:
        return f"{of_study(limits)}, {plural(queued, 'job')} stay queued; {how_on(limits)}"
    said = []
    if limits.max_running is not None:
        said.append(f"runs at most {limits.max_running} at once (--max-running)")
    if limits.max_fails is not None:
        said.append(f"stops sending after {plural(limits.max_fails, 'failure')} (--max-fails)")
    return f"this study {' and '.join(said)}" if said and queued else None


def behind(canary: int, *, failed: bool) -> str:
    """Why a job that waits for a canary is not sent."""
    return f"blocked: canary job {canary} failed" if failed else f"waits for canary job {canary}"


def flock_note(canary: OpenCanary) -> str:
    """What `status` says of those that wait for a canary."""
    many = (
        f"{plural(canary.behind, 'queued job')} {'waits' if canary.behind == 1 else 'wait'} for canary job {canary.job}"
    )
    if not canary.failed:
        return f"{many} ({canary.state}): they follow when it works"
    return f"{many}, which failed: they are blocked; {how_released(canary)}"


def flock_verdict(canary: OpenCanary, n: int) -> str:
    """What is said at the end of a wait."""
    verb = "is" if n == 1 else "are"
    return f"{plural(n, 'job')} {verb} blocked: canary job {canary.job} failed; {how_released(canary)}"


def how_released(canary: OpenCanary) -> str:
    """What lets those go whose canary failed."""
    return (
        f"mend the cause, then 'orch retry {canary.job}' (they run the mended code too), or let them go as they are: "
        f"'orch set {canary.job} --no-canary'"
    )


def waiting_reasons(canaries: Sequence[OpenCanary], waited_for: Mapping[int, int]) -> dict[int, str]:
    """Job → why it is not sent, of those that wait for a canary."""
    failed = {canary.job for canary in canaries if canary.failed}
    return {job: behind(canary, failed=canary in failed) for job, canary in waited_for.items()}


def explained(canary: OpenCanary) -> tuple[list[str], str]:
    """Why a job that waits for this canary is not sent, and what comes next."""
    if canary.failed:
        error = one_line(canary.error or "no error")
        return [f"it is blocked: canary job {canary.job} (seed {canary.seed}) failed: {error}"], how_released(canary)
    why = [
        f"it waits for canary job {canary.job} ({canary.state}): of many new jobs of a program that never ran one goes "
        "first"
    ]
    return why, (
        "it follows when that one has reported its first metric, has run for 30 s, has succeeded, or has waited for 10 "
        f"minutes in SLURM's queue; 'orch set {canary.job} --no-canary' lets all go now"
    )


def of_the_canary(canary: OpenCanary) -> str:
    """What a canary itself should know."""
    many = f"it is the canary of {plural(canary.behind, 'job')}, which"
    if canary.failed:
        return f"{many} {'is' if canary.behind == 1 else 'are'} blocked: {how_released(canary)}"
    return f"{many} {'waits' if canary.behind == 1 else 'wait'} until it works"
