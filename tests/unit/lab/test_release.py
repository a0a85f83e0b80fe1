"""What SLURM holds since it could not be started goes again when the lab is up; what a person holds stays."""

from __future__ import annotations

import pytest

from slurm.lab import crew
from slurm.lab.errors import ClusterError
from slurm.lab.record import FORMAT, Lab
from slurm.lab.waiting import release

LAB = Lab(format=FORMAT, id="a1", folder="/lab", user="mai", uid=1, port=1, members=())
ROWS = "1_0|launch failed requeued held\n2|JobHeldUser\n3|Resources\n7|launch failed requeued held\n"


@pytest.mark.parametrize(("rows", "released"), [(ROWS, ["1_0,7"]), ("2|JobHeldUser\n", []), ("", [])])
def test_jobs_that_slurm_itself_holds_are_released(
    rows: str, released: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def says(lab: Lab, *words: str) -> str:
        if words[0] == "squeue":
            return rows
        assert words[:2] == ("scontrol", "release")
        told.append(words[2])
        return ""

    monkeypatch.setattr(crew, "slurm_says", says)
    release(LAB)
    assert told == released


def test_a_lab_that_does_not_answer_is_up_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(lab: Lab, *words: str) -> str:
        raise ClusterError("the lab has no controller")

    monkeypatch.setattr(crew, "slurm_says", silent)
    release(LAB)
