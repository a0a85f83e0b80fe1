"""All of the zoo, again and again: `python -m tests.rehearse [--rounds N] [--at-once N] [ANIMAL ...]`.

1 where one was misjudged.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.helpers.zoo import ANIMALS, rehearse, wrong


class Tally:
    """What was found so far, told as it comes."""

    def __init__(self) -> None:
        self.began, self.tried, self.bad = time.monotonic(), 0, 0
        self._lock = threading.Lock()

    def visit(self, number: int, animal: str, words: list[str]) -> None:
        """Rehearse it, with other moments in each round."""
        with tempfile.TemporaryDirectory(prefix="orch-zoo-") as folder:
            try:
                told = wrong(animal, rehearse(Path(folder), animal, "--chance", str(number), *words))
            except AssertionError as error:
                told = f"{animal}: {error}"
        with self._lock:
            self.tried += 1
            self.bad += bool(told)
            if told:
                print(told)
            right = f"{self.tried - self.bad} of {self.tried}"
            load = Path("/proc/loadavg").read_text().split()[0]
            print(f"round {number + 1}: {animal} {'WRONG' if told else 'ok'} ({right}; load {load})", flush=True)


def main() -> int:
    """Each animal, so many times."""
    parser = argparse.ArgumentParser(prog="python -m tests.rehearse", description=__doc__)
    parser.add_argument("animals", nargs="*", metavar="ANIMAL", help="only these")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the number of the first round")
    parser.add_argument("--at-once", type=int, default=1, help="animals at the same time")
    given, words = parser.parse_known_args()
    tally = Tally()
    with ThreadPoolExecutor(given.at_once) as pool:
        for number in range(given.first - 1, given.first - 1 + given.rounds):
            for animal in given.animals or ANIMALS:
                pool.submit(tally.visit, number, animal, words)
    seconds = time.monotonic() - tally.began
    print(f"{tally.tried - tally.bad} of {tally.tried} rehearsals right in {seconds:.0f} s")
    return int(tally.bad > 0)


if __name__ == "__main__":
    sys.exit(main())
