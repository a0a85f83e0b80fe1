"""A torchrun without torch, for tests of what is ours: it starts the ranks, ends all where one fails, hands TERM on.

What it does is what torch.distributed.run does (torch/distributed/elastic/multiprocessing/api.py, `_poll`, `_close`).
"""

import argparse
import os
import signal
import subprocess
import sys
import time


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("nnodes", "nproc-per-node", "max-restarts", "rdzv-id", "rdzv-backend", "rdzv-endpoint", "local-addr"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--no-python", action="store_true")
    parser.add_argument("--standalone", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    assert asked.standalone or (asked.nnodes, asked.max_restarts, asked.rdzv_endpoint) == ("1", "0", "localhost:0")
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    world = int(asked.nproc_per_node)
    started = [
        subprocess.Popen(
            asked.command,
            env={**os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)},
            start_new_session=True,
        )
        for rank in range(world)
    ]
    while any(one.poll() is None for one in started) and not any(one.poll() for one in started) and not told:
        time.sleep(0.02)
    for one in started:
        if one.poll() is None:
            os.killpg(one.pid, signal.SIGTERM)
    return int(any([one.wait() for one in started] + told))


if __name__ == "__main__":
    sys.exit(main())
