"""What SLURM's answers mean to a person."""

from __future__ import annotations

from orchestrator.upkeep.findings import Level, failures
from orchestrator.upkeep.machinechecks import slurm
from slurm.cluster.probe import Findings, Partition

GPU = Partition(name="gpu", nodes=4, usable=3, gpus=16, time_limit="1-00:00:00", default=True)
GOOD = {"installed": True, "client": "22.05.8", "controller": "22.05.8", "accounting": True, "partitions": (GPU,)}


def levels(**changed: object) -> dict[str, Level]:
    return {one.subject: one.level for one in slurm(Findings(**{**GOOD, **changed}))}  # type: ignore[arg-type]


def test_a_good_cluster_is_ok() -> None:
    found = slurm(Findings(**GOOD, max_array=1001, limits={"MaxSubmit of account x": 50}))  # type: ignore[arg-type]
    assert failures(found) == 0 and all(one.level is Level.OK and not one.mend for one in found)
    told = " ".join(one.text for one in found)
    assert "gpu* (3 of 4 nodes up, 16 GPUs" in told and "arrays below 1001" in told and "50 MaxSubmit" in told


def test_a_silent_controller_is_a_failure() -> None:
    found = slurm(Findings(installed=True, client="22.05.8", errors={"controller": "timed out"}))
    assert failures(found) == 1 and "timed out" in found[0].text and "scontrol ping" in found[0].mend


def test_without_accounting_the_queue_is_all_there_is() -> None:
    (found,) = [one for one in slurm(Findings(**{**GOOD, "accounting": False}, min_job_age_s=300)) if one.mend]  # type: ignore[arg-type]
    assert found.level is Level.WARNING and "300 s" in found.mend


def test_what_makes_jobs_wait_for_ever() -> None:
    down = Partition(name="gpu", nodes=4, usable=0, gpus=16, time_limit="infinite")
    plain = Partition(name="cpu", nodes=4, usable=4, gpus=0, time_limit="infinite")
    assert levels(partitions=(down,))["partitions"] is Level.FAILURE
    assert levels(partitions=(plain,))["partitions"] is Level.WARNING
    assert levels(partitions=())["partitions"] is Level.FAILURE
    assert levels(client="23.11.1")["SLURM"] is Level.WARNING
