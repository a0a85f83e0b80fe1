"""A store that orch 0.1.0 left behind, put into a folder of the test (tests/golden/0.1.0/README.md)."""

from __future__ import annotations

import tarfile
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden" / "0.1.0" / "store.tar.xz"
WAS = "/srv/" + "g" * 155
"""Where it was made."""


def unpack(folder: Path) -> Path:
    """The project's folder, with `.orch` in it; below `folder`, with a path as long as the old one.

    The path in every file is replaced by one of equal length, so that pickles and database keep all their other bytes.
    """
    room = len(WAS) - len(str(folder)) - 1
    assert room > 0, f"{folder} is too long for the golden store's path of {len(WAS)} characters"
    here = folder / ("g" * room)
    here.mkdir()
    with tarfile.open(GOLDEN) as archive:
        archive.extractall(here, filter="data")
    (here / ".orch").chmod(0o700)
    for path in here.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if WAS.encode() in content:
                path.write_bytes(content.replace(WAS.encode(), str(here).encode()))
    return here
