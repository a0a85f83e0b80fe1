"""What options, `--sbatch` and orch.toml ask for together: each thing once, and the command wins."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.errors import BadInput
from jobs.resources import Asked
from orchestrator import terms
from orchestrator.settings import Slurm
from slurm.cluster import options


def settle(*words: str, asked: Asked | None = None, **sbatch: Any) -> tuple[dict[str, Any], Asked]:
    return terms.settled(options.parsed(words), Slurm(partition="cpu", sbatch=sbatch), asked or Asked(), frozenset())


def test_the_command_wins_over_the_settings() -> None:
    found, _ = settle("p=gpu", "cpus-per-task=4", partition="other", cpus_per_gpu=8)
    assert found == {"partition": "gpu"}
    found, asked = settle(asked=Asked(gpus=2), gres="gpu:v100:1")
    assert (found, asked.gpus) == ({"partition": "cpu"}, 2)
    found, _ = settle("requeue", no_requeue=True)
    assert found == {"partition": "cpu", "requeue": True}


def test_what_orch_has_a_word_for_becomes_that_word() -> None:
    found, asked = settle("mem=4G", "time=1-00:00:00", "cpus-per-task=6", "gres=gpu:a100:2")
    assert found == {"partition": "cpu", "gres": "gpu:a100:2"}
    assert asked == Asked(cpus=6, memory_mb=4096, minutes=1440, gpus=2)
    found, asked = settle("mem=0", "time=UNLIMITED", "gres=lustre:1")
    assert found == {"partition": "cpu", "mem": "0", "time": "UNLIMITED", "gres": "lustre:1"} and asked == Asked()


@pytest.mark.parametrize(
    ("words", "asked", "named"),
    [
        (["gres=gpu:v100:1"], Asked(gpus=2), "--gpus and --sbatch gres"),
        (["G=1"], Asked(gpus=2), "--gpus and --sbatch gpus"),
        (["mem-per-cpu=1G"], Asked(memory_mb=9), "--mem and --sbatch mem-per-cpu"),
        (["t=5"], Asked(minutes=9), "--time and --sbatch time"),
        (["c=5"], Asked(cpus=9), "--cpus and --sbatch cpus-per-task"),
        (["mem=1G", "mem-per-gpu=1G"], Asked(), "mem and mem-per-gpu"),
    ],
)
def test_the_same_twice_is_refused(words: list[str], asked: Asked, named: str) -> None:
    with pytest.raises(BadInput, match=f"{named} ask for the same: give one of them"):
        settle(*words, asked=asked)


def test_a_bad_default_is_said_to_stand_in_the_settings() -> None:
    with pytest.raises(BadInput, match=r"\[slurm\] of orch.toml: sbatch's 'array'"):
        settle(array="0-3")


@pytest.mark.parametrize(
    ("text", "found"),
    [(None, (None, None)), ("2", (2, None)), ("a100:2", (2, "a100:2")), ("a100", (1, "a100:1")), ("-1", (-1, None))],
)
def test_gpus_with_and_without_a_type(text: str | None, found: tuple[int | None, str | None]) -> None:
    assert terms.gpu_request(text) == found


@pytest.mark.parametrize("text", ["", "1.5", "x:y:1", "a100:", ":2x", "2 a100"])
def test_gpus_that_are_none(text: str) -> None:
    with pytest.raises(BadInput, match="TYPE:NUMBER such as a100:1"):
        terms.gpu_request(text)
