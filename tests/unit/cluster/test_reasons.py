"""Which of SLURM's reasons to wait pass by themselves, and which need a person."""

from __future__ import annotations

import pytest

from slurm.backend import Phase
from slurm.cluster import reasons
from slurm.cluster.states import phase_of

NEVER = """PartitionTimeLimit PartitionNodeLimit JobHeldUser JobHeldAdmin InvalidAccount InvalidQOS AccountNotAllowed
QOSNotAllowed BadConstraints DependencyNeverSatisfied ReservationDeleted AssocMaxWallDurationPerJobLimit
AssocMaxNodePerJobLimit QOSMaxCpuPerJobLimit QOSMaxMemoryPerJob QOSMinCpuNotSatisfied MaxMemPerLimit QOSMaxGRESPerNode
QOSTimeLimit AssociationTimeLimit""".split()  # noqa: SIM905
IN_TIME = """None Priority Resources BeginTime Dependency Licenses Reservation NodeDown PartitionDown PartitionInactive
JobArrayTaskLimit AssocGrpCpuLimit AssocGrpGRES AssocMaxJobsLimit QOSMaxJobsPerUserLimit QOSMaxGRESPerUser
QOSGrpNodeLimit QOSMaxCpuPerUserLimit JobHoldMaxRequeue Prolog SomethingNew""".split()  # noqa: SIM905


@pytest.mark.parametrize("code", [*NEVER, "job requeued in held state"])
def test_what_needs_a_person(code: str) -> None:
    assert reasons.needs_a_person(reasons.in_words(code))
    assert code in reasons.in_words(code), "SLURM's own word is shown"


@pytest.mark.parametrize(
    "code",
    [
        *IN_TIME,
        "",
        "launch failed requeued held",
        "ReqNodeNotAvail, UnavailableNodes:node[1-3]",
        "ReqNodeNotAvail(Unavailable:node1)",
        "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
    ],
)
def test_what_passes_by_itself(code: str) -> None:
    assert not reasons.needs_a_person(reasons.in_words(code))


def test_what_is_suspended_does_not_run() -> None:
    assert phase_of("SUSPENDED") is phase_of("STOPPED") is Phase.SUSPENDED
    assert "scontrol resume" in reasons.of_phase(Phase.SUSPENDED, "None")
    assert reasons.of_phase(Phase.RUNNING, "Priority") == ""
