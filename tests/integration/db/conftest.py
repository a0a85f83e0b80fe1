"""A store of its own for each test, filled by the ways that commands and the supervisor use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.filled import Filled


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return Filled.make(tmp_path / ".orch")
