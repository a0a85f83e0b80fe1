"""Table 2 on three pretend servers, one of which is hurt twice: every cell is filled, no seed counts twice.

Not of `make test`: `make lab-chaos` runs it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.helpers.servers import NAMES, SHARED, USER, Servers, servers
from tests.lab.user import LONG, QUICK, User

FULL = bool(os.environ.get("ORCH_LAB_FULL"))
"""The whole study, of 30 jobs; else its cells of one readout, 14 jobs."""
STUDY = ("table2", "--preset", "demo", "--seeds", "2")
SMALL = (
    "--set",
    "train_images=320",
    "--set",
    "epochs=2",
    "--set",
    "readouts=2",
    "--checkpoint-every",
    "0",
)
"""With the memory that orch asks for by itself: a search takes 1 GiB, and SLURM kills what takes more than it asked."""


pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def lab() -> Iterator[Servers]:
    with servers() as made:
        yield made


def test_table2_with_a_power_cut_and_a_pulled_cable(lab: Servers) -> None:
    usagi = lab["usagi"]
    mai = User(lab, at="kitsune", XDG_CACHE_HOME=f"{SHARED}/{USER}/cache")  # the data sets' arrays stay, as they should
    said = mai.orch("lab", "up", *NAMES, *QUICK, timeout=LONG)
    assert "usagi is its controller and tanuki is its backup" in said

    mai.drain("kitsune")
    waiting = mai.start("submit", *STUDY, *(() if FULL else SMALL), "--wait")
    (hurt, *_) = mai.until(lambda: mai.working_on("usagi", epochs=1, kind="search"), LONG, "a search on usagi")
    usagi.cut()
    mai.until(lambda: mai.controller() == 1, LONG, "the backup's taking over")
    mai.resume("kitsune")
    usagi.boot()
    mai.orch("lab", "up", timeout=LONG)
    mai.until(lambda: mai.controller() == 0, LONG, "the controller's return")

    done = mai.ended()
    mai.until(lambda: mai.ended() > done, LONG, "another job's end")
    with usagi.pulled():
        mai.until(lambda: mai.controller() == 1, LONG, "the backup's taking over again")
    mai.finish(waiting, timeout=LONG)

    number = len(mai.layout.jobs())
    mai.check_each_once(number)
    again = [run for run in mai.runs() if run.job == hurt.job]
    assert len(again) > 1 and again[0].outcome is None, "the search did not lose its server"
    for row in json.loads(mai.orch("table", "--json"))["rows"]:
        assert row["n"] == row["expected"] == 2, row
    mai.orch("table", "--out", "table2.md")
    assert "pending" not in lab.shared(mai.folder / "table2.md").read_text()

    mai.orch("lab", "up", timeout=LONG)
    assert json.loads(mai.orch("lab", "status", "--json", timeout=LONG))["whole"], "the next death finds a backup"
    mai.down()
