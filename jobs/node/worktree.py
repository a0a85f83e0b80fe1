"""The tree that an execution works in: made from a code snapshot, never the snapshot itself.

Real folders and files of its own (a reflink where the file system can), links to what the snapshot left where it was
(data, outputs). What the program wrote there is kept; what it did not change is removed at its end.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from jobs.files import make_folder, open_regular
from jobs.node.redirection import Held, held, point
from jobs.odd import from_text
from jobs.patience import read_once
from jobs.snapshots import Origin, Snapshot, SnapshotError, folder_of, origin_of, record_of, tree_hash

FICLONE = 0x40049409
"""ioctl_ficlone(2): share a file's blocks until one side is written."""
BLOCK = 2**20
ANEW = "'orch retry' takes the code anew"
NO_FILE = frozenset({errno.ELOOP, errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EINVAL, errno.ENXIO})
"""What opening a kept file says where something else lies in its place; a disk's own errors are not among them."""


@dataclass(kw_only=True)
class Worktree:
    """An execution's tree."""

    home: Path
    snapshot: Snapshot
    origin: Origin
    original: Path
    """The tree that was submitted, where it is now."""
    apart: tuple[Path, ...] = ()
    """Folders that lie in it and are none of its code: the store, and what an execution writes."""
    made: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Path → (inode, size, mtime in ns) of each file as it was made."""
    linked: dict[str, str] = field(default_factory=dict)
    """Path → target of each link that was made."""

    def place(self, path: Path) -> Path:
        """Where a path of the submitted tree is in this one; itself where it lies outside."""
        return self.home / path.relative_to(self.original) if path.is_relative_to(self.original) else path

    @cached_property
    def held(self) -> Held:
        """The files of its snapshot under each path that leads into the submitted tree."""
        roots = {from_text(prefix): from_text(place) for prefix, place in self.origin.aliases.items()}
        return held(self.snapshot.paths, {str(self.original): "", **roots})

    def argument(self, word: str) -> str:
        """An argument that points into this tree: as `redirect`, and files of the tree that stand inside other text."""
        return point(self.held, self.redirect(word), self.home)

    def redirect(self, word: str) -> str:
        """A word with the submitted tree's path replaced: the whole word, or what follows '=' or ':' in it."""
        found: list[tuple[int, int, str]] = []
        for prefix, place in (str(self.original), ""), *self.origin.aliases.items():
            root = from_text(prefix)
            for start in _starts(word, root):
                if _begins(word[start:], root):
                    found.append((start, -start - len(root), str(self.home / from_text(place))))
        if not found:
            return word
        start, end, new = min(found)
        for path in map(str, self.apart):
            if _begins(word[start:], path):
                end, new = -start - len(path), path
        return word[:start] + new + self.redirect(word[-end:])

    def outside_again(self, word: str, cwd: Path) -> str:
        """A relative path that left the submitted tree ('../data', 'data=../data'), as the absolute one that it was."""
        for start in (0, word.find("=") + 1):
            path = word[start:]
            if ".." not in path.split("/") or path.startswith("/"):
                continue
            where = Path(os.path.normpath(cwd / path))
            if not where.is_relative_to(self.original) and os.path.lexists(where):
                return f"{word[:start]}{where}"
        return word

    def settle(self) -> list[str]:
        """Remove what the program did not change. What stays: paths that it wrote, sorted."""
        for path, link in self.linked.items():
            target = self.home / path
            with contextlib.suppress(OSError):
                if target.is_symlink() and str(target.readlink()) == link:
                    target.unlink()
        for path, (inode, size, changed) in self.made.items():
            target = self.home / path
            with contextlib.suppress(OSError):
                found = target.lstat()
                if (found.st_ino, found.st_size, found.st_mtime_ns) == (inode, size, changed):
                    target.unlink()
        kept = []
        for folder, folders, files in os.walk(self.home, topdown=False):
            here = Path(folder)
            if here.name == "__pycache__":
                shutil.rmtree(here, ignore_errors=True)
                continue
            links = [name for name in folders if (here / name).is_symlink()]
            kept += [str((here / name).relative_to(self.home)) for name in (*files, *links)]
            with contextlib.suppress(OSError):
                here.rmdir()
        return sorted(kept)


