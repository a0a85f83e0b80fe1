"""Workers and supervisors are killed while people change their minds about the same few jobs, on this host.

ORCH_CHAOS_MINUTES (0.2 by default) and ORCH_CHAOS_SEED; `make chaos` does it longer, and on a real SLURM besides.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.helpers.cli import Orch
from tests.helpers.people import PROGRAM, People

MINUTES = float(os.environ.get("ORCH_CHAOS_MINUTES", "0.2"))
SEED = int(os.environ.get("ORCH_CHAOS_SEED", str(random.randrange(10**6))))
JOBS = 12
LEAST = 8
"""So many changes of mind, however slow the machine is."""
ALONE = f'flock -n "alone-$ORCH_SEED" sh -c "sleep 0.$((ORCH_SEED % 7 + 2))" || echo "$ORCH_SEED" >> twice\n{PROGRAM}'
WORDS = ("command", "--seeds", str(JOBS), "--no-canary", "--code", "live", "--", "sh", "-c", ALONE)


@pytest.mark.timeout(60 * MINUTES + 300)
def test_minds_change_while_processes_die(orch: Orch) -> None:
    print(f"ORCH_CHAOS_SEED={SEED}")
    dice = random.Random(SEED)
    budgets = "[resubmission]\nbackoff_most_seconds = 1.0\n[resubmission.budgets]\n"
    budgets += "".join(f"{cause} = 400\n" for cause in ("killed", "launch_failure", "lost"))
    (orch.folder / "orch.toml").write_text(budgets + "[nodes]\nstrikes = 1000\n")
    ids = orch.json("submit", *WORDS)["created"]
    seeds = dict(orch.rows("SELECT id, seed FROM job"))
    assert sorted(seeds) == ids and len(ids) == JOBS

    def typed(*words: str) -> tuple[int, str]:
        done = orch.call(*words)
        return done.returncode, done.stdout or done.stderr

    people = People(typed, lambda sql: [tuple(row) for row in orch.rows(sql)], dice, seeds)
    killed = {"worker": 0, "supervisor": 0}
    end = time.monotonic() + 60 * MINUTES
    while time.monotonic() < end or len(people.done) < LEAST:
        people.act()
        if dice.random() < 0.3:
            killed["worker"] += _kill(orch, b"submitit", dice)
        if dice.random() < 0.2:
            killed["supervisor"] += _kill(orch, b"orchestrator.supervision.process", dice)
            orch("submit", *WORDS)  # they exist already: it only starts a supervisor
    orch("supervise", "--until-idle", timeout=240)
    print(f"{len(people.done)} changes of mind, killed {killed}, seed {SEED}")
    assert people.done and not (orch.folder / "twice").exists(), "two attempts of one job ran side by side"
    people.check()
    orch.check()
    orch.rebuild()
    people.check()


def _kill(orch: Orch, mark: bytes, dice: random.Random) -> int:
    """One such process of this folder, if there is one."""
    found = []
    for pid in orch.processes():
        with contextlib.suppress(OSError):
            found += [pid] if mark in _words(pid) else []
    if not found:
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(dice.choice(found), signal.SIGKILL)
    return 1


def _words(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
