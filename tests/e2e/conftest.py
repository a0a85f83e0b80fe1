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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of Table 2 first: it takes longest, and nobody shall wait for it alone at the end."""
    items.sort(key=lambda item: item.path.name != "test_study.py")
