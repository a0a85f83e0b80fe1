"""What a user's setup lines set counts, whatever the shell that started the supervisor had."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from jobs.node.environment import BEFORE_SETUP, compose
from jobs.node.preparation import _before_setup
from slurm.cluster.sbatch import setup_lines
from slurm.cluster.setup import assigned

SUPERVISOR = {"PATH": os.environ["PATH"], "TORCH_HOME": "/b", "OMP_PLACES": "cores", "LANG": "C"}
KEPT = {"PATH": "/mine:/bin", "TORCH_HOME": "/a", "OMP_PLACES": "threads", "LANG": "C"}


def program_sees(tmp_path: Path, *own: str) -> dict[str, str]:
    """Of the kept variables, what a program gets where bash has run the script's lines in the supervisor's shell."""
    script = "\n".join([*setup_lines(tmp_path, own), "env -0 >&3"])
    (tmp_path / "job.sh").write_text(script)
    words = ["bash", "-c", f"exec 3>{tmp_path}/seen; . {tmp_path}/job.sh"]
    subprocess.run(words, env={**SUPERVISOR, "SLURM_JOB_ID": "1"}, cwd=tmp_path, check=True, capture_output=True)
    pairs = (os.fsdecode(item).partition("=") for item in (tmp_path / "seen").read_bytes().split(b"\0") if item)
    here = {name: value for name, _, value in pairs}
    made = compose(here, KEPT, _before_setup(here.pop(BEFORE_SETUP, None)), {}, {})
    return {name: made[name] for name in ("TORCH_HOME", "OMP_PLACES", "PATH")}


def test_a_line_wins_that_sets_what_the_supervisors_shell_had(tmp_path: Path) -> None:
    kept = {name: KEPT[name] for name in ("TORCH_HOME", "OMP_PLACES", "PATH")}
    assert program_sees(tmp_path) == kept
    assert program_sees(tmp_path, "echo x") == kept
    assert program_sees(tmp_path, "export TORCH_HOME=/b") == {**kept, "TORCH_HOME": "/b"}
    both = "TORCH_HOME='/b'; export OMP_PLACES=\"cores\" # as on this site"
    assert program_sees(tmp_path, both) == {**kept, "TORCH_HOME": "/b", "OMP_PLACES": "cores"}
    assert program_sees(tmp_path, 'export PATH="/new:$PATH"') == {**kept, "PATH": "/new:/mine:/bin"}
    assert program_sees(tmp_path, "test -d /nowhere || true && false || TORCH_HOME=/c") == {**kept, "TORCH_HOME": "/c"}
    assert program_sees(tmp_path, "test -d / || export TORCH_HOME=/b") == kept, "it was not run"
    assert program_sees(tmp_path, "TORCH_HOME=/b true") == kept, "of that command alone"


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["export A=1 B='x y' C", "declare -x D=2"], ["A", "B", "D"]),
        (["A=1; B=2 && C=3"], ["A", "B"]),
        (["A=${A:-1}", "B=$BEFORE", "LIST=/x:$LIST"], ["B"]),
        (["A=1", "if test -d /x", "then", "B=1", "fi", "C=1"], ["A"]),
        (["A=1 | cat", "B=1 &", "echo 'C=1; D=2'", "(E=1)"], []),
        (["A='open", "B=1"], []),
    ],
)
def test_what_is_assigned_in_any_case(lines: list[str], names: list[str]) -> None:
    assert assigned(lines) == names
