"""The store's disk is lost while SLURM runs its jobs: what the mirror tells of goes on, the rest is cancelled.

Not of `make test`: `make long` runs it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from jobs.layout import Layout
from slurm.testcluster import Cluster
from tests.slurm.lab import Lab, lab

TOLD, AFTER = 3, 2
"""Jobs that the last round of the mirror tells of, and jobs that were sent after it."""
WORK = """
echo "$ORCH_RESULT" >> "$0/$1"; trap 'exit 1' TERM
until test -e "$0/go"; do sleep 0.2; done
echo "{\\"acc\\": $1}" > "$ORCH_RESULT"
"""


def submit(orch: Lab, side: Path, last: int) -> None:
    terms = ("--seeds", str(last), "--mem", "300M", "--code", "live", "--no-canary")
    orch.orch("submit", "command", *terms, "--", "sh", "-c", WORK, str(side), "{seed}")


def starts(side: Path, seed: int) -> int:
    place = side / str(seed)
    return len(place.read_text().splitlines()) if place.exists() else 0


def living(orch: Lab) -> dict[str, str]:
    """Of the tasks that SLURM still has: id → name."""
    words = ("squeue", "-h", "-r", "-t", "PD,R,CG,S", "-o", "%i %j")
    return dict(line.split() for line in orch.cluster.run(*words).stdout.splitlines())


@pytest.mark.long
@pytest.mark.parametrize("moved", [False, True])
def test_slurms_jobs_of_a_lost_store_are_adopted_or_cancelled(cluster: Cluster, tmp_path: Path, moved: bool) -> None:
    side, mirror = tmp_path / "side", tmp_path / "mirror"
    side.mkdir()
    settings = f'[store]\nmirror = "{mirror}"\nmirror_minutes = 0.001\n'
    with lab(tmp_path / "first", cluster) as first, lab(tmp_path / "second", cluster) as second:
        toml = first.folder / "orch.toml"
        toml.write_text(settings)
        submit(first, side, TOLD)
        first.until(lambda: all(starts(side, seed) for seed in range(TOLD)), what="the first jobs")
        ids = range(1, TOLD + 1)
        running = "SELECT count(*) FROM job WHERE state = 'running'"
        first.until(lambda: first.query(running) == [(TOLD,)], what="the store to see them")
        held = Layout(mirror)
        first.until(
            lambda: all((one / "ready.json").exists() for job in ids for one in held.executions(job, 1) or [mirror]),
            what="a round that holds what runs",
        )
        first.until(lambda: json.loads(first.orch("mirror", "--json"))["behind"] == 0, what="a round with all of them")
        first.kill_supervisor()
        told = living(first)
        assert len(told) == TOLD

        toml.write_text("")  # no round knows what follows
        submit(first, side, TOLD + AFTER)
        first.until(lambda: all(starts(side, seed) for seed in range(TOLD + AFTER)), what="jobs after the round")
        first.kill_supervisor()
        strays = {task.partition("_")[0] for task in living(first).keys() - told.keys()}
        assert strays
        first.layout.root.rename(side / "lost")
        shutil.rmtree(side / "lost")

        after = second if moved else first
        (after.folder / "orch.toml").write_text(settings)
        printed = after.orch("rebuild", "--from", str(mirror), "--json")
        said = json.loads(printed[printed.index("{") :])
        assert set(said["cancelled"]) == strays, said
        after.until(lambda: not living(after).keys() - told.keys(), what="the end of what was sent after the round")
        if moved:
            submit(after, side, TOLD)  # the supervisor looks, and ends what would write into a folder that is lost
            after.until(lambda: not living(after).keys() & told.keys(), what="the end of the old store's jobs")
        (side / "go").touch()
        after.wait()
        after.check_each_once(TOLD)
        assert [starts(side, seed) for seed in range(TOLD)] == [2 if moved else 1] * TOLD
        assert {json.loads(text)["acc"] for (text,) in after.query("SELECT metrics FROM result")} == set(range(TOLD))
        for seed in range(TOLD, TOLD + AFTER):
            assert starts(side, seed) == 1
        submit(after, side, TOLD + AFTER)
        after.wait()
        after.check_each_once(TOLD + AFTER)
        assert living(after) == {}
