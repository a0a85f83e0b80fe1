"""What a repeated submit says of jobs that existed already: which ran other code, and how to run them anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from db import jobs
from db.creation import Ensured
from db.jobs import StoredJob
from db.store import Store
from jobs.records import Code
from jobs.words import FINAL, JobState
from orchestrator.code.differences import differences, side, summary
from orchestrator.jobids import ranges

MOST_PARTS = 50
"""Of a list of ids in a sentence."""


def about_existing(store: Store, ensured: Ensured, kept: Code, same: Mapping[str, Sequence[StoredJob]]) -> list[str]:
    """What a repeated submit should say: jobs that ran other code, and jobs of which one answers for several."""
    found = []
    for others in same.values():
        if len(others) > 1 and others[0].id in ensured.ids:
            named = ", ".join(str(job.id) for job in others[1:])
            found.append(
                f"job {others[0].id} answers for what jobs {named} are too: they differ in a label or a spelling"
            )
    after = side(store.layout.code, kept.snapshot)
    if after is None or not ensured.existing:
        return found
    with store.read() as connection:
        existing = jobs.get_many(connection, ensured.existing)
    by_code: dict[str, list[StoredJob]] = {}
    for job in existing:
        if job.launching.code is not None and job.launching.code.snapshot not in ("", kept.snapshot):
            by_code.setdefault(job.launching.code.snapshot, []).append(job)
    for name, these in by_code.items():
        before = side(store.layout.code, name)
        how = summary(differences(before, after)) if before is not None else "no longer kept"
        for states, anew in _ANEW:
            if ids := [job.id for job in these if job.state in states]:
                shown = ranges(ids, MOST_PARTS).replace(", ", " ")
                found.append(
                    f"{len(ids)} of those that existed already have other code ({how}): {anew.format(shown)}, "
                    f"'orch diff {ids[0]} now' shows it"
                )
    return found


_ANEW = (
    ((JobState.SUCCEEDED,), "'orch retry --succeeded {0}' runs them anew"),
    ((JobState.FAILED, JobState.CANCELLED), "a retry takes the code as it is now"),
    (
        tuple(state for state in JobState if state not in FINAL),
        "they wait or run; 'orch cancel {0}', then 'orch retry {0}' runs them anew",
    ),
)
"""What runs the jobs of such states with the code as it is now."""
