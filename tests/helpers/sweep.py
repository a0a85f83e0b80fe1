"""Made-up results of a sweep over lr and opt, with seeds."""

from __future__ import annotations

import random
from typing import Any

from db.rows import ResultRow
from jobs.words import JobState


def rows(seeds: int = 4, **metrics: Any) -> list[ResultRow]:
    dice = random.Random(1)
    found = []
    for lr in ("0.1", "0.02", "10"):
        for opt in ("sgd", "adam"):
            for seed in range(seeds):
                acc = 90 + dice.random()
                given = {"acc": acc, "seconds": 10 * acc, **metrics}
                config = {"argv": ["x"], "parameters": {"lr": lr, "opt": opt, "same": "1"}}
                found.append(
                    ResultRow(
                        job=len(found) + 1,
                        study="s",
                        kind="command",
                        preset="report",
                        dataset="",
                        seed=seed,
                        state=JobState.SUCCEEDED,
                        config=config,
                        metrics=given,
                    )
                )
    return found
