"""The limits of a study: how many of its jobs are with the machines at once, and how many may fail."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from db.applying import apply, study_row
from db.restraints import Limits


@dataclass(frozen=True, kw_only=True)
class StudyLimits:
    """A study that has a limit, and where it stands."""

    id: int
    study: str
    max_running: int | None
    max_fails: int | None
    there: int
    """Jobs that the machines have, those that are to be gone among them."""
    failed: int
    """Jobs that failed for good here; not counted, 0, where that is no limit."""

    @property
    def stopped(self) -> bool:
        """Whether nothing more is sent, since too many failed."""
        return self.max_fails is not None and self.failed >= self.max_fails

    @property
    def room(self) -> int | None:
        """How many more may be sent now; None: as many as there are."""
        if self.stopped:
            return 0
        return None if self.max_running is None else max(0, self.max_running - self.there)


@apply.register
def _(entry: Limits, connection: Connection) -> None:
    study = study_row(connection, entry.study)
    for column, value in (("max_running", entry.max_running), ("max_fails", entry.max_fails)):
        if value is not None:
            connection.exec_driver_sql(f"UPDATE study SET {column} = nullif(?, 0) WHERE id = ?", (value, study))


def limited(connection: Connection, study: str | None = None) -> list[StudyLimits]:
    """The studies that have a limit; of that one study where it is named."""
    rows = connection.exec_driver_sql(
        "SELECT s.id, s.name, s.max_running, s.max_fails, (SELECT count(DISTINCT a.job_id) FROM attempt a "
        "JOIN job j ON j.id = a.job_id WHERE (a.state != 'ended' OR a.doomed = 1) AND j.study_id = s.id), "
        "CASE WHEN s.max_fails IS NULL THEN 0 ELSE (SELECT count(*) FROM job j WHERE j.study_id = s.id "
        "AND j.state = 'failed' AND j.imported = 0) END FROM study s "
        "WHERE (s.max_running IS NOT NULL OR s.max_fails IS NOT NULL) AND (? IS NULL OR s.name = ?) ORDER BY s.id",
        (study, study),
    )
    return [
        StudyLimits(
            id=int(row[0]),
            study=str(row[1]),
            max_running=row[2],
            max_fails=row[3],
            there=int(row[4]),
            failed=int(row[5]),
        )
        for row in rows
    ]
