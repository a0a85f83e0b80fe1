"""Step 4, judge: a verdict (judging.py) over every live attempt, from its files and what the machines say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from db.attempts import StoredAttempt
from jobs.words import AttemptState
from orchestrator.supervision.judging import Accept, Case, Over, Requeued, Returned, Running, Verdict, judge
from orchestrator.supervision.observation import Ends, Observations
from orchestrator.supervision.reading import Look
from orchestrator.supervision.tenure import Tenure
from slurm.backend import AttemptKey, Phase


class Verdicts:
    """Remembers since when an attempt is known, and which execution SLURM had taken it from when it last waited."""

    def __init__(self, tenure: Tenure, ends: Ends) -> None:
        self._clock = tenure.clock
        self._ends = ends
        self._known_at: dict[AttemptKey, float] = {}
        self._left: dict[AttemptKey, str] = {}
        self._before: Sequence[StoredAttempt] = ()

    def over(self, look: Look, observations: Observations, live: Sequence[StoredAttempt]) -> Mapping[int, Verdict]:
        """Attempt id → verdict, of all whose files could be read; of those that only wait there is nothing to say."""
        at = self._clock.monotonic()
        if live is not self._before:
            there = {(attempt.job, attempt.number) for attempt in live}
            self._known_at = {key: self._known_at.get(key, at) for key in there}
            self._left = {key: name for key, name in self._left.items() if key in there}
            self._before = live
        return {
            attempt.id: self._judge(attempt, look, observations, at)
            for attempt in look.live
            if attempt.state is not AttemptState.ENDED and attempt.id not in look.unread
        }

    def _judge(self, attempt: StoredAttempt, look: Look, observations: Observations, monotonic: float) -> Verdict:
        key = (attempt.job, attempt.number)
        observation = observations.get(key)
        known = self._known_at.setdefault(key, monotonic)  # a wall clock that was set back makes nothing young
        executions = look.own(attempt)
        if observation is not None and observation.phase in (Phase.PENDING, Phase.HELD) and executions:
            self._left[key] = executions[-1].name
        return judge(
            Case(
                attempt=attempt,
                executions=executions,
                observation=observation,
                left=self._left.get(key),
                age_seconds=max((self._clock.now() - attempt.created_at).total_seconds(), monotonic - known),
                ended_seconds=self._ends.seconds(key),
            )
        )


def is_quiet(attempt: StoredAttempt, verdict: Verdict | None) -> bool:
    """Whether carrying out the verdict would change nothing. Pure."""
    if isinstance(verdict, Running):
        return attempt.state is AttemptState.RUNNING
    if isinstance(verdict, Requeued):
        return attempt.state is AttemptState.SUBMITTED
    return not isinstance(verdict, Accept | Over | Returned)
