"""What makes sense of `--launcher`, `--ranks-per-node` and `--nodes` together, and what a job asks for then."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import launchers
from jobs.errors import BadInput
from jobs.resources import Resources
from orchestrator.submitting import ranks

TWO = {"launcher": "torchrun", "ranks_per_node": 2}


@pytest.mark.parametrize(
    ("options", "more", "sentence"),
    [
        ({"ranks_per_node": 2}, {}, "--ranks-per-node says how many processes the launcher starts"),
        (TWO, {"kind": "search"}, "a search job is one process"),
        (TWO, {"gpus": 1}, "--ranks-per-node 2 is more than the 1 GPU"),
        (TWO, {"argv": ("/env/bin/torchrun", "x.py")}, "the program is torchrun itself"),
        (TWO, {"argv": ("python", "-m", "torch.distributed.run", "x.py")}, "the program is torch.distributed.run"),
        ({"slurm": {"nodes": 2}}, {"backend": "local"}, "--nodes 2 needs SLURM"),
        ({"slurm": {"nodes": "2-4"}}, {"backend": "local"}, "--nodes 2 needs SLURM"),
    ],
)
def test_what_cannot_be_is_one_sentence(options: dict[str, Any], more: dict[str, Any], sentence: str) -> None:
    given: dict[str, Any] = {"kind": "command", "backend": "slurm", "gpus": None, **more}
    with pytest.raises(BadInput) as caught:
        ranks.check(options, whose="job 7: ", **given)
    assert str(caught.value).startswith("job 7: ") and sentence in str(caught.value)


@pytest.mark.parametrize(
    "options", [{}, TWO, {**TWO, "launcher": "none"}, {**TWO, "slurm": {"nodes": 2}}, {"slurm": {"nodes": 1}}]
)
def test_what_can_be_passes(options: dict[str, Any]) -> None:
    ranks.check(options, kind="command", backend="slurm", argv=("python", "train.py"), gpus=4)


@pytest.mark.parametrize(
    ("options", "gpus", "count"),
    [
        ({}, 4, 1),
        ({"launcher": "none"}, 4, 1),
        ({"launcher": "torchrun"}, 4, 4),
        ({"launcher": "torchrun"}, 0, 1),
        (TWO, 4, 2),
        (TWO, 0, 2),
    ],
)
def test_how_many_processes_a_node_has(options: dict[str, Any], gpus: int, count: int) -> None:
    assert launchers.ranks(options, gpus) == count
    asked = launchers.for_all(Resources(cpus=3, memory_mb=500, gpus=gpus, minutes=9), count)
    assert asked == Resources(cpus=3 * count, memory_mb=500 * count, gpus=gpus, minutes=9)


@pytest.mark.parametrize(
    ("launcher", "per_node"), [("foo", None), ("", None), (None, 0), (None, -1), ("torchrun", 1025), ("none", 2)]
)
def test_bad_words_are_refused(launcher: str | None, per_node: int | None) -> None:
    with pytest.raises(BadInput, match=r"--launcher (takes|none)|--ranks-per-node must"):
        launchers.checked(launcher, per_node)
