"""docs/coming-from.md: our side of each comparison is submitted as it stands there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.cli import Orch

PAGE = Path(__file__).parents[2] / "docs" / "coming-from.md"
JOBS = {"A bash loop around sbatch": 6, "Hydra's multirun": 6, "SEML": 24, "W&B sweeps": 12, "submitit": 2}
FIRST = {
    "A bash loop around sbatch": "python train.py --lr 0.1 --seed 0",
    "Hydra's multirun": "python train.py lr=0.1 seed=0 'hydra.run.dir=$ORCH_OUT'",
    "SEML": "python train.py with epochs=5 lr=0.1 dropout=0.",
    "W&B sweeps": "python train.py --lr 0.1 --optimizer sgd --seed 0",
    "submitit": "python train.py --lr 0.1 --fold 0",
}


def ours() -> Iterator[tuple[str, str, str]]:
    """(tool, language, text) of each block of ours."""
    for part in PAGE.read_text().split("\n## ")[1:]:
        for language, text in re.findall(r"```(sh|toml)\n(.*?)```", part, re.DOTALL):
            yield part.splitlines()[0], language, text


def test_each_tool_has_one_example_of_ours() -> None:
    assert [tool for tool, _, _ in ours()] == list(JOBS)


@pytest.mark.parametrize(("tool", "language", "text"), ours(), ids=list(JOBS))
def test_our_side_is_submitted(orch: Orch, tool: str, language: str, text: str) -> None:
    (orch.folder / "train.py").touch()
    if language == "toml":
        (orch.folder / "study.toml").write_text(text)
        words = ["submit", "study.toml", "--dry-run"]
    else:
        words = shlex.split(text)[1:]
        words.insert(words.index("--"), "--dry-run")
        if "slurm" in words:
            words[words.index("slurm")] = "local"
    told = orch(*words)
    assert f"would create {JOBS[tool]} jobs" in told
    assert FIRST[tool] in told
