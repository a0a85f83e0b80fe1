"""The fingerprint names the code that runs on nodes, all of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import jobs
from jobs.node import fingerprint


def test_any_module_of_jobs_changes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "jobs"
    shutil.copytree(Path(jobs.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(fingerprint, "__file__", str(package / "node" / "fingerprint.py"))
    plain = fingerprint.source_hash.__wrapped__()
    assert plain == fingerprint.source_hash()
    for name in ("layout.py", "node/worker.py", "training/loop.py", "shortcuts/search.py", "kinds/evaluate.py"):
        text = (package / name).read_text()
        (package / name).write_text(text + "\n")
        assert fingerprint.source_hash.__wrapped__() != plain, name
        (package / name).write_text(text)
