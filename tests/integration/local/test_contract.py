"""The local backend keeps the contract of all backends."""

from __future__ import annotations

import functools
import itertools
import uuid

from slurm.backend import Submission
from tests.helpers.contract import exercise_backend
from tests.helpers.localbench import Bench, sleep_on


def test_the_local_backend_keeps_the_contract(bench: Bench) -> None:
    numbers = itertools.count(1)

    def intend(lasts: bool) -> Submission:
        bench.task = lambda folder: functools.partial(sleep_on, folder) if lasts else functools.partial(str, folder)
        number = next(numbers)
        token = f"contract-{number}-{uuid.uuid4().hex[:8]}"
        submission = bench.submission(bench.job(number), "cpu:0", token)
        bench.attempt(number, token, "cpu:0", None)  # so that the bench ends it in any case
        return submission

    exercise_backend(bench.backend, intend, lambda: bench.backend.wait(0.1) and None)
