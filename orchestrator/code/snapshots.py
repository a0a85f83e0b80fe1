"""Keeping the code as it is at a submit: once per content, with files shared between snapshots by hard link.

A stat cache (like git's index) spares reading what did not change. One lock per store covers taking a snapshot and the
submit that names it, so that two submits share one and `orch clean` removes none that is about to be needed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from jobs.errors import StoreError
from jobs.files import fsync_folder, make_folder, names, open_private, read_json, write_bytes, write_json
from jobs.odd import from_text, to_text
from jobs.snapshots import (
    KeptFile,
    KeptLink,
    Origin,
    Snapshot,
    SnapshotError,
    folder_of,
    is_whole,
    record_of,
    tree_hash,
)
from orchestrator.code import origins
from orchestrator.code.tree import IGNORE_FILE, Limits, Tree, look

RACY_NS = 2_000_000_000
"""A file changed so shortly before it was looked at may change again within the file system's clock tick."""
TRIES = 5
BLOCK = 2**20


class Known(msgspec.Struct, frozen=True, array_like=True):
    """What the cache knows of one file."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: str


class Index(msgspec.Struct, kw_only=True):
    """The stat cache of one tree."""

    root: str
    snapshot: str = ""
    """The newest snapshot of this tree: unchanged files are linked from it."""
    taken_ns: int = 0
    files: dict[str, Known] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A snapshot that is there, what lay in its tree besides, and whether it was made just now."""

    snapshot: Snapshot
    origin: Origin
    origin_name: str
    new: bool
    commit: str | None
    """Of this submit: the same content may be another commit's too."""
    dirty: bool
    patch: str
    """Names the difference to that commit (`code/<patch>.patch`); empty where there is none, or it is too large."""


class _Changed(Exception):
    """A file changed while it was copied."""


@contextlib.contextmanager
def holding(code: Path) -> Iterator[None]:
    """Keep others from taking or removing snapshots of this store; leftovers of one that was cut off are removed."""
    try:
        make_folder(code)
        handle = open_private(code / ".lock", os.O_RDWR)
    except OSError as error:
        raise StoreError(f"the code cannot be kept in {code}: {error.strerror}; make room or mend the folder") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for name in names(code):
            if name.endswith(".tmp"):
                remove(code / name)
        yield
    finally:
        os.close(handle)


def take(
    code: Path, root: Path, shown_root: str, limits: Limits, store: Path, aliases: Mapping[str, str] | None = None
) -> Taken:
    """Keep the tree below `root` under `code`, inside `holding`. Nothing is half-written where it fails.

    `shown_root` is the root as the record names it, `aliases` other paths into the tree (see Origin). Raises BadInput,
    StoreError (a full disk, say) or SnapshotError.
    """
    try:
        for _ in range(TRIES):
            with contextlib.suppress(_Changed):
                tree = look(root, limits, store)
                taken = _take(code, tree, shown_root, aliases or {})
                return replace(taken, patch=origins.keep_patch(code, tree)) if tree.dirty else taken
    except OSError as error:
        raise StoreError(
            f"the code in {root} cannot be kept ({error.filename}: {error.strerror}): make room or mend that, or leave "
            f"it out with a line in {IGNORE_FILE}; nothing was submitted"
        ) from None
    raise SnapshotError(f"the code in {root} kept changing while it was copied: submit again when it is at rest")


def present(code: Path, root: Path, shown_root: str, limits: Limits, store: Path) -> Snapshot:
    """What a snapshot of the tree would be now; nothing is kept."""
    try:
        return _record(code, look(root, limits, store), shown_root)[0]
    except (OSError, _Changed) as error:
        raise SnapshotError(f"the code in {root} cannot be read now: {error}") from None


def _record(code: Path, tree: Tree, shown_root: str) -> tuple[Snapshot, dict[str, str], Index, Path]:
    """The tree's record; SHA-256 by path; the cache as it was, and its file."""
    index_path = code / f"index-{hashlib.sha256(os.fsencode(tree.root)).hexdigest()[:12]}.msgpack"
    index = _read_index(index_path, tree.root)
    hashes = {path: _hash(tree.root / path, found, index.files.get(path), index) for path, found in tree.files.items()}
    files = tuple(
        KeptFile(to_text(path), hashes[path], found.st_size, bool(found.st_mode & stat.S_IXUSR))
        for path, found in tree.files.items()
    )
    links = tuple(KeptLink(to_text(path), to_text(target)) for path, target in tree.links.items())
    name = tree_hash(files, links)
    snapshot = Snapshot(
        hash=name,
        root=to_text(shown_root),
        files=files,
        links=links,
        outside=tuple(sorted(to_text(path) for path in tree.outside)),
        commit=tree.commit,
        dirty=tree.dirty,
    )
    return snapshot, hashes, index, index_path


