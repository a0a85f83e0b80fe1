"""What a runner of a bundle imports once, so that its workers begin in milliseconds: a kind with all that it needs.

A fork of a process with several threads, or with a CUDA context, may hang or be wrong (fork(2); torch's notes on
multiprocessing). So this imports, and runs no tensor operation; what threads an import itself begins is looked at
afterwards.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from jobs.kind import JobKind

_OF_THE_HOUSE = "jobs."
_POOLS = "OPENBLAS_NUM_THREADS"
"""numpy's OpenBLAS begins its threads as it is imported; one is itself."""


def warm(kind: JobKind) -> bool:
    """Import the work of a kind of orch's own. Whether a fork of this process may now do it."""
    module = kind.run.partition(":")[0]
    if not module.startswith(_OF_THE_HOUSE):
        return False  # its code is put in place for each execution, before anything of it is imported
    if module not in sys.modules:
        with _one_thread():
            kind.function()
    return is_single() and not _has_gpu()


def is_single() -> bool:
    """Whether this process is one thread, as the kernel counts."""
    return len(list(Path("/proc/self/task").iterdir())) == 1


def _has_gpu() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = os.environ.get(_POOLS)
    os.environ[_POOLS] = "1"
    try:
        yield
    finally:
        del os.environ[_POOLS]
        if before is not None:
            os.environ[_POOLS] = before
