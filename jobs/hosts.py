"""Which boot of which host this is: a pid, and a clock that counts from the boot, mean nothing in another one."""

from __future__ import annotations

import contextlib
import functools
import os
from datetime import UTC, datetime
from pathlib import Path

PRETENDED = "ORCH_PRETENDED_BOOT_ID"
"""Of a test's pretend server, whose kernel is that of the machine which it runs on."""


@functools.cache
def boot_id() -> str:
    """This boot's id (random(4), /proc/sys/kernel/random/boot_id); its time where the kernel does not tell."""
    pretended = os.environ.get(PRETENDED)
    if pretended:
        return pretended
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    import psutil

    return datetime.fromtimestamp(psutil.boot_time(), UTC).isoformat()
