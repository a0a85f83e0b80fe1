"""`python -m tests.simulation --seed N [--schedules K]`: run schedules, or tell the story of one."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import time
import traceback

from tests.simulation import schedule


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--schedules", type=int, default=1, help="how many, one seed each")
    parser.add_argument("--most-failures", type=int, default=5, help="stop after so many")
    options = parser.parse_args()
    logging.disable()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)  # a schedule leaves few cycles
    failed: list[int] = []
    began = time.perf_counter()
    for seed in range(options.seed, options.seed + options.schedules):
        try:
            story = schedule.run(seed)
        except Exception as error:
            failed.append(seed)
            if options.schedules == 1:
                traceback.print_exc()
            else:
                print(f"seed {seed}: {type(error).__name__}: {error}"[:600])
                print(f"  replay: python -m tests.simulation --seed {seed}", flush=True)
            if len(failed) >= options.most_failures:
                break
        else:
            if options.schedules == 1:
                print("\n".join(story))
    took = time.perf_counter() - began
    print(f"{seed - options.seed + 1} schedules, {len(failed)} failed, {took:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets of words is part of a schedule
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
