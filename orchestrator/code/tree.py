"""What belongs to a program's code: the files of a git work tree, or of a folder, and what is left where it is.

In a git work tree the code is what is tracked or untracked and not ignored, with submodules and embedded repositories;
the ignored entries (data, outputs) are named, a whole ignored folder once. Elsewhere it is the folder, less what
`.orchignore` names.
"""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

from jobs.errors import BadInput
from jobs.files import names

IGNORE_FILE = ".orchignore"
NEVER = frozenset({".orch", ".git", "__pycache__"})
"""Neither code nor data of a program: never taken, never linked to."""
NEVER_SUFFIX = ".pyc"
LAB = ("munge.key", "lab.json")
"""In the folder of an `orch lab`, wherever a person put it: its key, queue and unpacked SLURM are nobody's code."""
GIT_SECONDS = 60.0
BIG_FOLDERS = 5


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How large a tree may be (`[code]` of orch.toml)."""

    files: int = 50_000
    megabytes: float = 500.0
    ignore: Sequence[str] = ()
    """More lines like those of .orchignore."""


@dataclass(kw_only=True)
class Tree:
    """The code below `root`: paths are relative to it, sorted."""

    root: Path
    files: dict[str, os.stat_result] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    """Folders that hold none of these."""
    commit: str | None = None
    dirty: bool = False


def root_of(folder: Path, project: Path) -> Path:
    """The tree that a program in `folder` belongs to: its git work tree, else the project around it, else `folder`.

    A folder that its git work tree ignores is none of its code: it is a tree of its own, as one without git.
    """
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top is None:
        return project if folder.is_relative_to(project) else folder
    root = Path(os.fsdecode(top.rstrip(b"\n")))
    if not _ignores(root, folder):
        return root
    return project if folder.is_relative_to(project) and _ignores(root, project) else folder


def _ignores(root: Path, folder: Path) -> bool:
    """Whether the git work tree at `root` ignores that folder, and tracks nothing in it."""
    if folder == root or _git(root, "check-ignore", "-q", "--no-index", str(folder)) is None:
        return False
    return not _git(folder, "ls-files", "-z", "--cached")


def look(root: Path, limits: Limits, store: Path) -> Tree:
    """List the tree below `root`; the store's own folder is no part of it. Raises BadInput where it is too large."""
    tree = Tree(root=root)
    ignored = _Ignored(root, limits)
    if _git(root, "rev-parse", "--show-toplevel") == os.fsencode(root) + b"\n":
        commit = _git(root, "rev-parse", "--verify", "-q", "HEAD")
        tree.commit = commit.decode().strip() if commit else None
        tree.dirty = bool(_git(root, "status", "--porcelain", "-z", "--untracked-files=no"))
        _look_by_git(tree, "", ignored, store)
    else:
        _look_by_folder(tree, ignored, store)
    _leave_environments(tree)
    _check(tree, limits)
    tree.files = dict(sorted(tree.files.items()))
    tree.links = dict(sorted(tree.links.items()))
    tree.outside = sorted(set(tree.outside))
    tree.folders = sorted(_empty(tree, store))
    return tree


