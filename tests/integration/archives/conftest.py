"""A house study with searches, and another study that is nobody's business: nothing here was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs import files
from jobs.shortcuts.discretise import AlphaLine
from orchestrator.submitting import changing
from orchestrator.submitting.changing import Selection
from tests.helpers import plausible
from tests.helpers.filled import Filled

SECRET = "the-other-study"


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Searches in one study, what was trained from them in another, one dropped, one cancelled, one failed host."""
    filled = Filled.make(tmp_path_factory.mktemp("lab") / ".orch")
    searches = filled.submit("search", range(3), study="searches", values={"method": "A"})
    for seed, job in enumerate(searches):
        folder = filled.succeed(job, {"val_accuracy": 80.0 + seed, "shortcuts": 1.0})
        grid = plausible.alpha("A", seed)
        files.append_json(folder / "alpha.jsonl", AlphaLine(epoch=1, alpha=grid, gates=grid))
        filled.epochs(folder, [{"val_accuracy": 70.0 + seed}, {"val_accuracy": 80.0 + seed}], of=2)
    for seed, job in enumerate(searches):
        (trained,) = filled.submit(
            "evaluate", [seed], study="t2", values={"method": "A", "search": job, "search_epoch": 2}, needs=[job]
        )
        filled.succeed(trained, {"test_accuracy": 91.0 + seed / 3, "params": 1.5e6, "shortcuts": 1.0})
    random = filled.submit("random-baseline", range(4), study="t2")
    for seed, job in enumerate(random[:3]):
        folder = filled.succeed(job, {"test_accuracy": 90.0 + seed / 7, "params": 1.25e6, "shortcuts": 1.0})
        filled.epochs(folder, [{"test_accuracy": 50.0 + seed}, {"test_accuracy": 90.0 + seed / 7}], of=2)
    filled.cancel(random[3])
    changing.drop(filled.store, Selection(ids=[random[2]]), "diverged")
    (other,) = filled.submit("random-baseline", [7], study=SECRET, values={"epochs": 9})
    filled.succeed(other, {"test_accuracy": 12.345})
    filled.strike("n1")
    return filled


@pytest.fixture(scope="session")
def archive(lab: Filled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from orchestrator.archives.making import make

    path = tmp_path_factory.mktemp("made") / "t2.zip"
    make(lab.store, "t2", path)
    return path