def _take(code: Path, tree: Tree, shown_root: str, aliases: Mapping[str, str]) -> Taken:
    began = time.time_ns()
    snapshot, hashes, index, index_path = _record(code, tree, shown_root)
    name = snapshot.hash
    there = read_json(record_of(code, name), Snapshot)
    if there is not None and (there.hash != name or tree_hash(there.files, there.links) != name):
        there = None
    new = there is None or not is_whole(code, snapshot)
    snapshot = there or snapshot
    if new:
        remove(record_of(code, name))
        _copy(code, tree, snapshot, index.snapshot, hashes)
        write_json(record_of(code, name), snapshot)
    origin = origins.of(tree, aliases)
    known = {
        path: Known(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, hashes[path])
        for path, found in tree.files.items()
    }
    after = Index(root=os.fsencode(tree.root).hex(), snapshot=name, taken_ns=began, files=_encodable(known))
    if (after.files, name) != (_encodable(index.files), index.snapshot):
        with contextlib.suppress(OSError):  # only a cache
            write_bytes(index_path, msgspec.msgpack.encode(after), durable=False)
    return Taken(
        snapshot=snapshot,
        origin=origin,
        origin_name=origins.keep(code, origin),
        new=new,
        commit=tree.commit,
        dirty=tree.dirty,
        patch="",
    )


def _encodable(files: dict[str, Known]) -> dict[str, Known]:
    return {to_text(path): known for path, known in files.items()}


def _read_index(path: Path, root: Path) -> Index:
    mine = os.fsencode(root).hex()
    try:
        found = msgspec.msgpack.decode(path.read_bytes(), type=Index)
    except (OSError, msgspec.DecodeError):
        return Index(root=mine)
    if found.root != mine:
        return Index(root=mine)
    found.files = {from_text(name): known for name, known in found.files.items()}
    return found


def _hash(path: Path, found: os.stat_result, known: Known | None, index: Index) -> str:
    same = known is not None and (known.size, known.mtime_ns, known.ctime_ns, known.inode) == (
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_ino,
    )
    if same and known is not None and max(found.st_mtime_ns, found.st_ctime_ns) < index.taken_ns - RACY_NS:
        return known.sha256
    return _read(path, lambda block: None)


def _read(path: Path, also: Callable[[bytes], object]) -> str:
    """SHA-256 of a file, its blocks handed on. Raises _Changed where it is gone."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as handle:
            while block := handle.read(BLOCK):
                digest.update(block)
                also(block)
    except FileNotFoundError:
        raise _Changed from None
    return digest.hexdigest()


def _copy(code: Path, tree: Tree, snapshot: Snapshot, before: str, hashes: dict[str, str]) -> None:
    """The snapshot's folder, under a temporary name until it is whole."""
    target = folder_of(code, snapshot.hash)
    draft = code / f".{snapshot.hash}.{secrets.token_hex(4)}.tmp"
    earlier = _earlier(code, before)
    try:
        make_folder(draft, exist_ok=False)
        folders = {draft}
        for path in (*tree.files, *tree.links):
            for parent in reversed((draft / path).relative_to(draft).parents):
                folder = draft / parent
                if folder not in folders:
                    make_folder(folder)
                    folders.add(folder)
        for path, found in tree.files.items():
            mode = 0o555 if found.st_mode & stat.S_IXUSR else 0o444
            shared = earlier.get((hashes[path], mode == 0o555))
            if shared is None or not _link(shared, draft / path, hashes[path]):
                _copy_file(tree.root / path, draft / path, hashes[path], mode)
        for path, link in tree.links.items():
            (draft / path).symlink_to(link)
        for folder in folders:
            fsync_folder(folder)
        if target.exists():  # without its record: one that was cut off, or removed by half
            remove(target)
        draft.rename(target)
        fsync_folder(code)
    except BaseException:
        remove(draft)
        raise


def _earlier(code: Path, name: str) -> dict[tuple[str, bool], Path]:
    """(SHA-256, program) → the file in the newest snapshot of this tree."""
    record = read_json(record_of(code, name), Snapshot) if name else None
    if record is None:
        return {}
    home = folder_of(code, name)
    return {(item.sha256, item.executable): home / from_text(item.path) for item in record.files}


def _link(source: Path, target: Path, wanted: str) -> bool:
    """Share a file by hard link, where it still is what it was (root can write through 0444)."""
    try:
        if _read(source, lambda block: None) != wanted:
            return False
        os.link(source, target, follow_symlinks=False)
    except (OSError, _Changed):
        return False
    return True


def _copy_file(source: Path, target: Path, wanted: str, mode: int) -> None:
    with target.open("xb") as handle:
        if _read(source, handle.write) != wanted:
            raise _Changed
        handle.flush()
        os.fsync(handle.fileno())
        os.fchmod(handle.fileno(), mode)


def remove(path: Path) -> None:
    """Remove a file or a folder as far as it goes."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
