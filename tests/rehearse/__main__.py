"""All of the zoo, again and again: `python -m tests.rehearse [ROUNDS] [ANIMAL ...]`. 1 where one was misjudged."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.helpers.zoo import ANIMALS, rehearse, wrong


def main(rounds: int, animals: list[str]) -> int:
    """Each animal, so many times: how many rehearsals were not right."""
    began, tried, bad = time.monotonic(), 0, 0
    for number in range(rounds):
        for animal in animals:
            with tempfile.TemporaryDirectory(prefix="orch-zoo-") as folder:
                told = wrong(animal, rehearse(Path(folder), animal, "--chance", str(number)))
            tried += 1
            bad += bool(told)
            if told:
                print(told, flush=True)
            print(f"round {number + 1}: {animal} {'WRONG' if told else 'ok'} ({tried - bad} of {tried})", flush=True)
    print(f"{tried - bad} of {tried} rehearsals right in {time.monotonic() - began:.0f} s", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(main(int(given[0]) if given else 20, given[1:] or list(ANIMALS)))
