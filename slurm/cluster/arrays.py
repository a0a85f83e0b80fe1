"""Which jobs go into one sbatch: equal requests as arrays, no larger than SLURM takes at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from slurm.backend import Batch, QueuedJob

MARGIN = 1.25
"""Times the longest run known: as the runner of a bundle reckons (jobs/node/bundling.py)."""
LEAST_PIECES = 2
"""One piece alone would be no array to SLURM."""
DEFAULT_MAX_ARRAY = 1001
"""MaxArraySize where slurm.conf says nothing (slurm.conf(5)); the largest index is one less."""


def request(job: QueuedJob) -> bytes:
    """What sbatch would be told for this job: jobs of one array have all of it in common."""
    told = [job.options.get(name) for name in ("slurm", "setup", "signal_delay_seconds")]
    if job.at_once > 1:
        told += [job.at_once, job.options.get("jobs_per_gpu")]
    asked = [job.resources, job.checkpoints, told, sorted(job.avoid)]
    return msgspec.json.encode(asked, order="sorted")


def group(
    queued: Sequence[QueuedJob], max_array: int = DEFAULT_MAX_ARRAY, room: int | None = None, nodes: int = 1
) -> list[Batch]:
    """Jobs (in order of priority) as submissions of at most `max_array` tasks, `room` tasks in all.

    A sliced job is an array of its own, of fewer pieces where there is not so much room, but never of less than two:
    when they are used up, its next attempt has more. Jobs that are bundled go as lists, `nodes` saying how many could
    run side by side.
    """
    size = max(max_array, 1)
    left = sum(max(job.pieces, 1) for job in queued) if room is None else max(room, 0)
    together: dict[bytes, list[QueuedJob]] = {}
    sliced = []
    for job in queued:
        key = request(job)
        mine = together.get(key, []) if not job.pieces else []
        if left <= 0 and not (mine and len(mine) % job.at_once):
            if job.at_once > 1:
                continue  # there may be room in the last task of those that go with it
            break
        if job.pieces:
            pieces = max(min(job.pieces, size, left), LEAST_PIECES)
            sliced.append(Batch(jobs=(replace(job, pieces=pieces),)))
            left -= pieces
        else:
            left -= len(mine) % job.at_once == 0
            together.setdefault(key, []).append(job)
    return sliced + [batch for jobs in together.values() for batch in _batches(jobs, size, nodes)]


def _batches(jobs: Sequence[QueuedJob], size: int, nodes: int) -> list[Batch]:
    """Jobs that ask for the same, as one array after the other."""
    learnt = max(job.learnt_seconds for job in jobs)
    each = listed(len(jobs), jobs[0].at_once, jobs[0].resources.minutes, learnt, nodes)
    found = []
    for start in range(0, len(jobs), size * each):
        some = tuple(jobs[start : start + size * each])
        if each > 1 and len(some) > 1:
            at_once = min(jobs[0].at_once, len(some))
            parts = max(1, int(jobs[0].options.get("jobs_per_gpu", 1))) if jobs[0].resources.gpus == 1 else 1
            slot = f"share/{parts}" if parts > 1 else None
            found.append(Batch(jobs=some, bundle=each, at_once=at_once, learnt_seconds=learnt, slot=slot))
        else:
            found.append(Batch(jobs=some))
    return found


def listed(count: int, at_once: int, minutes: int, learnt_seconds: float, nodes: int) -> int:
    """How many of `count` jobs are the list of one task that runs `at_once` of them at a time.

    As many as its time limit takes, by what jobs like them took; where none has ended yet, as many as there are, since
    what does not fit goes back. But never so many that a node stands idle for want of a task.
    """
    if at_once <= 1:
        return 1
    spread = -(-count // max(nodes, 1))
    rounds = int(minutes * 60 / (MARGIN * learnt_seconds)) if learnt_seconds > 0 else count
    return min(max(at_once, min(spread, at_once * max(rounds, 1))), max(count, 1))


@dataclass(frozen=True)
class SubmitLimit:
    """How many tasks the queue takes from us, learned from what it took and what it refused.

    Limits come from associations, QOS, their parents and the controller, and other people's jobs count in some: so
    they are not computed but tried, halving the interval between what was accepted and what was refused.
    """

    accepted: int = 0
    """Most tasks that were in the queue together since the limit was met."""
    refused: int | None = None
    """Fewest tasks that were too many; None: no limit met."""
    at: datetime | None = None

    LASTS = timedelta(minutes=2)
    """Then a refusal is forgotten so far that a little more is tried again."""

    def room(self, live: int, now: datetime) -> int | None:
        """Tasks to try to add to `live` of them; None: as many as there are."""
        if self.refused is None or self.at is None:
            return None
        if now - self.at >= self.LASTS:
            return max(self.accepted + max(1, self.accepted // 4) - live, 1)
        most = max((self.accepted + self.refused) // 2, self.accepted)
        return max(most - live, 0)

    def refuse(self, total: int, now: datetime) -> SubmitLimit:
        """`total` tasks together were too many."""
        refused = total if self.refused is None or now - (self.at or now) >= self.LASTS else min(self.refused, total)
        return replace(self, accepted=max(min(self.accepted, refused - 1), 0), refused=refused, at=now)

    def accept(self, total: int, now: datetime) -> SubmitLimit:
        """`total` tasks together were taken."""
        if self.refused is None:
            return self
        if total >= self.refused:
            return SubmitLimit()
        return replace(self, accepted=max(self.accepted, total), at=now if total > self.accepted else self.at)
