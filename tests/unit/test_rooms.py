"""The rooms: imports go downwards only, nothing goes in circles, and every room says which question it answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import rooms

ALL = [room for floor in rooms.FLOORS for room in floor]


def test_imports_go_downwards_and_in_no_circle() -> None:
    found = rooms.arrows(rooms.sources())
    assert len(found) > 500, "the imports were not found"
    assert rooms.wrong(found) == []


def test_every_package_is_a_room_and_every_room_a_package() -> None:
    packages = {str(Path(file).parent) for file in rooms.sources() if file.endswith("__init__.py")}
    assert packages == set(ALL)


@pytest.mark.parametrize("room", ALL)
def test_a_room_says_which_question_it_answers(room: str) -> None:
    said = rooms.question(room)
    assert said.endswith("?"), f"{room}/__init__.py does not begin with the question that leads a visitor there"
    assert 10 < len(said) <= 100


def test_no_two_rooms_answer_the_same_question() -> None:
    assert len({rooms.question(room) for room in ALL}) == len(ALL)


def test_nothing_of_the_house_rests_on_its_tests_or_benchmarks() -> None:
    for file, text in rooms.sources().items():
        assert not [
            line for line in text.splitlines() if line.lstrip().startswith(("from tests", "from benchmarks"))
        ], file


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    """300 lines of the house, 400 of its tests: beyond that a module tells more than one story."""
    tests = sorted((rooms.ROOT / "tests").rglob("*.py"))
    files = {**rooms.sources(), **{path.relative_to(rooms.ROOT).as_posix(): path.read_text() for path in tests}}
    assert "tests/unit/test_rooms.py" in files and len(files) > 500
    lines = {file: len(text.splitlines()) for file, text in files.items()}
    assert {file: n for file, n in lines.items() if n > (400 if file.startswith("tests/") else 300)} == {}


UP = "from jobs.node.worker import Task"


@pytest.mark.parametrize(
    "text",
    [
        "from orchestrator.views import job",
        "from orchestrator.views.job import x",
        "import orchestrator.views.job",
        "import orchestrator.views.job as j",
        "def f():\n    from orchestrator.views import job",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from orchestrator.views.job import x",
        "class A:\n    def f(self):\n        import orchestrator.views.job",
        "from ..views import job",
        "from ..views.job import x",
        "try:\n    from orchestrator.views.job import x\nexcept ImportError:\n    pass",
    ],
)
def test_an_arrow_upwards_names_both_files(text: str) -> None:
    files = {"orchestrator/supervision/a.py": text, "orchestrator/views/job.py": "x = 1"}
    (told,) = rooms.wrong(rooms.arrows(files))
    assert "orchestrator/supervision/a.py:" in told and "orchestrator/views/job.py" in told and "upwards" in told


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("db/store.py", "jobs/node/worker.py"),
        ("db/store.py", "jobs/shortcuts/space.py"),
        ("db/store.py", "slurm/causes.py"),
        ("slurm/local/host.py", "db/store.py"),
        ("slurm/causes.py", "slurm/cluster/rows.py"),
        ("slurm/local/host.py", "slurm/cluster/rows.py"),
        ("jobs/kind.py", "jobs/kinds/command.py"),
        ("jobs/records.py", "jobs/worker.py"),
        ("orchestrator/attic/a.py", "jobs/words.py"),
    ],
)
def test_what_a_room_may_not_import(here: str, there: str) -> None:
    files = {here: f"import {there.removesuffix('.py').replace('/', '.')}", there: ""}
    (told,) = rooms.wrong(rooms.arrows(files))
    assert here in told and there in told


def test_what_lies_below_may_be_imported() -> None:
    files = {
        "db/store.py": "from jobs.words import Cause\nfrom db.rows import Row",
        "db/rows.py": "",
        "jobs/words.py": "Cause = 1",
        "jobs/worker.py": "from jobs.node.worker import Task",
        "jobs/node/worker.py": "Task = 1",
        "orchestrator/cli/main.py": "from db import store\nfrom jobs.shortcuts import space",
        "jobs/shortcuts/space.py": "",
    }
    found = rooms.arrows(files)
    assert len(found) == 5 and rooms.wrong(found) == []


def test_a_circle_inside_a_room_names_its_files() -> None:
    files = {
        "db/a.py": "from db import b",
        "db/b.py": "def f():\n    from db.c import x",
        "db/c.py": "x = 1\nfrom db import a",
        "db/d.py": "from db import a",
    }
    (told,) = rooms.wrong(rooms.arrows(files))
    assert told == "a circle: db/a.py:1 imports db/b.py; db/b.py:2 imports db/c.py; db/c.py:2 imports db/a.py"


def loaded(code: str) -> set[str]:
    """The modules that a fresh Python holds after this code."""
    shown = [sys.executable, "-c", f"import sys, importlib\n{code}\nprint(*sys.modules)"]
    done = subprocess.run(shown, cwd=rooms.ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def modules(*houses: str) -> list[str]:
    """Those that ship with these top-level folders, without Alembic's own entry."""
    return [
        file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for file in rooms.sources()
        if file.partition("/")[0] in houses and "migrations" not in file and "__main__" not in file
    ]


def test_the_store_loads_nothing_of_what_runs_on_a_node() -> None:
    there = loaded(f"for name in {modules('db')}: importlib.import_module(name)")
    assert "db.store" in there
    above = ("jobs.node", "jobs.training", "jobs.kinds", "jobs.shortcuts", "slurm", "orchestrator")
    assert sorted(name for name in there if name.startswith(above)) == []


def test_only_the_work_itself_loads_torch() -> None:
    there = loaded(f"for name in {modules('db', 'slurm', 'orchestrator')}: importlib.import_module(name)")
    assert "orchestrator.supervision.policy" in there and "slurm.cluster.sbatch" in there
    assert not {"torch", "torchvision", "matplotlib.pyplot"} & there
