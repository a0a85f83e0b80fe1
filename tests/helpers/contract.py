"""What every backend promises the supervisor (slurm/backend.py), exercised from outside: local, SLURM, simulated."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from slurm.backend import Backend, LiveAttempt, Observation, Phase, Submission

MOST_LOOKS = 600
ON_THE_WAY = (Phase.PENDING, Phase.RUNNING, Phase.COMPLETING)
GONE = (Phase.ENDED, Phase.ABSENT)


def attempt_of(submission: Submission, native: str | None) -> LiveAttempt:
    """The first task of a submission as the store would know it."""
    return LiveAttempt(
        job=submission.manifest.tasks[0].job,
        attempt=submission.manifest.tasks[0].attempt,
        token=submission.token,
        index=0,
        size=len(submission.manifest.tasks),
        native_id=native,
        slot=submission.batch.slot,
        running=False,
        submitted_at=submission.manifest.created_at,
    )


def exercise_backend(backend: Backend, intend: Callable[[bool], Submission], passes: Callable[[], None]) -> None:
    """Launch, find, observe, cancel: once, twice, and of what never was.

    `intend(lasts)` makes a durable intent of one job that runs until it is ended, or succeeds soon; `passes` lets a
    moment pass.
    """

    def look(attempt: LiveAttempt, wanted: Collection[Phase], allowed: Collection[Phase]) -> Observation:
        """Look until it is there, and see nothing on the way that is not allowed."""
        for _ in range(MOST_LOOKS):
            seen = backend.observe([attempt]).get(attempt.key)
            if seen is not None and seen.phase in wanted:
                return seen
            assert seen is None or seen.phase in allowed, seen
            passes()
        raise AssertionError(f"{attempt} was never {wanted}: {seen}")

    def launched(submission: Submission) -> str:
        launch = backend.launch(submission)
        for _ in range(MOST_LOOKS):
            if native := launch.poll():
                return native
            passes()
        raise AssertionError(f"the launch of {submission.token} is still in flight")

    # of nothing there is nothing, and nobody minds
    assert backend.plan([], [], frozenset()) == []
    assert backend.find([]) == {} and backend.observe([]) == {}
    backend.cancel([])
    backend.avoid([], frozenset())
    assert all(backend.pools().partitions.values()), "each pool has nodes"
    assert backend.launch_seconds >= 0

    # what was never launched is not found, and its absence proves nothing
    never = intend(True)
    assert backend.find([never]) == {}
    unknown = attempt_of(never, None)
    assert backend.observe([unknown]).get(unknown.key, Observation(phase=Phase.ABSENT)).phase is Phase.ABSENT
    backend.cancel([unknown])

    # what is queued is planned once, in order, and nothing else
    queued = [never.batch.jobs[0]]
    planned = [job.job for batch in backend.plan(queued, [], frozenset()) for job in batch.jobs]
    assert planned == [job.job for job in queued]

    # a launch is found by its token, with its own id, beside one that never happened
    first = intend(True)
    native = launched(first)
    running = attempt_of(first, native)
    assert backend.find([first, never]) == {first.token: native}
    seen = look(running, [Phase.RUNNING], ON_THE_WAY)
    assert seen.node and seen.cause is None and seen.previous is None
    assert backend.observe([replace(running, native_id=None)])[running.key].phase is Phase.RUNNING, "by token alone"
    other_job = replace(running, token=never.token, job=running.job + 1)
    found = backend.observe([running, other_job])
    assert found[running.key].phase is Phase.RUNNING
    assert found.get(other_job.key, Observation(phase=Phase.ABSENT)).phase is Phase.ABSENT, "an id alone is nobody's"
    backend.cancel([other_job])
    backend.avoid([running], frozenset())
    assert backend.observe([running])[running.key].phase is Phase.RUNNING, "what runs is left alone"

    # cancelled once, twice, and when it has gone
    backend.cancel([running])
    backend.cancel([running])
    ended = look(running, GONE, ON_THE_WAY)
    assert ended.phase is Phase.ENDED and ended.evidence, ended
    backend.cancel([running])
    assert backend.observe([running])[running.key].phase in GONE, "nothing that ended begins again"

    # one that ends by itself is told as ended, and cancelling it afterwards is no error
    second = intend(False)
    short = attempt_of(second, launched(second))
    look(short, [Phase.ENDED], ON_THE_WAY)
    backend.cancel([short])
    assert backend.find([second]).get(second.token, short.native_id) == short.native_id
