"""All of the zoo, again and again: `python -m tests.rehearse [--rounds N] [--at-once N] [--slurm] [ANIMAL ...]`.

1 where one was misjudged.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from slurm.testcluster import Cluster
from tests.helpers.zoo import ANIMALS, rehearse, wrong

ON_SLURM = ("--backend", "slurm", "--mem", "1G")


class Tally:
    """What was found so far, told as it comes."""

    def __init__(self, words: Sequence[str], extra: Mapping[str, str]) -> None:
        """`words` and `extra`: options and environment of each rehearsal."""
        self.words, self.extra = words, extra
        self.began, self.tried, self.bad = time.monotonic(), 0, 0
        self._lock = threading.Lock()

    def visit(self, number: int, animal: str) -> None:
        """Rehearse it, with other moments in each round."""
        with tempfile.TemporaryDirectory(prefix="orch-zoo-") as folder:
            try:
                found = rehearse(Path(folder), animal, "--chance", str(number), *self.words, extra=self.extra)
                told = wrong(animal, found)
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
    parser.add_argument("--slurm", action="store_true", help="on a pretend cluster of its own")
    given = parser.parse_args()
    with ExitStack() as stack:
        extra: dict[str, str] = {}
        if given.slurm:
            folder = Path(tempfile.mkdtemp(prefix="orch-zoo-", dir="/tmp"))  # short enough for Unix sockets
            cluster = stack.enter_context(Cluster(folder, nodes=4))
            extra = {"SLURM_CONF": cluster.env()["SLURM_CONF"]}
        tally = Tally(ON_SLURM if given.slurm else (), extra)
        pool = stack.enter_context(ThreadPoolExecutor(given.at_once))
        for number in range(given.first - 1, given.first - 1 + given.rounds):
            for animal in given.animals or ANIMALS:
                pool.submit(tally.visit, number, animal)
    seconds = time.monotonic() - tally.began
    print(f"{tally.tried - tally.bad} of {tally.tried} rehearsals right in {seconds:.0f} s")
    return int(tally.bad > 0)


if __name__ == "__main__":
    sys.exit(main())
