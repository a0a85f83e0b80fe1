"""All of Table 2 on SLURM, with a node that dies under a search: every cell is filled, and no seed counts twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slurm.testcluster import Cluster
from tests.slurm.lab import lab

GRAPH = ("table2", "--seeds", "2", "--set", "train_images=320", "--checkpoint-every", "0", "--mem", "1500M")
JOBS = 30


@pytest.mark.long  # thirty trainings, all at once: tests/e2e fills the same table on local slots
def test_table2_with_a_node_killed_in_the_middle(cluster: Cluster, tmp_path: Path) -> None:
    with lab(tmp_path, cluster) as orch:
        assert len(orch.submit(*GRAPH)) == JOBS
        searches = [row[0] for row in orch.query("SELECT id FROM job WHERE kind = 'search' ORDER BY id")]
        first = orch.running(searches[0])
        orch.until(lambda: orch.metric_lines(first), what="an epoch of the search")
        orch.power_cut(first.node)
        orch.wait(timeout=400)

        orch.check_each_once(JOBS)
        runs = orch.runs(searches[0])
        assert len(runs) > 1 and runs[0].outcome is None, "the search did not lose its node"
        assert orch.accepted(searches[0]) == runs[-1].folder.name
        assert first.node not in {run.node for run in runs[1:]}

        table = json.loads(orch.orch("table", "--json"))
        assert [(row["architecture"], row["epoch"]) for row in table["rows"] if row["epoch"]] == [
            (method, epoch) for method in "AB" for epoch in (1, 2, 3)
        ]
        for row in table["rows"]:
            assert (row["n"], row["expected"]) == (2, 2), row
            if row["epoch"]:
                assert row["random_accuracy"]["n"] == 2, row
        orch.orch("table", "--out", "table2.md")
        assert "pending" not in (tmp_path / "table2.md").read_text()
