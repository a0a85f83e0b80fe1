"""Where a store is looked for, its folders, and what kind of disk they lie on."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from db.admission import check_found
from jobs.errors import StoreError
from jobs.files import make_folder, open_private
from jobs.layout import Layout

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "lustre", "gpfs", "beegfs", "cifs", "smb3", "smbfs", "fuse.sshfs", "ceph", "fuse.glusterfs", "9p"}
)


def locate(explicit: Path | None = None, *, looking: bool = False) -> Path:
    """The store's folder: the one named (option or ORCH_STORE), else `.orch` here or in the nearest parent, else here.

    Absolute; it need not exist. One that was found and not named must not have been planted. Raises StoreError.
    """
    named = explicit or (Path(os.environ["ORCH_STORE"]) if os.environ.get("ORCH_STORE") else None)
    if named is not None:
        return named.expanduser().absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if os.path.isdir(folder / ".orch"):  # noqa: PTH112 (False, not an error, where nobody lets us look)
            check_found(folder / ".orch", looking=looking)
            return folder / ".orch"
    return here / ".orch"


def file_system(path: Path) -> str:
    """The type of the file system that holds `path`, as /proc/mounts names it ('ext4', 'nfs4', ...)."""
    best, kind = "", ""
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        words = line.split()
        mount = words[1].replace("\\040", " ")
        inside = str(path) == mount or str(path).startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, words[2]
    return kind


def _make_own(folder: Path, mode: int) -> None:
    folder.mkdir(mode)
    folder.chmod(mode | folder.stat().st_mode & stat.S_ISGID)  # the umask cuts what mkdir gives


def make_folders(layout: Layout, *, group: bool) -> None:
    """The store's folders and those above it that are missing, whatever the umask. Raises StoreError."""
    try:
        for folder in reversed([one for one in layout.root.parents if not one.exists()]):
            _make_own(folder, 0o700)
        if not layout.root.exists():
            _make_own(layout.root, 0o750 if group else 0o700)
        make_folder(layout.journal)
        make_folder(layout.submissions)
        os.close(open_private(layout.database, os.O_RDWR))  # SQLite's own mode is the umask's
    except OSError as error:
        raise StoreError(
            f"cannot make the store {layout.root}: {error.strerror}; choose a folder with --store"
        ) from None
