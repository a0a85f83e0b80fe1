"""No false alarm in simulated histories, and every planted hang is found (hangs.py has what is simulated).

ORCH_HISTORIES: how many (`make hangs`: 10,000); ORCH_FIRST_HISTORY: the first one's seed, for others than those that
the rule was fitted on (`ORCH_FIRST_HISTORY=10000 make hangs`).
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from jobs.rhythm import FEW_FLOOR_SECONDS, FLOOR_SECONDS, MOST_SECONDS
from tests.simulation import hangs

HISTORIES = int(os.environ.get("ORCH_HISTORIES", "300"))
FIRST = int(os.environ.get("ORCH_FIRST_HISTORY", "0"))
SEEDS = range(FIRST, FIRST + HISTORIES)


def test_no_false_alarm() -> None:
    false = {}
    for seed in SEEDS:
        one = hangs.history(seed)
        found = hangs.alarm(one, one.now)
        if found is not None:
            false[seed] = found, one.program
    assert false == {}


def test_every_planted_hang_is_found() -> None:
    missed, bounds, unknown = [], list[float](), 0
    known: Counter[str] = Counter()
    for seed in SEEDS:
        one = hangs.history(seed)
        place, found = hangs.planted(one, seed)
        if not hangs.can_be_known(one, place):
            unknown += 1
        elif found is None or found.seconds > max(FEW_FLOOR_SECONDS, 15 * hangs.MOST):
            missed.append(seed)
        else:
            known[hangs.experience(one, place)] += 1
            bounds.append(found.seconds)
    assert missed == []
    bounds.sort()
    print(
        f"{HISTORIES} histories from {FIRST} on: {len(bounds)} planted hangs found ({dict(known)}), {unknown} "
        f"planted before anything could be known; after {bounds[0] / 60:.0f} to {bounds[-1] / 3600:.0f} h of silence, "
        f"half of them within {bounds[len(bounds) // 2] / 3600:.1f} h"
    )


@pytest.mark.parametrize("family", hangs.FAMILIES)
def test_all_families_are_there(family: str) -> None:
    assert sum(hangs.history(seed).program.family == family for seed in range(100)) > 5


def test_a_steady_program_is_found_soon() -> None:
    """What is steady and known is not waited for as long as what is not."""
    soon = []
    for seed in SEEDS:
        one = hangs.history(seed)
        steady = one.program.family in ("regular", "printed") and one.program.evaluation == one.program.grows == 1.0
        if steady and one.known is not None and one.program.last_test == 0.0 and one.program.median < 300:
            place, found = hangs.planted(one, seed)
            if place > 1 and one.program.reports > 20:
                assert found is not None
                soon.append(found.seconds)
    assert len(soon) > 3 and max(soon) < MOST_SECONDS and min(soon) == FLOOR_SECONDS
