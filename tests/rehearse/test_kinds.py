"""The house's own kinds, rehearsed with tiny settings: what goes on after a kill is the same to the last bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.cli import Orch

TINY = ("epochs=5", "width=0.03", "train_images=200")


@pytest.mark.timeout(900)  # a minute each on a quiet machine; torch is imported eight times
@pytest.mark.parametrize("kind", ["random-baseline", "search", "evaluate"])
def test_a_kind_goes_on_to_the_same_bits(kind: str, tmp_path: Path) -> None:
    orch = Orch(tmp_path, {"ORCH_DATASET": "digits"})
    more = ("--set", "architecture=vgg19") if kind == "evaluate" else ()
    settings = [word for one in TINY for word in ("--set", one)]
    try:
        said = orch.json("rehearse", "--kills", "1", "--only", "kill", *settings, *more, kind, timeout=880)
    finally:
        orch.kill_everything()
    (found,) = said["rehearsed"]
    assert (found["verdict"], found["reason"], found["remarks"]) == ("bit-identical", "", []), found["runs"]
    assert {run["run"]: run["verdict"] for run in found["runs"]} == dict.fromkeys(
        ["another seed", "undisturbed again", "kill-1"], "bit-identical"
    )
    assert any((run["resumed_at"] or 0) > 1 for run in found["runs"]), found["runs"]
