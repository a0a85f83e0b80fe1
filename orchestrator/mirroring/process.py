"""A round beside the supervisor: a process of its own, so that nothing that hangs in it delays anybody.

`python -m orchestrator.mirroring.process ROOT WAKE`; WAKE is a file that is touched at the end. Its stdin is a pipe of
the supervisor's: when that ends, however it does, this process and its rsync end as well.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from db.store import Store
from jobs.errors import OrchError
from orchestrator.mirroring import rounds
from orchestrator.mirroring.rsync import MirrorError
from orchestrator.settings import load

GRACE_SECONDS = 2.0
"""For rsync to remove what it has half written."""


def end_with_parent() -> None:
    """Wait until nobody holds the other end of stdin, then end all that is left of this process's group."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            continue
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


def _go_on(number: int, frame: FrameType | None) -> None:
    """Its own SIGTERM is meant for rsync."""


def main(root: str, wake: str) -> int:
    """One round; what went wrong is noted in the store's folder."""
    signal.signal(signal.SIGTERM, _go_on)
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        settings = load(Path(root))
        store = Store(Path(root))
        place = rounds.place_of(store, settings)
        with rounds.alone(store):
            rounds.Round(store, settings, place).go()
    except rounds.Busy:
        return 0
    except MirrorError:
        return 1  # it is noted
    except (OrchError, OSError) as error:
        print(f"orch: mirror: {error}", file=sys.stderr, flush=True)
        return 1
    finally:
        with contextlib.suppress(OSError):
            os.utime(wake)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
