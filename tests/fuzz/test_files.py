"""Mutated files of every kind that is read: exit 70 never, other jobs' results always taken in, the store sound.

ORCH_FUZZ_FILES says how many (a few in `make test`, 20,000 in `make chaos`), ORCH_FUZZ_SEED where to begin.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.fuzz import runs
from tests.simulation.patches import memory_folder

FILES = int(os.environ.get("ORCH_FUZZ_FILES", "300"))
SEED = int(os.environ.get("ORCH_FUZZ_SEED", "1"))


@pytest.mark.timeout(60 + FILES)
def test_mutated_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("ORCH_", "SLURM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ORCH_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("ORCH_STORE", str(tmp_path))  # each round names its own
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    tried, seed = 0, SEED
    with tempfile.TemporaryDirectory(dir=memory_folder()) as place:  # a disk's fsyncs are not what is tried here
        original = Path(place) / "original"
        runs.template(original)
        while tried < FILES:
            tried += runs.one_round(Path(place) / "store", original, seed)
            seed += 1
    assert tried >= FILES
    print(f"{tried} mutated files, seeds {SEED} to {seed - 1}")
