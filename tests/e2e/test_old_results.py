"""Stores of earlier orchs that counted older lines' values: corrected once, said once, kept by a rebuild."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import Orch

GOLDEN = Path(__file__).parents[1] / "golden" / "store-0001.tar.gz"
ACCEPTED = {1: 1 / 5, 2: 1 / 5 + 1 / 100, 3: 0.52, 4: 0.5, 5: 0.5, 6: 0.1, 7: 0.25, 8: 0.5}
CORRECT = {**ACCEPTED, 3: None, 4: None, 5: None}
LATER = Path(__file__).parents[1] / "golden" / "store-0009.tar.gz"
TAKEN = {1: {"loss": 0.5}, 2: {"loss": 0.5}, 3: {"loss": 0.4}, 4: {"loss": 0.25}, 5: {"loss": 0.5}, 6: {"acc": 0.9}}
TAKEN |= {7: {"loss": 0.25}, 8: {"loss": 0.5}}
RIGHT = {**TAKEN, 1: {"loss": 0.1}, 2: {"loss": None}, 6: {"acc": 0.9, "loss": 0.1}}


@pytest.fixture
def old(orch: Orch) -> Orch:
    """The store as the earlier version left it (tests/golden/README.md)."""
    with tarfile.open(GOLDEN) as archive:
        archive.extractall(orch.folder, filter="data")
    return orch


@pytest.fixture
def later(orch: Orch) -> Orch:
    """The store of the next version (tests/golden/README.md)."""
    with tarfile.open(LATER) as archive:
        archive.extractall(orch.folder, filter="data")
    return orch


def numbers(orch: Orch) -> dict[int, dict[str, float | None]]:
    """What the store holds of each result."""
    return {job: json.loads(text) for job, text in orch.rows("SELECT job_id, metrics FROM result")}


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


def test_lines_without_an_epoch_count_in_results_of_the_rule_before(later: Orch) -> None:
    assert numbers(later) == TAKEN
    files = len(list((later.layout.journal / "0").iterdir()))
    said = later.call("status").stderr
    assert "of 8 results 3 were corrected (job 1: loss was 0.5, is 0.1; job 2: loss was 0.5, not finite" in said
    assert "job 6: loss was left out, is 0.1)" in said
    assert "1 result could not be checked, since the run folders are gone (job 5)" in said
    assert "1 result could not be checked, since a result file may have given" in said and "names last (job 8)" in said
    assert later.call("status").stderr == ""
    assert numbers(later) == RIGHT
    assert len(list((later.layout.journal / "0").iterdir())) == files + 1
    remarks = {job: json.loads(flags) for job, flags in later.rows("SELECT job_id, flags FROM result")}
    assert {job for job, flags in remarks.items() if "unchecked" in flags} == {5, 8}, "and none that a pattern gave"


def test_the_last_epoch_agrees_with_what_was_corrected(later: Orch) -> None:
    told = last_epochs(later)
    assert told["named"] == told["printed"] == 0.1 and told["negative"] is None and told["after"] == 0.4


def test_migrated_and_rebuilt_are_the_same_by_the_rule_before(later: Orch) -> None:
    later("status")
    migrated, tables = everything(later), last_epochs(later)
    assert "corrected" not in later.call("rebuild").stderr
    assert [row for row in everything(later) if row[0] != 5] == [row for row in migrated if row[0] != 5]
    assert last_epochs(later) == tables
    assert later.json("correct", "--undo") == {"given_back": [1, 2, 6]}
    assert numbers(later) == TAKEN
    later("rebuild")
    assert numbers(later) == TAKEN
