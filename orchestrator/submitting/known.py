"""What could be seen of jobs when somebody decided about them: it stands in the decision, for the ledger of a claim."""

from __future__ import annotations

from collections.abc import Sequence

from db import known
from db.entries import Known
from db.writer import Writer
from jobs.files import read_json
from jobs.layout import Layout, restart_of
from jobs.metrics import newest_place
from jobs.records import Outcome
from jobs.tails import newest_metrics


def of(writer: Writer, jobs: Sequence[int]) -> tuple[Known, ...]:
    """Epoch and last numbers of those jobs that have reported any.

    Of what runs the files are read: the person can read them too, and nobody may have taken them in.
    """
    found = {one.job: one for one in known.known(writer.connection, jobs)}
    for job, attempt in known.newest_attempts(writer.connection, jobs):
        found[job] = _fresh(writer.layout, attempt, found.get(job, Known(job=job)))
    return tuple(one for _, one in sorted(found.items()) if one.numbers)


def _fresh(layout: Layout, attempt: int, before: Known) -> Known:
    folders = sorted(layout.executions(before.job, attempt), key=lambda folder: restart_of(folder.name))
    if not folders:
        return before
    lines = newest_metrics(folders[-1])
    numbers = dict(before.numbers)
    for line in lines:
        numbers.update(line.values)
    outcome = read_json(folders[-1] / "outcome.json", Outcome)
    if outcome is not None and outcome.ending == "success":
        numbers.update(outcome.result)
    return Known(
        job=before.job,
        epoch=newest_place(lines, before.epoch),
        epochs=lines[-1].epochs if lines else before.epochs,
        numbers=numbers,
    )
