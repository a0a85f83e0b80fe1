"""Files that nobody else may read."""

import os
import secrets
from pathlib import Path


def write_secret(path: Path, content: bytes) -> None:
    """Write a file anew that only its owner can read, from its first moment on."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def ensure_munge_key(path: Path) -> None:
    """A key of munge's own length (munge(7): 32 to 1024 bytes), made once."""
    if not path.exists():
        write_secret(path, secrets.token_bytes(128))
