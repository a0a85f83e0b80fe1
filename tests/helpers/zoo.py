"""The zoo of tests/rehearse: small trainers with one fault each, rehearsed by the command as typed."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.helpers.cli import PYTHON, Orch

HOME = Path(__file__).parents[1] / "rehearse"
ANIMALS: dict[str, dict[str, Any]] = tomllib.loads((HOME / "zoo.toml").read_text())
COMMON = ("common", "common_torch")
"""What animals are made of, and no animals themselves."""
KILLS = 2
BAD = ("not resumable", "wrong after resuming")
PATIENCE = 900.0
"""Seconds, on a host with very much else to do: the slowest one takes half a minute on a quiet one."""


def rehearse(folder: Path, animal: str, *words: str, extra: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What `orch rehearse --json` says of an animal, in a folder of its own that must be there and empty."""
    orch = Orch(folder, extra)
    for name in (*COMMON, animal):
        shutil.copy(HOME / "zoo" / f"{name}.py", folder)
    try:
        given = ["rehearse", "--kills", str(KILLS), *words]
        done = orch.call(*given, "--json", "--", PYTHON, f"{animal}.py", timeout=PATIENCE)
    finally:
        orch.kill_everything()
    assert done.returncode in (0, 1), f"{animal} ended with {done.returncode}: {done.stderr}"
    (found,) = json.loads(done.stdout)["rehearsed"]
    assert done.returncode == int(found["verdict"] in BAD), (done.returncode, found["verdict"])
    return dict(found)


def wrong(animal: str, found: Mapping[str, Any]) -> str:
    """Empty where a rehearsal said exactly what it must of that animal, else what it said instead."""
    must = ANIMALS[animal]
    wanted = (must["verdict"], must.get("reason", ""), must.get("remarks", []))
    said = (found["verdict"], found["reason"], found["remarks"])
    if said == wanted:
        return ""
    runs = "\n".join(
        f"  {run['run']} ({run['how']}): {run['verdict']}: {'; '.join(run['told'])}" for run in found["runs"]
    )
    return f"{animal}: {said} and not {wanted}\n{runs}"
