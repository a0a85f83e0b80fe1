"""Making sure that a supervisor runs: commit first, then look, so that no wake-up is lost."""

from __future__ import annotations

import os
import subprocess
import sys

from db import lease
from db.store import Store
from orchestrator.supervise import wake

LOG = "supervisor.log"


def ensure_supervisor(store: Store) -> bool:
    """Wake the running supervisor, or start one in the background; True where one was started."""
    with store.read() as connection:
        holder = lease.holder(connection)
    wake(store)
    if holder is not None and holder.alive():
        return False
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    environment.pop("ORCH_TOKEN", None)  # started from inside a job, it must not count as that job's child
    with (store.root / LOG).open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "orchestrator.supervise", str(store.root)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C and the end of this terminal never reach it
        )
    return True
