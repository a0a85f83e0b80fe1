"""Pretend servers need root and namespaces. Where there are none, one loud line says so; CI must have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers.servers.room import why_not

_HERE = Path(__file__).parent
_REQUIRE = "ORCH_REQUIRE_SLURM"
_NOT_RUN = pytest.StashKey[str]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave this folder's tests out where no server can stand, or refuse to run where ORCH_REQUIRE_SLURM=1."""
    ours = [item for item in items if _HERE in item.path.parents]
    why = why_not() if ours else ""
    if not why:
        return
    reason = f"{len(ours)} tests on pretend servers were NOT RUN: {why}."
    if os.environ.get(_REQUIRE) == "1":
        raise pytest.UsageError(f"{_REQUIRE}=1, but {reason}")
    config.stash[_NOT_RUN] = reason
    for item in ours:
        item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The one loud line about tests that were not run."""
    if reason := config.stash.get(_NOT_RUN, None):
        terminalreporter.write_line(reason, red=True, bold=True)
