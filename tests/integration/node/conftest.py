"""A node with a store's run folders and no database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.node import Node


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)
