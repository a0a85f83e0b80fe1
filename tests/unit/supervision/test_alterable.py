"""What of changed terms can be given to a task that waits in SLURM, and how far it steps back: pure decisions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.changes import Change
from db.launching import Launching
from db.minds import changed
from jobs.errors import BadInput
from jobs.resources import Asked, InQueue, Resources
from orchestrator.settings import Slurm
from orchestrator.submitting.newterms import words
from orchestrator.supervision.alterable import difference, nice
from orchestrator.terms import as_sent, with_rivals

BASE = Launching(backend="slurm", resources=Resources(cpus=2, memory_mb=300, gpus=1, minutes=60))


def asked(sent: dict[str, Any] | None = None, **change: Any) -> InQueue | None:
    """What is to be done where that was changed; `sent`: sbatch parameters that it was sent with."""
    return difference(BASE, changed(BASE, Change(**change)), {"slurm": sent or {}})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"asked": Asked(minutes=120, memory_mb=900)}, InQueue(minutes=120, memory_mb=900)),
        ({"asked": Asked(cpus=4), "slurm": {"partition": "long"}}, InQueue(cpus=4, partition="long")),
        ({"slurm": {"nice": 5}}, InQueue()),
        ({"options": {"retry_oom_mem": 1.5, "jobs_per_gpu": 2}, "asked": Asked(gpu_memory_mb=9)}, InQueue()),
        ({"asked": Asked(gpus=2)}, None),
        ({"slurm": {"account": "other"}}, None),
        ({"slurm": {"nodes": 2}, "asked": Asked(minutes=120)}, None),
        ({"options": {"checkpoint_every": 5.0}}, None),
        ({"backend": "local"}, None),
        ({"asked": Asked(minutes=2)}, None),
        ({"asked": Asked(minutes=10)}, InQueue(minutes=10)),
    ],
)
def test_what_is_changed_in_place_and_what_is_sent_again(change: dict[str, Any], expected: InQueue | None) -> None:
    assert asked(**change) == expected


@pytest.mark.parametrize("name", ["ntasks", "exclusive", "mem_per_cpu", "cpus_per_gpu", "nodes"])
def test_cpus_that_hang_together_with_other_numbers_are_sent_again(name: str) -> None:
    assert asked({name: "2"}, asked=Asked(cpus=4)) is None and asked({"comment": "2"}, asked=Asked(cpus=4))


@given(st.lists(st.integers(-1000, 1000), min_size=1))
def test_nice_is_never_negative_and_keeps_the_order(priorities: list[int]) -> None:
    level = max(0, *priorities) if len(priorities) > 1 else max(0, priorities[0])
    found = [nice({}, priority, level) for priority in priorities]
    assert min(found) >= 0
    for one, other in zip(sorted(priorities), sorted(found, reverse=True), strict=True):
        assert nice({}, one, level) == other
    assert nice({"slurm": {"nice": "7"}}, -5, level) == 7


def test_what_a_command_says_wins_over_the_settings_and_frozen_lines_over_silence() -> None:
    settings = Slurm(partition="gpu", account="lab", sbatch={"mem": "4G", "gres": "gpu:a100:2"}, setup=("new",))
    mine = Launching(
        resources=Resources(gpus=1, memory_mb=300),
        asked=Asked(memory_mb=300),
        options={"slurm": {"partition": "mine"}, "setup": ["frozen"]},
    )
    sent = as_sent(mine, settings)
    assert sent.options["slurm"] == {"partition": "mine", "account": "lab", "gres": "gpu:a100:2"}
    assert (sent.resources.memory_mb, sent.resources.gpus, sent.options["setup"]) == (300, 2, ["new"])
    assert as_sent(mine, Slurm()).options["setup"] == ["frozen"]
    assert "setup" not in as_sent(mine, Slurm(setup=())).options
    assert as_sent(msgspec.structs.replace(mine, asked=Asked()), settings).resources.memory_mb == 4096
    with pytest.raises(BadInput, match="asks for GPUs, and jobs of --device cpu take none"):
        as_sent(Launching(device="cpu"), settings)


def test_an_option_takes_the_place_of_what_says_the_same() -> None:
    own = Launching(options={"slurm": {"mem_per_cpu": "2G", "gpus_per_node": "a100:2", "gres": "lustre:1"}})
    change = with_rivals(Change(asked=Asked(memory_mb=8192, gpus=1)), own)
    assert changed(own, change).options["slurm"] == {"gres": "lustre:1"}
    assert changed(own, change).resources.gpus == 1
    other = with_rivals(Change(slurm={"mem_per_gpu": "1G"}), own)
    assert set(changed(own, other).options["slurm"]) == {"mem_per_gpu", "gpus_per_node", "gres"}


@pytest.mark.parametrize(
    ("given", "told"), [(1800.0, "hang-after 1800 s"), (0.0, "hang-after off"), (-1.0, "hang-after as learnt")]
)
def test_a_changed_patience_is_said_in_words(given: float, told: str) -> None:
    assert words(Change(options={"hang_after": given})) == told
