"""The store's disk is gone at a random moment of a running study: what the last round held is there again, once.

`ORCH_MIRROR_RUNS` says how many seeds are run, `ORCH_MIRROR_SEED` the first one (`make mirror-runs`: 100).
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from pathlib import Path

import msgspec
import pytest

from db import journal
from db.entries import Accepted
from jobs.layout import Layout
from tests.helpers.cli import Orch, until

RUNS = int(os.environ.get("ORCH_MIRROR_RUNS", "1"))
FIRST = int(os.environ.get("ORCH_MIRROR_SEED", "0"))
SEEDS = 6
PROGRAM = """
import json, os, pathlib, random, sys, time
side, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2])
(side / "starts").mkdir(exist_ok=True)
with (side / "starts" / str(seed)).open("a") as starts:
    starts.write(os.environ["ORCH_RESULT"] + "\\n")
kept = pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"]) / "step.txt"
at = int(kept.read_text()) if kept.exists() else 0
while at < seed + 2:
    time.sleep(0.15)
    at += 1
    kept.with_suffix(".new").write_text(str(at))
    kept.with_suffix(".new").replace(kept)
with open(os.environ["ORCH_RESULT"], "w") as result:
    json.dump({"steps": at, "accuracy": 90 + seed}, result)
"""


def accepted(mirror: Path, upto: int) -> dict[int, dict[str, float | None]]:
    """The results that the mirror's last complete round tells of: job → numbers."""
    layout = Layout(mirror)
    found: dict[int, dict[str, float | None]] = {}
    for number in range(1, upto + 1):
        for entry in journal.read(journal.path_of(layout.journal, number)):
            if isinstance(entry, Accepted):
                found[entry.job] = entry.metrics
    return found


def results(orch: Orch) -> dict[int, dict[str, float | None]]:
    rows = orch.rows("SELECT job_id, metrics FROM result ORDER BY job_id")
    return {job: msgspec.json.decode(text) for job, text in rows}


@pytest.mark.parametrize("seed", range(FIRST, FIRST + RUNS))
def test_nothing_that_the_last_round_held_is_lost_and_nothing_is_doubled(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    side = tmp_path / "side"
    mirror = side / "mirror"
    first = tmp_path / "first"
    side.mkdir()
    first.mkdir()
    settings = f'[store]\nmirror = "{mirror}"\nmirror_minutes = 0.001\n'
    (first / "orch.toml").write_text(settings)
    (first / "work.py").write_text(PROGRAM)
    orch = Orch(first)
    try:
        program = (sys.executable, "work.py", str(side), "{seed}")
        orch("submit", "command", "--seeds", str(SEEDS), "--", *program)
        until(lambda: (mirror / "complete.json").exists(), "a first round", 120)
        time.sleep(dice.uniform(0, 5))
        power_cut, moved = dice.random() < 0.5, dice.random() < 0.5
        if power_cut:
            orch.kill_everything()
        orch.layout.root.rename(side / "lost")
        shutil.rmtree(side / "lost", ignore_errors=True)
        if moved:  # the other machine: nothing of the first one runs, and its folder is not there
            orch.kill_everything()
            second = tmp_path / "second"
            second.mkdir()
            (second / "orch.toml").write_text(settings)
            shutil.copy(first / "work.py", second)
            after = Orch(second)
        else:
            after = orch
        made = rebuild(after, mirror)
        held = accepted(mirror, made["complete_to"])
        known = {job: len(after.attempts(job)) for job in range(1, len(after.jobs()) + 1)}
        assert results(after) == held
        assert len(known) == SEEDS, "the submit was in the first round"

        after.finish()
        after.check()
        assert after.states() == ["succeeded"] * SEEDS
        counted = results(after)
        assert {job: numbers for job, numbers in counted.items() if job in held} == held
        assert {job: numbers["accuracy"] for job, numbers in counted.items()} == {
            job: 89.0 + job for job in range(1, SEEDS + 1)
        }
        for job, before in known.items():
            more = len(after.attempts(job)) - before
            assert more == 0 if job in held else more <= 1, (job, held, before, more)
        # and the first store's successor mirrors on: a second loss would lose nothing either
        until(lambda: after.json("mirror")["behind"] == 0, "the last round of the new store")
        assert "is sound" in after("mirror", "--check")
    finally:
        orch.kill_everything()
        if "after" in locals():
            after.kill_everything()


def rebuild(orch: Orch, mirror: Path) -> dict[str, int]:
    """A store of the mirror. What still runs of the old one may make its folder anew: it is moved away."""
    for count in range(20):
        done = orch.call("rebuild", "--from", str(mirror), "--json")
        if done.returncode == 0:
            return dict(msgspec.json.decode(done.stdout))
        assert "move it away" in done.stderr, done
        orch.layout.root.rename(orch.folder / f"away {count}")
    raise AssertionError(done.stderr)
