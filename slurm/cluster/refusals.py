"""What an error of sbatch means: refused for good, a limit to wait for, or nobody knows. Pure."""

from __future__ import annotations

import re

from jobs.errors import OrchError
from slurm.backend import LaunchRefused, LaunchUncertain, LimitReached

_LIMIT = re.compile(
    r"\w*(?:Max|Grp)Submit\w*|MaxJobCount|MaxJobs\w*Limit|job submit limit|temporarily unable to accept job"
    r"|Unable to create job record, try again|too many jobs|rate limit exceeded",
    re.IGNORECASE,
)
RATE_LIMITED = "rate limit exceeded"
"""slurmctld of 23.02 and later with `rl_enable` (SlurmctldParameters) takes so many questions of a user and no more:
'Rate limit exceeded, please retry momentarily' (SLURMCTLD_COMMUNICATIONS_BACKOFF in SLURM's slurm_errno.c). Its own
commands then wait a second and ask again by themselves, without a word, so that most of this shows as slow answers."""
_NO_ANSWER = re.compile(
    r"unable to contact|timed out|send/recv|zero bytes|connect failure|connection (?:refused|failure|reset)"
    r"|communication|message (?:send|receive)|unexpected message|transport endpoint|standby mode|protocol"
    r"|resource temporarily unavailable|no route to host|slurm_persist|unable to (?:establish|connect)"
    r"|could not establish a configuration source|unable to process configuration file"
    r"|batch job submission failed: (?:unspecified error|success|no error)",
    re.IGNORECASE,
)
_FOR_GOOD = re.compile(
    r"invalid|not available|not permitted|violates|denied|not authorized|exceed|unrecognized|can ?not be satisfied"
    r"|cannot|unsupported|more processors|not specified|unknown|ambiguous|requires an argument|must be"
    r"|mutually exclusive|fatal|too long|too many|not valid|not allowed|Assoc\w+Limit|QOS\w+Limit|\w+PerJob\w*|disabled"
    r"|illegal|expired|unable to open|no such file|bad",
    re.IGNORECASE,
)
_TRANSIENT = re.compile(r"partition configuration not available now|required node not available", re.IGNORECASE)


def of_sbatch(text: str, code: int | None) -> OrchError:
    """The error to raise for what sbatch printed and how it ended (None: it was stopped after its time limit).

    Where the controller's answer did not come, the job may exist; so it does for any text that is not known.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = "; ".join(line.removeprefix("sbatch: ").removeprefix("error: ") for line in lines) or "it printed nothing"
    if code is None or code in (124, 137) or _NO_ANSWER.search(text):
        if _LIMIT.search(text) and code not in (None, 124, 137):
            return LimitReached(f"SLURM takes no more jobs for now: {said}")
        return LaunchUncertain(f"sbatch got no answer, so the job may exist or not: {said}")
    if _LIMIT.search(text) or _TRANSIENT.search(text):
        return LimitReached(f"SLURM takes no more jobs for now: {said}")
    if _FOR_GOOD.search(text):
        return LaunchRefused(f"SLURM refuses this job: {said}; change what it asks for")
    return LaunchUncertain(f"sbatch ended with {code}, so the job may exist or not: {said}")
