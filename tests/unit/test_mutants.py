"""The runner of faults: a fault that no longer fits the code is told, and a failing test is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mutants import mutants
from tests.mutants.__main__ import _notice
from tests.mutants.mutants import Mutant


def mutant(**more: Any) -> Mutant:
    return Mutant(**{"name": "m", "file": "a.py", "old": "x = 1", "new": "x = 2", "why": "it is wrong", **more})


def test_a_fault_is_put_where_its_text_stands_once(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("# before\nx = 1\n")
    assert mutant().wrong(tmp_path) is None
    mutant().put(tmp_path)
    assert (tmp_path / "a.py").read_text() == "# before\nx = 2\n"


@pytest.mark.parametrize(
    ("text", "more", "told"),
    [
        ("y = 1\n", {}, "has its text 0 times"),
        ("x = 1\nx = 1\n", {}, "has its text 2 times"),
        ("x = 1\n", {"file": "gone.py"}, "No such file"),
        ("x = 1\n", {"new": "x = 1"}, "changes nothing"),
    ],
)
def test_a_fault_that_does_not_fit_the_code_is_told(tmp_path: Path, text: str, more: dict[str, str], told: str) -> None:
    (tmp_path / "a.py").write_text(text)
    wrong = mutant(**more).wrong(tmp_path)
    assert wrong is not None and told in wrong and wrong.startswith("m: ")


def test_the_list_is_long_enough_and_says_why() -> None:
    faults = mutants.read()
    assert len(faults.mutants) >= 40 and all(len(one.why) > 10 for one in faults.mutants)
    asked = {test for one in faults.mutants for test in faults.likely(one)}
    assert asked and [test for test in asked if not (mutants.ROOT / test).exists()] == []
    covered = {one.file for one in faults.mutants}
    assert {"db/applying.py", "db/store.py", "db/journal.py", "db/rebuild.py"} <= covered
    assert {"jobs/node/worker.py", "jobs/node/checkpoints.py"} <= covered
    assert {f"orchestrator/supervision/{name}.py" for name in ("judging", "policy", "launches", "intents")} <= covered


def test_every_fault_fits_the_code_as_it_stands() -> None:
    faults = mutants.read().mutants
    assert [told for told in (one.wrong(mutants.ROOT) for one in faults) if told is not None] == []


def test_two_faults_of_one_name_are_refused(tmp_path: Path) -> None:
    one = "[[mutant]]\nname = 'm'\nfile = 'a'\nold = 'b'\nnew = 'c'\nwhy = 'd'\n"
    path = tmp_path / "list.toml"
    path.write_text(f"[first]\n{one}{one}")
    with pytest.raises(ValueError, match="one name"):
        mutants.read(path)


def test_a_name_that_is_no_fault_is_refused_before_anything_runs() -> None:
    command = [sys.executable, "-m", "tests.mutants", "no-such-fault"]
    done = subprocess.run(command, cwd=mutants.ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "there is no mutant 'no-such-fault'" in done.stderr


def test_the_test_that_notices_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("def test_one():\n    pass\n\n\ndef test_two():\n    assert 1 == 2\n")
    assert _notice(tmp_path, ["test_a.py"]) == "test_a.py::test_two"
    assert _notice(tmp_path, ["test_a.py::test_one"]) is None
