"""Making sure that a supervisor runs: commit first, then look, so that no wake-up is lost."""

from __future__ import annotations

import os
import subprocess
import sys

from db import lease
from db.store import Store
from jobs.files import open_private
from orchestrator.supervision.machines import note_cluster
from orchestrator.supervision.process import wake

LOG = "supervisor.log"


def ensure_supervisor(store: Store) -> bool:
    """Wake the running supervisor, or start one in the background; True where one was started."""
    note_cluster(store.root)
    with store.read() as connection:
        holder = lease.holder(connection)
    wake(store)
    if holder is not None and holder.alive():
        if late := holder.late():
            print(f"orch: {late}", file=sys.stderr)
        if not holder.doubtful():
            return False  # else the one that starts watches it
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    environment.pop("ORCH_TOKEN", None)  # started from inside a job, it must not count as that job's child
    with os.fdopen(open_private(store.root / LOG, os.O_WRONLY | os.O_APPEND), "ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "orchestrator.supervision.process", str(store.root)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C and the end of this terminal never reach it
        )
    return True
