"""A store of an earlier orch that counted older epochs' values: corrected once, said once, kept by a rebuild."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import Orch

GOLDEN = Path(__file__).parents[1] / "golden" / "store-0001.tar.gz"
ACCEPTED = {1: 1 / 5, 2: 1 / 5 + 1 / 100, 3: 0.52, 4: 0.5, 5: 0.5, 6: 0.1, 7: 0.25, 8: 0.5}
CORRECT = {**ACCEPTED, 3: None, 4: None, 5: None}


@pytest.fixture
def old(orch: Orch) -> Orch:
    """The store as the earlier version left it (tests/golden/README.md)."""
    with tarfile.open(GOLDEN) as archive:
        archive.extractall(orch.folder, filter="data")
    return orch


def losses(orch: Orch) -> dict[int, float | None]:
    return {job["id"]: job["metrics"]["loss"] for job in orch.json("status")["jobs"]}


def last_epochs(orch: Orch) -> dict[str, float | None]:
    """Mean loss at the last epoch by name; of job 8 nothing is left to read again."""
    rows = orch.json("table", "--by", "name", "--metric", "loss", "--epoch", "last")["rows"]
    return {row["by"]["name"]: row["metrics"]["loss"]["mean"] for row in rows if row["by"]["name"] != "gone"}


def everything(orch: Orch) -> list[tuple[Any, ...]]:
    return orch.rows(
        "SELECT r.job_id, r.metrics, r.test_accuracy, r.flags, r.rule, r.original, r.accepted_at, e.last, "
        "(SELECT group_concat(epoch || name || coalesce(value, 'none')) FROM metric WHERE execution_id = e.id) "
        "FROM result r JOIN execution e ON e.id = r.execution_id ORDER BY r.job_id"
    )


def test_what_was_wrong_is_corrected_once_counted_and_named(old: Orch) -> None:
    files = len(list((old.layout.journal / "0").iterdir()))
    first = old.call("status", "--json")
    assert first.returncode == 0
    assert "of 8 results 3 were corrected (job 3: loss was 0.52, not finite at its last epoch; job 4: " in first.stderr
    assert "1 result could not be checked, since the run folders are gone (job 8)" in first.stderr
    assert old.call("status").stderr == ""
    assert losses(old) == CORRECT
    assert len(list((old.layout.journal / "0").iterdir())) == files + 1
    (row,) = [row for row in old.json("table", "--by", "name", "--metric", "loss")["rows"] if row["n"] == 2]
    assert row["by"] == {"name": "diverged"} and row["metrics"]["loss"]["mean"] == pytest.approx(0.205)
    assert old.json("show", "3")["result"]["original"] == {"loss": 0.52}
    assert "its run folder is gone" in old("show", "8")


def test_a_rebuild_before_and_after_gives_the_same_rows(old: Orch) -> None:
    old.layout.database.unlink()
    rebuilt = old.call("rebuild")
    assert rebuilt.returncode == 0 and "3 were corrected" in rebuilt.stderr
    before = everything(old)
    assert losses(old) == CORRECT
    assert "corrected" not in old.call("rebuild").stderr
    assert everything(old) == before


def test_migrated_and_rebuilt_are_the_same(old: Orch) -> None:
    old("status")
    migrated, last = everything(old), last_epochs(old)
    old("rebuild")
    assert [row for row in everything(old) if row[0] != 8] == [row for row in migrated if row[0] != 8]
    assert last_epochs(old) == last
    assert last["disorder"] == CORRECT[6] and last["null"] is None, "as the result"


def test_a_correction_can_be_taken_back(old: Orch) -> None:
    assert "job 3 (study default, seed 2): loss was 0.52, not finite at its last epoch" in old("correct")
    assert old.json("correct", "3", "--undo") == {"given_back": [3]}
    assert losses(old) == {**CORRECT, 3: 0.52}
    old("rebuild")
    assert losses(old) == {**CORRECT, 3: 0.52}
    assert [one["job"] for one in old.json("correct")["corrected"]] == [4, 5]
    refused = old.call("correct", "3", "--undo")
    assert refused.returncode == 2 and "job 3 has no corrected result" in refused.stderr
    assert old.json("correct", "--undo") == {"given_back": [4, 5]}
    assert losses(old) == ACCEPTED
    assert "corrected" not in old("show", "4")
