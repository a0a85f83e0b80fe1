"""Launches in flight: nobody waits for one, none waits long for another, and each is unclear until it is over.

Their intents are durable (submissions.py). One that ends without a clear answer is looked up by its token (intents.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from db.alterations import is_due
from db.entries import Ended, Entry
from db.submissions import any_unended, launched, never_ran, open_intents
from jobs.errors import OrchError
from jobs.words import BackendName, Cause, JobState
from orchestrator.supervision.backends import Backends
from orchestrator.supervision.tenure import Tenure
from slurm.backend import Launch, LaunchRefused, LaunchUncertain, LimitReached, Submission

LIMIT_PAUSE_SECONDS = 5.0
PATIENCE_SECONDS = 2.0
"""So long the next launch lets the one before go first: a submit limit is learned from one answer after the other."""
MOST_IN_FLIGHT = 16


@dataclass
class _Flight:
    """A launch that was begun."""

    submission: Submission
    launch: Launch
    began: float
    answer: str | OrchError | None = None
    """Once it is over; kept until the store has it."""

    def over(self) -> bool:
        """Whether it is. Never waits."""
        if self.answer is None:
            try:
                self.answer = self.launch.poll()
            except (LimitReached, LaunchRefused, LaunchUncertain) as error:
                self.answer = error
        return self.answer is not None


class _Beginning:
    """A launch that its backend is about to begin (it may ask the machines before, and is kept waiting)."""

    def poll(self) -> None:
        return None


class Launches:
    """What one supervisor launches, in the order in which it was intended."""

    def __init__(self, tenure: Tenure, backends: Backends) -> None:
        self._tenure = tenure
        self._backends = backends
        self._next: dict[BackendName, list[Submission]] = {}
        self._flying: dict[BackendName, list[_Flight]] = {}
        self._paused: dict[BackendName, float] = {}
        self._over: set[str] = set()
        """Tokens whose launch is known to be over."""

    def add(self, name: BackendName, submissions: Sequence[Submission]) -> None:
        """Launch these after those before, as `go_on` comes to them."""
        self._next.setdefault(name, []).extend(submissions)

    def paused(self, name: BackendName) -> bool:
        """Whether that queue takes no more just now."""
        return self._tenure.clock.monotonic() < self._paused.get(name, 0.0)

    def waiting(self) -> bool:
        """Whether any is in flight, or yet to be begun."""
        return any(self._flying.values()) or any(self._next.values())

    def is_open(self, token: str) -> bool:
        """Whether that launch is in flight, or yet to be begun: it may happen at any moment."""
        flying = (flight.submission for flights in self._flying.values() for flight in flights)
        ahead = (submission for submissions in self._next.values() for submission in submissions)
        return any(submission.token == token for submission in (*flying, *ahead))

    def is_over(self, token: str) -> bool:
        """Whether we began that launch and saw it end: it will not happen any more."""
        return token in self._over

    def go_on(self) -> bool:
        """Take in what has ended, and begin what can begin. True where anything happened. Never waits."""
        happened = False
        for name in [*self._next]:
            happened |= self._take_in(name)
            while self._may_begin(name):
                self._begin(name)
                happened = True
                self._take_in(name)
        return happened

    def withdraw(self) -> None:
        """Of those that were not begun: their jobs are queued again."""
        for name in self._next:
            self._withdraw(name, "the supervisor was told to end before it was launched")

    # ---- beginning

    def _may_begin(self, name: BackendName) -> bool:
        flying = self._flying.get(name, [])
        if not self._next.get(name) or len(flying) >= MOST_IN_FLIGHT:
            return False
        return all(self._tenure.clock.monotonic() - flight.began >= PATIENCE_SECONDS for flight in flying)

    def _begin(self, name: BackendName) -> None:
        submission, backend = self._next[name][0], self._backends[name]
        if not self._wanted(submission):
            self._next[name].remove(submission)
            return
        # Whoever was overtaken while it stalled must not launch what its successor may have given up.
        self._tenure.check()
        self._next[name].remove(submission)
        flight = _Flight(submission, _Beginning(), self._tenure.clock.monotonic())
        self._flying.setdefault(name, []).append(flight)
        try:
            flight.launch = backend.launch(submission)
        except (LimitReached, LaunchRefused, LaunchUncertain) as error:
            flight.answer = error
        except OrchError as error:  # the store, while the backend kept us waiting: nothing was begun
            flight.answer = LaunchUncertain(str(error))
            raise

    def _wanted(self, submission: Submission) -> bool:
        """Whether any of its attempts is; cancelled ones that were never launched are let go."""
        with self._tenure.store.read() as connection:
            if any_unended(connection, submission.token):
                return True
        self._over.add(submission.token)
        with self._tenure.write() as writer:
            never_ran(writer.connection, [submission.token])
        return False

    # ---- ending

    def _take_in(self, name: BackendName) -> bool:
        ended = False
        for flight in [flight for flight in self._flying.get(name, ()) if flight.over()]:
            if isinstance(flight.answer, str):
                with self._tenure.write() as writer:
                    launched(writer.connection, flight.submission.token, flight.answer)
                self._over.add(flight.submission.token)
            elif flight.answer is not None:
                self._failed(name, flight.submission, flight.answer)
            self._flying[name].remove(flight)
            ended = True
        return ended

    def _failed(self, name: BackendName, submission: Submission, error: OrchError) -> None:
        self._over.add(submission.token)
        if isinstance(error, LimitReached):
            self._paused[name] = self._tenure.clock.monotonic() + LIMIT_PAUSE_SECONDS
            self._end([submission], Cause.CANCELLED, JobState.QUEUED, f"waits: {error}", None)
            self._withdraw(name, f"waits: {error}")
        elif isinstance(error, LaunchRefused):  # the machines will never take this: asking again would not help
            self._end([submission], Cause.LAUNCH_FAILURE, JobState.FAILED, str(error), str(error))

    def _withdraw(self, name: BackendName, sentence: str) -> None:
        """These were never launched: nothing counts against their jobs."""
        submissions, self._next[name] = self._next[name], []
        self._over.update(submission.token for submission in submissions)
        self._end(submissions, Cause.CANCELLED, JobState.QUEUED, sentence, None)

    def _end(
        self, submissions: Sequence[Submission], cause: Cause, then: JobState, sentence: str, error: str | None
    ) -> None:
        at = self._tenure.clock.now()
        if not submissions:
            return
        with self._tenure.write() as writer:
            unclear = {intent.token for intent in open_intents(writer.connection)}
            ours = [submission for submission in submissions if submission.token in unclear]  # not found meanwhile
            entries: list[Entry] = []
            for task in (task for submission in ours for task in submission.manifest.tasks):
                # What was refused under terms that a person has changed meanwhile is sent under the new ones.
                again = then is JobState.FAILED and is_due(writer.connection, task.job, task.attempt)
                entries.append(
                    Ended(
                        job=task.job,
                        attempt=task.attempt,
                        cause=Cause.CANCELLED if again else cause,
                        then=JobState.QUEUED.value if again else then.value,
                        error=None if again else error,
                        decision=sentence,
                        evidence=(sentence,),
                        launched=False,
                        at=at,
                    )
                )
            writer.decide(entries)
            never_ran(writer.connection, [submission.token for submission in ours])
