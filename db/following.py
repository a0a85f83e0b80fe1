"""Who waits for which canary: the rows that change, for whichever entry it is.

A canary is open until nothing waits for it. One that never tells anything (cancelled, or failed and dropped) hands on
to the first of those that wait for it, so that nothing waits for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from db.text import encode


def begin(connection: Connection, job: int, at: str) -> None:
    """The job goes first from now on."""
    connection.exec_driver_sql(
        "INSERT INTO canary (job_id, began_at) VALUES (?, ?) "
        "ON CONFLICT (job_id) DO UPDATE SET began_at = excluded.began_at, over_at = NULL",
        (job, at),
    )


def follow(connection: Connection, canary: int, at: str) -> None:
    """Nothing waits for it any more."""
    connection.exec_driver_sql("UPDATE job SET behind = NULL WHERE behind = ?", (canary,))
    close_empty(connection, [canary], at)


def close_empty(connection: Connection, canaries: Iterable[int], at: str) -> None:
    """Those of these canaries that nothing waits for are none any more."""
    for canary in canaries:
        connection.exec_driver_sql(
            "UPDATE canary SET over_at = ? WHERE job_id = ? AND over_at IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM job WHERE behind = ?)",
            (at, canary, canary),
        )


def hand_on(connection: Connection, canaries: Iterable[int], at: str) -> None:
    """These never tell anything: of those that wait for one, the first becomes the canary of the others."""
    for canary in canaries:
        first = connection.exec_driver_sql("SELECT min(id) FROM job WHERE behind = ?", (canary,)).scalar_one()
        if first is not None:
            connection.exec_driver_sql("UPDATE job SET behind = NULL WHERE id = ?", (first,))
            begin(connection, int(first), at)
            connection.exec_driver_sql("UPDATE job SET behind = ? WHERE behind = ?", (first, canary))
            close_empty(connection, [int(first)], at)
        close_empty(connection, [canary], at)


def let_go(connection: Connection, jobs: Sequence[int], at: str) -> None:
    """These wait for no canary any more."""
    concerned = _canaries_of(connection, jobs)
    connection.exec_driver_sql(
        "UPDATE job SET behind = NULL WHERE behind IS NOT NULL AND id IN (SELECT value FROM json_each(?))",
        (encode(list(jobs)),),
    )
    close_empty(connection, concerned, at)


def leave(connection: Connection, jobs: Sequence[int], at: str) -> None:
    """Jobs that a person takes back neither wait for a canary nor are one."""
    let_go(connection, jobs, at)
    open_ones = _open_canaries(connection, jobs, "j.state NOT IN ('succeeded', 'failed', 'cancelled')")
    hand_on(connection, open_ones, at)


def taken_back(connection: Connection, jobs: Sequence[int], at: str) -> None:
    """Canaries among these that somebody cancelled in the machines' queue (scancel): they tell nothing any more."""
    hand_on(connection, _open_canaries(connection, jobs, "j.state = 'cancelled'"), at)


def _canaries_of(connection: Connection, jobs: Sequence[int]) -> list[int]:
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT behind FROM job WHERE behind IS NOT NULL AND id IN (SELECT value FROM json_each(?)) "
        "ORDER BY behind",
        (encode(list(jobs)),),
    )
    return [int(row[0]) for row in rows]


def pass_over(connection: Connection, jobs: Sequence[int], at: str) -> None:
    """Canaries among these that have failed and count no more: a person judged that job, not the program."""
    hand_on(connection, _open_canaries(connection, jobs, "j.state = 'failed' AND j.dropped IS NOT NULL"), at)


def _open_canaries(connection: Connection, jobs: Sequence[int], condition: str) -> list[int]:
    """Those of these jobs that are waited for, where that holds of the job `j`."""
    rows = connection.exec_driver_sql(
        "SELECT c.job_id FROM canary c JOIN job j ON j.id = c.job_id WHERE c.over_at IS NULL "
        f"AND {condition} AND j.id IN (SELECT value FROM json_each(?)) ORDER BY c.job_id",
        (encode(list(jobs)),),
    )
    return [int(row[0]) for row in rows]
