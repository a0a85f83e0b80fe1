"""60 schedules (ORCH_SCHEDULES), each cut off, failed and disturbed at random; `make chaos` runs ten thousand.

They run in processes of their own with a fixed hash seed, so that a failing one is replayed by one command.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCHEDULES = int(os.environ.get("ORCH_SCHEDULES", "60"))
FIRST = int(os.environ.get("ORCH_SCHEDULES_FROM", "1"))
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(60 + 2 * SCHEDULES)
def test_nothing_is_lost_and_nothing_counted_twice_in_any_schedule() -> None:
    parts = min(len(os.sched_getaffinity(0)), SCHEDULES)
    size = -(-SCHEDULES // parts)
    last = FIRST + SCHEDULES
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.simulation", f"--seed={start}", f"--schedules={min(size, last - start)}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for start in range(FIRST, last, size)
    ]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(running), "\n".join(said)
    ran = sum(int(text.splitlines()[-1].split()[0]) for text in said)
    assert ran == SCHEDULES, "\n".join(said)
