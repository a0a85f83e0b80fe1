"""A lab of three servers loses one of them, and later its controller's network: every job ends well, once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slurm.lab import record
from tests.helpers.servers import NAMES, Servers, servers
from tests.lab.user import LONG, QUICK, Run, User

STEPS = 14
WORK = f"""
cd "$ORCH_CHECKPOINT_DIR"; n=$(cat step 2>/dev/null || echo 0); echo "from $n"
while test $n -lt {STEPS}; do sleep 1; n=$((n+1)); echo $n >new; mv new step; done
"""
"""A program that costs nothing, and goes on from its last step."""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def lab() -> Iterator[Servers]:
    with servers(megabytes=64) as made:
        yield made


def step(run: Run) -> int:
    """How far that execution has come."""
    try:
        return int((run.folder / "checkpoints/step").read_text())
    except FileNotFoundError:
        return 0


def began(run: Run) -> int:
    """The step from which that execution went on."""
    word = (run.folder / "stdout").read_text().splitlines()[0]
    return int(word.removeprefix("from "))


def test_a_power_cut_and_then_the_cable_of_the_controllers_host(lab: Servers) -> None:
    usagi, kitsune = lab["usagi"], lab["kitsune"]
    mai = User(lab, at="tanuki", ORCH_POLL_SECONDS="3")
    said = mai.orch("lab", "up", *NAMES, *QUICK, timeout=LONG)
    assert "usagi is its controller and tanuki is its backup" in said

    def on(host: str, steps: int) -> list[Run]:
        return [run for run in mai.working_on(host) if step(run) >= steps]

    cores = min(one.cores for one in record.load(mai.layout.root / "lab").members)
    terms = ("--cpus", str(cores), "--mem", "100M", "--code", "live", "--no-canary")
    waiting = mai.start("submit", "command", "--seeds", "4", *terms, "--wait", "--", "sh", "-c", WORK)
    (first,) = mai.until(lambda: on("kitsune", 3), LONG, "a job on kitsune")
    mai.drain("tanuki")  # what comes next goes to usagi
    kitsune.cut()
    # Beyond the step that it may have been handed on, so that it has made one of its own.
    (second,) = mai.until(
        lambda: [run for run in on("usagi", 6) if run.job in (first.job, 4)], LONG, "the next on usagi"
    )
    with usagi.pulled():
        mai.until(lambda: mai.controller() == 1, LONG, "the backup's taking over")
        mai.resume("tanuki")
        mai.finish(waiting, timeout=LONG)
        mai.rest()
        # Before usagi is back, which may begin again what it believes to wait or run.
        mai.check_each_once(4)
        for hurt, least in ((first, 3), (second, 6)):
            last = [run for run in mai.runs() if run.job == hurt.job][-1]
            assert last.node != hurt.node and began(last) >= least, mai.story()

    kitsune.boot()
    # usagi may still believe that the jobs run which it had when its cable was pulled.
    mai.down("--force")
