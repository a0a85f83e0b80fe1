"""Small trainers, right ones and ones with a fault each: every one gets its verdict and its reason, word by word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.zoo import ANIMALS, COMMON, HOME, rehearse, wrong


@pytest.mark.parametrize("animal", [name for name, must in ANIMALS.items() if must.get("ci")])
def test_an_animal_gets_its_verdict_and_its_reason(animal: str, tmp_path: Path) -> None:
    assert wrong(animal, rehearse(tmp_path, animal)) == ""


def test_every_animal_has_its_words() -> None:
    there = {path.stem for path in (HOME / "zoo").glob("*.py")} - {*COMMON}
    assert there == set(ANIMALS)
    assert sum(not must.get("reason") and not must.get("remarks") for must in ANIMALS.values()) >= 3
    assert len(there) >= 14
