"""`orch verify --rerun`: jobs that nobody chose run again from their snapshots, and their numbers are compared.

Which jobs follows from the claim's own hash, so whoever makes a claim cannot choose them either.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from db import jobs
from db.rows import ResultRow
from db.store import Store
from jobs.errors import BadInput, OrchError
from orchestrator.claims.cells import REPLICATES
from orchestrator.claims.records import Claim, rows_of
from orchestrator.submitting import foreground

How = Literal["bit-equal", "within noise", "different", "failed"]
DEVIATIONS = 2.0
"""Within so many standard deviations of runs that differ as little a difference is noise."""
STDERR = 2


@dataclass(frozen=True, kw_only=True)
class Again:
    """One job that ran again."""

    job: int
    seed: int
    how: How
    text: str

    @property
    def sound(self) -> bool:
        return self.how in ("bit-equal", "within noise")


def drawn(claim: Claim, digest: str, n: int) -> list[ResultRow]:
    """So many of the claim's jobs that have a number in the table and ran here. Raises BadInput where there is none."""
    rows = [row for row in rows_of(claim) if row.metrics and row.dropped is None and not row.imported]
    if not rows:
        raise BadInput("no job of this claim can run again: none has a number, or all were imported")
    rows.sort(key=lambda row: row.job)
    return Random(digest).sample(rows, min(n, len(rows)))


def rerun(store: Store, claim: Claim, row: ResultRow) -> Again:
    """Run one of them in the foreground, in a temporary folder. Raises BadInput where the store is another one."""
    with store.read() as connection:
        (stored,) = jobs.get_many(connection, [row.job]) or (None,)
    if stored is None or (stored.kind, stored.seed, stored.config) != (row.kind, row.seed, dict(row.config)):
        raise BadInput(f"the store {store.root} is not the one of this claim (job {row.job}): name that with --store")
    said = next((one.code for one in claim.ran if one.job == row.job), "")
    code = stored.launching.code
    if code is not None and code.snapshot and code.snapshot not in said.split():
        return _told(row, "failed", "its code is not that of the claim any more (it was retried with other code)")
    try:
        ended = foreground.again(store, row.job, STDERR)
    except OrchError as error:
        return _told(row, "failed", f"cannot run again: {error}")
    if ended.result is None:
        return _told(row, "failed", f"failed when it ran again (exit code {ended.code})")
    how, text = compared(row, ended.result, rows_of(claim))
    return _told(row, how, text)


def _told(row: ResultRow, how: How, text: str) -> Again:
    return Again(job=row.job, seed=row.seed, how=how, text=f"job {row.job}, seed {row.seed}: {text}")


def compared(row: ResultRow, result: Mapping[str, float | None], rows: Sequence[ResultRow]) -> tuple[How, str]:
    """How the numbers of a run are to those in the claim; in words. Pure."""
    other = {name for name in {*row.metrics, *result} if row.metrics.get(name) != result.get(name)}
    if not other:
        return "bit-equal", f"ran again, bit-equal in {len(row.metrics)} number{'s' * (len(row.metrics) != 1)}"
    kin = [one for one in rows if one.job != row.job and _alike(one, row, with_seed=True)]
    whose = "repeats of it"
    if len(kin) < 2:
        kin, whose = (
            [one for one in rows if _alike(one, row, with_seed=False)],
            "its row's seeds, since it has no repeats",
        )
    worst: list[str] = []
    within: list[str] = []
    for name in sorted(other):
        before, after = row.metrics.get(name), result.get(name)
        values = [value for one in kin if (value := one.metrics.get(name)) is not None]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        said = f"{name} {_number(before)} became {_number(after)}"
        fits = before is not None and after is not None and abs(after - before) <= DEVIATIONS * spread
        (within if fits else worst).append(f"{said} (± {spread:.3g})" if spread else said)
    if worst:
        return "different", f"ran again, and is different: {'; '.join(worst)}"
    return "within noise", f"ran again, within the noise of {whose}: {'; '.join(within)}"


def _number(value: float | None) -> str:
    return "none" if value is None else format(value, ".10g")


def _alike(one: ResultRow, other: ResultRow, *, with_seed: bool) -> bool:
    """Whether two jobs are of one cell, and of one draw."""
    own = [{name: value for name, value in row.config.items() if name not in REPLICATES} for row in (one, other)]
    same = (one.kind, one.dataset, own[0]) == (other.kind, other.dataset, own[1]) and one.dropped is None
    return same and (not with_seed or (one.seed, one.config.get("search")) == (other.seed, other.config.get("search")))
