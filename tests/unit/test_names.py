"""Code in strings, `-m` commands and paths in comments name what is there: a move is done when they have followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import documents, names
from tests.house.rooms import ROOT

FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("jobs", "db", "slurm", "orchestrator", "tests", "benchmarks", "examples")
    for path in (ROOT / folder).rglob("*.py")
)
MADE_UP = {"tests/unit/test_rooms.py", "tests/unit/test_docs.py", "tests/unit/test_names.py"}
"""These name what is not there, on purpose."""


def test_what_strings_and_comments_name_is_there() -> None:
    found = [told for file in FILES if file not in MADE_UP for told in names.missing(file, (ROOT / file).read_text())]
    assert found == []


DOCUMENTS = ["README.md", "Makefile", *(path.relative_to(ROOT).as_posix() for path in documents.documents()[1:])]


@pytest.mark.parametrize("file", DOCUMENTS)
def test_what_documents_tell_a_reader_to_run_is_there(file: str) -> None:
    assert [name for name in names.imported((ROOT / file).read_text()) if not names.known(name)] == []


def test_the_command_is_where_the_package_says() -> None:
    (line,) = [line for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("orch = ")]
    module, _, name = line.partition('"')[2].rstrip('"').partition(":")
    assert names.known(f"{module}.{name}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('code = "from jobs import datasets\\nprint(1)"', "jobs.datasets"),
        ('code = "import sys\\nfrom slurm.cluster import sbatch, gone"', "slurm.cluster.gone"),
        ('command = ["python", "-c", "import orchestrator.supervise as s"]', "orchestrator.supervise"),
        ('command = [sys.executable, "-m", "slurm.testclusters", "up"]', "slurm.testclusters"),
        ('KIND = dict(run="jobs.evaluation:evaluate")', "jobs.evaluation.evaluate"),
        ('KIND = dict(run="jobs.shortcuts.evaluation:evaluated")', "jobs.shortcuts.evaluation.evaluated"),
        ("x = 1  # as jobs/evaluation.py does", "jobs/evaluation.py"),
    ],
)
def test_a_name_that_was_left_behind_is_told(text: str, told: str, tmp_path: Path) -> None:
    (found,) = names.missing("x.py", text)
    assert found.endswith(f"names {told}")


def test_names_that_are_there_are_not_told() -> None:
    text = (
        'a = "from jobs.words import Cause, JobState as State"\n'
        'b = "python -m slurm.testcluster up"\n'
        'c = "jobs.shortcuts.evaluation:evaluate"\n'
        'd = "-m", "orchestrator.supervision.process"  # docs/slurm.md\n'
    )
    assert len(list(names.imported(text))) >= 3 and list(names.missing("x.py", text)) == []
