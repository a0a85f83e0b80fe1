"""Which script a command line runs, and when its absence is certain."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.code.scripts import missing, script_of


@pytest.mark.parametrize(
    ("words", "script"),
    [
        ("python train.py --lr 1", "train.py"),
        ("/usr/bin/python3.11 -u -W ignore -Xdev train.py", "train.py"),
        ("env A=1 python -OO src/train.py", "src/train.py"),
        ("python -m train", None),
        ("python -c print(1)", None),
        ("python - x.py", None),
        ("python --help train.py", None),
        ("python", None),
        ("bash train.sh", None),
        ("./train.py x.py", None),
        ("torchrun train.py", None),
        ("env -i python train.py", None),
    ],
)
def test_the_script_of_a_command(words: str, script: str | None) -> None:
    assert script_of(words.split()) == script


@pytest.mark.parametrize(
    ("script", "kept", "setup", "certain"),
    [
        ("trian.py", True, False, True),
        ("./trian.py", True, False, True),
        ("lib/x.py", True, False, True),  # no such folder
        ("data/x.py", True, False, False),  # an ignored folder is a link to the original
        ("trian.py", False, False, False),  # --code live
        ("trian.py", True, True, False),
        ("../x.py", True, False, False),
        ("/nowhere/x.py", True, False, False),
        ("train.py", True, False, None),
        ("link.py", True, False, None),
        ("{which}.py", True, False, None),
    ],
)
def test_a_script_that_is_not_there(tmp_path: Path, script: str, kept: bool, setup: bool, certain: bool | None) -> None:
    (tmp_path / "train.py").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "link.py").symlink_to("elsewhere")
    found = missing(["python", script], tmp_path, kept=kept, setup=setup)
    assert (found.certain if found else None) is certain
    if found and found.certain and "trian" in script:
        assert found.sentence == f"there is no {script} in {tmp_path}: did you mean 'train.py'?"
