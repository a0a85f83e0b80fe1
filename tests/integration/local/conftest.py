"""A local backend whose workers never outlive their test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.localbench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "store", environ={**os.environ, "SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "2,3"})
    yield made
    made.close()
