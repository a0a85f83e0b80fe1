"""Paths of a submitted tree inside other text and in variables, pointed into an execution's tree.

Only what the snapshot holds is pointed there: a folder that is to be written to, or a virtual environment, stays.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

SEARCHED = ("PATH", "LD_LIBRARY_PATH", "LIBRARY_PATH", "CPATH")
"""Lists of folders that are searched for programs, libraries and headers (PYTHONPATH has its own way)."""
_END = re.compile(r"""[\s"'`,;:()\[\]{}<>|&]""")
_OPTION = re.compile(r"-[A-Za-z]")


class Held:
    """The files of a snapshot by their full paths, under each path that leads into the submitted tree."""

    def __init__(self, paths: Container[str], folders: Container[str], roots: Mapping[str, str]) -> None:
        """`paths`: of the files, below the tree; `folders`: above them; `roots`: absolute path → where in it ('')."""
        self.paths = paths
        self.folders = folders
        self.roots = {root.rstrip("/"): place for root, place in roots.items() if root.rstrip("/")}

    def file(self, text: str) -> str | None:
        """Where in the tree a full path's file is. None where it is no file of it."""
        place = self.place(text)
        return place if place is not None and place in self.paths else None

    def folder(self, text: str) -> str | None:
        """Where in the tree a full path's folder is that holds files of it. None where it is none."""
        place = self.place(text)
        return place if place is not None and (place == "." or place in self.folders) else None

    def place(self, text: str) -> str | None:
        """Where in the tree a full path is, whatever lies there. None where it leads elsewhere."""
        for root, inner in self.roots.items():
            if text == root or text.startswith(f"{root}/"):
                return os.path.normpath(Path(inner, text[len(root) :].lstrip("/")))
        return None

    def mentions(self, word: str) -> Iterable[tuple[int, int]]:
        """Where full paths into the tree stand in a text, from and to: the longest that is a file, else up to a sign
        that ends a name."""
        end = 0
        while (start := self._next(word, end)) is not None:
            ends = [match.start() for match in _END.finditer(word, start)] + [len(word)]
            files = [place for place in ends if self.file(word[start:place]) is not None]
            end = max(files, default=ends[0])
            yield start, end

    def _next(self, word: str, begin: int) -> int | None:
        found = []
        for root in self.roots:
            start = word.find(root, begin)
            while start >= 0 and not (_opens(word, start) and _closes(word, start + len(root))):
                start = word.find(root, start + 1)
            found += [start] if start >= 0 else []
        return min(found, default=None)


def _opens(word: str, start: int) -> bool:
    """Whether a path may begin there: not inside another one ('/mnt/home/me'), but right behind '-C' or 'file://'."""
    before = word[:start]
    if before.endswith("://") or _OPTION.fullmatch(before):
        return True
    return not before or not (before[-1].isalnum() or before[-1] in "_.-/~")


def _closes(word: str, end: int) -> bool:
    return end == len(word) or word[end] == "/" or _END.match(word, end) is not None


def held(paths: Iterable[str], roots: Mapping[str, str]) -> Held:
    """The files of a snapshot (paths below its tree), under `roots`."""
    files = frozenset(paths)
    return Held(files, frozenset(str(folder) for path in files for folder in Path(path).parents), roots)


def point(kept: Held, word: str, home: Path) -> str:
    """A text in which the full paths of files that are held point into `home`."""
    found, done = "", 0
    for start, end in kept.mentions(word):
        place = kept.file(word[start:end])
        if place is not None:
            found, done = f"{found}{word[done:start]}{home / place}", end
    return found + word[done:]


def point_variables(kept: Held, environment: Mapping[str, str], home: Path, original: Path) -> dict[str, str]:
    """The variables that name files of the tree, and the lists that name its folders, as they are to be.

    What is gone since the project was moved (a virtual environment in it) is named where it is now, below `original`.
    """
    found = {}
    for name, value in environment.items():
        parts = point(kept, value, home).split(os.pathsep)
        if name in SEARCHED:
            parts = [_folder(kept, part, home) for part in parts]
        new = os.pathsep.join(_moved(kept, part, original) for part in parts)
        if new != value:
            found[name] = new
    return found


def _folder(kept: Held, part: str, home: Path) -> str:
    place = kept.folder(part) if part.startswith("/") else None
    return part if place is None else str(home / place)


def _moved(kept: Held, part: str, original: Path) -> str:
    place = kept.place(part) if part.startswith("/") and not os.path.lexists(part) else None
    return part if place is None or not os.path.lexists(original / place) else str(original / place)
