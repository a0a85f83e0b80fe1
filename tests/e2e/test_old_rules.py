"""A store of schema 0015 (tests/golden/README.md): its table, seal, rule and use are told as that orch told them."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from db.store import VERSION
from tests.helpers.cli import Orch

GOLDEN = Path(__file__).parents[1] / "golden" / "store-0015.tar.gz"
NUMBERS = {
    0.01: (10, 0.9315734, 0.0016887337925861122),
    0.1: (9, 0.9522992222222222, 0.0012295943210849946),
}
NOTES = [
    "1 of 10 dropped by hand: a slip (job 3, seed 2)",
    "resume verified: bit-identical, in part (tried: term, kill, limit, twice; not tried: write, torn, times): "
    "jobs 1–2, 4–20",
    "rule of 2026-11-27 'lr=0.1 > lr=0.01 on acc': stopped by hand: seed 2 of lr=0.1 was dropped, after it was "
    "decided at n = 10",
]


@pytest.fixture
def old(orch: Orch) -> Orch:
    with tarfile.open(GOLDEN) as archive:
        archive.extractall(orch.folder, filter="data")
    return orch


def told(orch: Orch) -> tuple[dict[float, tuple[int, float, float]], list[str]]:
    table = orch.json("table", "--study", "golden")
    cells = {row["by"]["lr"]: (row["n"], row["metrics"]["acc"]) for row in table["rows"]}
    return {lr: (n, acc["mean"], acc["std"]) for lr, (n, acc) in cells.items()}, table["notes"]


def used(orch: Orch) -> dict[str, Any]:
    found = orch.json("usage", "--study", "golden")["classes"]
    return {one["class"]: (one["executions"], one["seconds"], one["gpu_seconds"]) for one in found}


def test_a_store_with_a_rule_and_a_seal_opens_and_is_rebuilt(old: Orch) -> None:
    assert told(old) == (NUMBERS, NOTES)
    assert used(old) == {"useful": (19, 4.213687, 0.0), "dropped": (1, 0.11817, 0.0)}
    assert "stopped by hand" in old("status", "--study", "golden")
    assert old.rows("SELECT version_num FROM alembic_version") == [(VERSION,)]
    (old.layout.root / "orch.db").unlink()
    old.rebuild()
    assert told(old) == (NUMBERS, NOTES)
    assert used(old) == {"useful": (19, 4.213687, 0.0), "dropped": (1, 0.11817, 0.0)}
    old("keep", "3", "--study", "golden")
    numbers, notes = told(old)
    assert numbers[0.1][0] == 10 and not any("dropped by hand: a slip" in note for note in notes)