class _Ignored:
    """What `.orchignore` and `[code] ignore` name: a whole folder once."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self.spec = _patterns(root, limits)
        self.folders: dict[str, str | None] = {"": None}

    def entry(self, path: str, *, is_folder: bool) -> str | None:
        """The path, or the topmost of its folders, that is ignored; None where none is."""
        if not self.spec.patterns:
            return None
        above = self._folder(path.rpartition("/")[0])
        if above is not None:
            return above
        return path if self.spec.match_file(f"{path}/" if is_folder else path) else None

    def _folder(self, folder: str) -> str | None:
        if folder not in self.folders:
            self.folders[folder] = self.entry(folder, is_folder=True)
        return self.folders[folder]


def _patterns(root: Path, limits: Limits) -> GitIgnoreSpec:
    lines = list(limits.ignore)
    path = root / IGNORE_FILE
    try:
        lines += path.read_text(errors="surrogateescape").splitlines()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise BadInput(f"a line of {path} or of [code] ignore is no pattern: {error}") from None


def _never(path: str) -> bool:
    return path.endswith(NEVER_SUFFIX) or not NEVER.isdisjoint(path.split("/"))


def _is_lab(folder: Path) -> bool:
    return all(os.access(folder / name, os.F_OK) for name in LAB)


def _add(tree: Tree, path: str, ignored: _Ignored, store: Path) -> os.stat_result | None:
    """Take one path as what it is; the stat of a folder is returned, for the caller to go on with."""
    full = tree.root / path
    if _never(path) or full == store:
        return None
    try:
        found = full.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None  # tracked and deleted, or gone since it was listed
    is_folder = stat.S_ISDIR(found.st_mode)
    if is_folder and _is_lab(full):
        return None
    if (left := ignored.entry(path, is_folder=is_folder)) is not None:
        tree.outside.append(left)
    elif stat.S_ISLNK(found.st_mode):
        tree.links[path] = str(full.readlink())
    elif stat.S_ISREG(found.st_mode):
        tree.files[path] = found
    elif is_folder:
        return found
    return None  # sockets, FIFOs and devices are no code


def _look_by_git(tree: Tree, prefix: str, ignored: _Ignored, store: Path) -> None:
    here = tree.root / prefix
    for option in ("--cached", "--others"):
        before = len(tree.files) + len(tree.links)
        listed = list(_listed(here, option))
        keys = (path.removesuffix(LAB[0]) for path in listed if path.endswith(f"/{LAB[0]}"))
        labs = tuple(folder for folder in keys if _is_lab(here / folder))
        for path in (path.rstrip("/") for path in listed if not path.startswith(labs)):
            if _add(tree, prefix + path, ignored, store) is not None:  # a submodule, or a repository inside this one
                inner = f"{prefix}{path}/"
                if (tree.root / inner / ".git").exists():
                    _look_by_git(tree, inner, ignored, store)
        if option == "--others" and len(tree.files) + len(tree.links) > before:
            tree.dirty = True
    for path in _listed(here, "--others", "--ignored", "--directory"):
        name = prefix + path.rstrip("/")
        if not _never(name) and tree.root / name != store and not _is_lab(tree.root / name):
            tree.outside.append(name)


def _empty(tree: Tree, store: Path) -> list[str]:
    """Folders below the root in which nothing lies that the tree names: a program may write there."""
    outside = set(tree.outside)
    found, waiting = [], [""]
    used = {parent for path in (*tree.files, *tree.links, *outside) for parent in _parents(path)}
    while waiting:
        prefix = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(tree.root / prefix) as entries:
            for entry in entries:
                path = prefix + entry.name
                if path in outside or _never(path) or not entry.is_dir(follow_symlinks=False):
                    continue
                if tree.root / path == store or path in tree.links or _is_lab(tree.root / path):
                    continue
                waiting.append(f"{path}/")
                if path not in used:
                    found.append(path)
    return found


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _leave_environments(tree: Tree) -> None:
    """Virtual environments that nothing ignores are no code either: they are linked to."""
    marks = {"/pyvenv.cfg": 1, "/conda-meta/history": 2}
    found = {"/".join(path.split("/")[: -marks[mark]]) for path in tree.files for mark in marks if path.endswith(mark)}
    for prefix in sorted(found):
        tree.files = {path: item for path, item in tree.files.items() if not path.startswith(f"{prefix}/")}
        tree.links = {path: item for path, item in tree.links.items() if not path.startswith(f"{prefix}/")}
        tree.outside = [path for path in tree.outside if not path.startswith(f"{prefix}/")] + [prefix]


def _look_by_folder(tree: Tree, ignored: _Ignored, store: Path) -> None:
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        try:
            entries = names(tree.root / prefix)
        except OSError as error:
            raise BadInput(
                f"{tree.root / prefix} cannot be read ({error.strerror}): leave it out with a line in {IGNORE_FILE}"
            ) from None
        for name in entries:
            if _add(tree, prefix + name, ignored, store) is not None:
                waiting.append(f"{prefix}{name}/")


def _check(tree: Tree, limits: Limits) -> None:
    size = sum(found.st_size for found in tree.files.values()) / 2**20
    if len(tree.files) > limits.files:
        counts = Counter(_top(path) for path in tree.files)
        largest = ", ".join(f"{name} ({count} files)" for name, count in counts.most_common(BIG_FOLDERS))
        raise BadInput(
            f"the code in {tree.root} has {len(tree.files)} files, more than {limits.files}: leave out what is no code "
            f"with lines in {IGNORE_FILE} (largest: {largest}), or raise [code] files in orch.toml"
        )
    if size > limits.megabytes:
        sizes: Counter[str] = Counter()
        for path, found in tree.files.items():
            sizes[_top(path)] += found.st_size
        largest = ", ".join(f"{name} ({count / 2**20:.0f} MB)" for name, count in sizes.most_common(BIG_FOLDERS))
        raise BadInput(
            f"the code in {tree.root} has {size:.0f} MB, more than {limits.megabytes:g}: leave out what is no code "
            f"with lines in {IGNORE_FILE} (largest: {largest}), or raise [code] megabytes in orch.toml"
        )


def _top(path: str) -> str:
    """The folder that a file counts to: its first two levels."""
    parts = path.split("/")[:-1][:2]
    return "/".join(parts) or "."


def _listed(folder: Path, *options: str) -> Iterable[str]:
    found = _git(folder, "ls-files", "-z", *options, "--exclude-standard")
    if found is None:
        raise BadInput(f"git cannot list {folder}: see what 'git -C {folder} status' says")
    return dict.fromkeys(os.fsdecode(name) for name in found.split(b"\0") if name)


def patch(root: Path) -> bytes:
    """What differs from the commit in what git tracks, as `git apply` takes it; empty where nothing does."""
    return _git(root, "diff", "HEAD", "--binary", "--no-color", "--no-ext-diff") or b""


def _git(folder: Path, *words: str) -> bytes | None:
    """What git answers; None where it fails (no repository, no git). Raises BadInput where it refuses the folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired:
        raise BadInput(f"git did not answer for {folder} within {GIT_SECONDS:g} s: try again") from None
    if done.returncode != 0:
        if b"dubious ownership" in done.stderr:
            raise BadInput(
                f"git refuses {folder}, which belongs to somebody else: 'git config --global --add safe.directory "
                f"{folder}', or --code live"
            )
        return None
    return done.stdout