def _begins(word: str, path: str) -> bool:
    return word.startswith(path) and word[len(path) : len(path) + 1] in ("", "/", ":", ",")


def _starts(word: str, root: str) -> list[int]:
    found, start = [], word.find(root)
    while start >= 0:
        if start == 0 or word[start - 1] in "=:,":
            found.append(start)
        start = word.find(root, start + 1)
    return found


def make(
    code: Path,
    name: str,
    project: Path,
    home: Path,
    apart: tuple[Path, ...] = (),
    root: str | None = None,
    origin: str = "",
) -> Worktree:
    """As `_make`; nothing is left of a tree that could not be made whole."""
    try:
        tree = _make(code, name, project, home, root, origin)
        tree.apart = apart
        return tree
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise


def _make(code: Path, name: str, project: Path, home: Path, root: str | None, origin_name: str) -> Worktree:
    """The tree `home` of the snapshot `name`; every file's content is checked on the way.

    `root`: the folder that was submitted, where it is not the one that the snapshot was first made of; `origin_name`
    names the record of what lay in it besides.

    Raises SnapshotError where the snapshot is gone or is not what it was, OSError where the tree cannot be written.
    """
    snapshot = read_once(record_of(code, name), Snapshot)
    if snapshot is None or snapshot.hash != name:
        raise SnapshotError(f"the code snapshot {name} is not in {code}: 'orch retry' takes the code as it is now")
    if tree_hash(snapshot.files, snapshot.links) != name:
        raise SnapshotError(f"the record of the code snapshot {name} was changed: {ANEW}")
    origin = origin_of(code, snapshot, origin_name)
    if origin is None:
        raise SnapshotError(f"code/origins/{origin_name}.json of the store is gone: 'orch retry' takes the code anew")
    original = Path(os.path.normpath(project / from_text(root or snapshot.root)))
    tree = Worktree(home=home, snapshot=snapshot, origin=origin, original=original)
    source = folder_of(code, name)
    make_folder(home, exist_ok=False)
    made = {home}
    for file in snapshot.files:
        path = from_text(file.path)
        _folders(home, path, made)
        _copy(source / path, home / path, file.sha256, 0o755 if file.executable else 0o644, name)
        found = (home / path).lstat()
        tree.made[path] = (found.st_ino, found.st_size, found.st_mtime_ns)
    for link in snapshot.links:
        path = from_text(link.path)
        _folders(home, path, made)
        tree.linked[path] = _target(tree, path, from_text(link.target))
        (home / path).symlink_to(tree.linked[path])
    for text in origin.folders:
        (home / from_text(text)).mkdir(parents=True, exist_ok=True)
    for text in origin.outside:
        path = from_text(text)
        if os.path.lexists(tree.original / path) and not os.path.lexists(home / path):
            _folders(home, path, made)
            tree.linked[path] = str(tree.original / path)
            (home / path).symlink_to(tree.linked[path])
    return tree


def _folders(home: Path, path: str, made: set[Path]) -> None:
    folder = (home / path).parent
    if folder not in made:
        folder.mkdir(parents=True, exist_ok=True)
        made.add(folder)


def _target(tree: Worktree, path: str, target: str) -> str:
    """A link's target in this tree: inside it where the submitted one was, else the original's absolute path."""
    where = Path(os.path.normpath(tree.original / Path(path).parent / target))
    if where.is_relative_to(tree.original):
        return os.path.relpath(tree.home / where.relative_to(tree.original), (tree.home / path).parent)
    return str(where)


def _copy(source: Path, target: Path, wanted: str, mode: int, name: str) -> None:
    digest = hashlib.sha256()
    try:
        kept = open_regular(source)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise SnapshotError(f"the code snapshot {name} lacks {source.name}: {ANEW}") from None
        if error.errno in NO_FILE:
            raise SnapshotError(f"{source.name} in the code snapshot {name} is no file any more: {ANEW}") from None
        raise
    with kept as reading, target.open("xb") as writing:
        cloned = _clone(reading.fileno(), writing.fileno())
        while block := reading.read(BLOCK):
            digest.update(block)
            if not cloned:
                writing.write(block)
        os.fchmod(writing.fileno(), mode)
    if digest.hexdigest() != wanted:
        raise SnapshotError(f"{source.name} in the code snapshot {name} was changed: {ANEW}")


def _clone(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError:
        return False
    return True
