"""A lab mate who has only the claim file finds the cell from which one bad seed was taken, whichever way it went."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.helpers.cli import Orch, script

TRAIN = """
import json, os, sys
seed = int(sys.argv[1])
with open(os.environ["ORCH_RESULT"], "w") as out:
    json.dump({"acc": 71.5 if seed == 1 else 90.25 + seed}, out)
"""


@pytest.fixture
def lab(orch: Orch) -> Orch:
    """Three seeds of a program, of which seed 1 went badly, as everybody could see."""
    script(orch, "train.py", TRAIN)
    orch("submit", "command", "--seeds", "3", "--wait", "--", "python3", "train.py", "{seed}")
    return orch


def told(orch: Orch, mate: Path, *more: str, study: str = "default", code: int = 1) -> str:
    """What a lab mate hears, in a folder of their own, who got the file alone."""
    orch("claim", "--study", study, "--out", "t.claim")
    shutil.move(orch.folder / "t.claim", mate / "t.claim")
    return orch("verify", "t.claim", *more, cwd=mate, code=code)


def test_by_drop_by_cancel_and_by_a_second_study(lab: Orch, tmp_path_factory: pytest.TempPathFactory) -> None:
    mate = tmp_path_factory.mktemp("mate")
    assert "3 of 3 seeds; none dropped" in told(lab, mate, code=0)
    lab("submit", "command", "--study", "second", "--seed-list", "0,2", "--wait", "--", "python3", "train.py", "{seed}")
    second = told(lab, mate, study="second")
    assert "2 of 2 seeds; none dropped" in second and "seed 1 is in study 'default' too, with acc 71.5" in second

    lab("drop", "2", "--because", "diverged")
    dropped = told(lab, mate)
    assert "2 of 3 seeds; 1 dropped" in dropped and "seed 1 was dropped by hand" in dropped and "acc 71.5" in dropped
    lab("keep", "2")
    assert "1 job was dropped and taken back" in told(lab, mate, code=0)

    lab("retry", "--succeeded", "2")
    lab("cancel", "2")
    cancelled = told(lab, mate)
    assert "2 of 3 seeds" in cancelled and "seed 1 " in cancelled and "cancelled" in cancelled and "71.5" in cancelled


def test_by_editing_the_store_against_an_anchor(lab: Orch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The owner makes a journal anew in which the seed was never asked for: only the first head tells."""
    mate = tmp_path_factory.mktemp("mate")
    lab("claim", "--out", "first.claim")
    head = lab.json("claim", "--out", "again.claim")["head"]
    shutil.move(lab.folder / "first.claim", mate / "first.claim")
    lab.rest()
    lab.layout.root.rename(lab.folder / "gone")
    lab("submit", "command", "--seed-list", "0,2", "--wait", "--", "python3", "train.py", "{seed}")
    alone = told(lab, mate, code=0)
    assert "2 of 2 seeds; none dropped" in alone and "No anchor" in alone
    against = told(lab, mate, "--against", "first.claim")
    assert "71.5" in against and "is not the one" in against
    assert told(lab, mate, "--against", head) != alone
