"""Every test drives the real `orch` in a folder of its own; nothing that it starts outlives it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.cli import Orch


@pytest.fixture
def orch(tmp_path: Path) -> Iterator[Orch]:
    """The command in an empty folder."""
    made = Orch(tmp_path)
    yield made
    made.kill_everything()
