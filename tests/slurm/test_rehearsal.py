"""A rehearsal whose runs are SLURM's: killed, told, requeued, and on a node that dies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.zoo import HOME
from tests.slurm.conftest import NewCluster
from tests.slurm.lab import lab

HERE = ("requeue", "kill")
LONG = ("term", "kill", "write", "torn", "times", "limit", "requeue", "node")


def rehearsed(new_cluster: NewCluster, folder: Path, animal: str, only: tuple[str, ...]) -> dict[str, Any]:
    """What is said of an animal of the zoo on a cluster of its own, of which nothing may be left."""
    folder.mkdir()
    for name in ("common", animal):
        shutil.copy(HOME / "zoo" / f"{name}.py", folder)
    with new_cluster(nodes=3) as cluster, lab(folder, cluster) as orch:
        words = ("--backend", "slurm", "--mem", "300M", "--kills", "1", "--only", ",".join(only), "--json")
        said = json.loads(orch.orch("rehearse", *words, "--", "python", f"{animal}.py", code=None, timeout=600))
        assert cluster.run("squeue", "-h", "-t", "pending,running").stdout == ""
        assert list((folder / ".orch" / "rehearsals").iterdir()) == []
        assert orch.jobs() == {}, "jobs of a rehearsal are in a study"
        cluster.wait_idle()
    (found,) = said["rehearsed"]
    return dict(found)


def judged(found: dict[str, Any]) -> dict[str, str]:
    return {run["run"]: run["verdict"] for run in found["runs"] if not run["run"].endswith(("again", "seed"))}


def short(new_cluster: NewCluster, folder: Path) -> dict[str, Any]:
    return rehearsed(new_cluster, folder / "right", "right", HERE)


@pytest.mark.background(story=short)
def test_a_right_program_is_bit_identical_after_a_kill_and_a_requeue(told: dict[str, Any]) -> None:
    assert (told["verdict"], told["remarks"]) == ("bit-identical", []), told
    assert judged(told) == {"kill-1": "bit-identical", "requeue": "bit-identical"}, told
    assert any("scontrol requeue" in run["how"] for run in told["runs"])


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("animal", "verdict"),
    [("right", "bit-identical"), ("sampler", "wrong after resuming"), ("in_place", "not resumable")],
)
def test_every_disturbance_that_there_is_on_slurm(
    new_cluster: NewCluster, tmp_path: Path, animal: str, verdict: str
) -> None:
    found = rehearsed(new_cluster, tmp_path / animal, animal, LONG)
    assert found["verdict"] == verdict, found
    assert set(judged(found)) == {f"{name}-1" if name == "kill" else name for name in LONG}
    assert set(found["tried"]) == set(LONG), found
