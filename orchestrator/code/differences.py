"""What differs between two code snapshots: files, and how many lines of each."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher, unified_diff
from pathlib import Path

from jobs.files import read_json
from jobs.odd import from_text
from jobs.snapshots import Snapshot, folder_of, record_of

LARGEST = 2**20
"""Bytes of a file up to which its lines are compared."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of two trees: what it holds, and the folder in which its files lie."""

    snapshot: Snapshot
    home: Path


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One file that is not the same in both."""

    path: str
    """As text (jobs/odd.py)."""
    lines: int | None
    """How many lines differ; None where it is not text, too large, or in one of them only."""
    how: str
    """changed, added, removed or mode."""


def side(code: Path, name: str) -> Side | None:
    """A kept snapshot; None where there is none of that name."""
    snapshot = read_json(record_of(code, name), Snapshot) if name else None
    return Side(snapshot=snapshot, home=folder_of(code, name)) if snapshot is not None else None


def differences(old_side: Side, new_side: Side) -> list[Difference]:
    """The files that differ, by path."""
    before, after = old_side.snapshot, new_side.snapshot
    old = {file.path: (file.sha256, file.executable) for file in before.files}
    new = {file.path: (file.sha256, file.executable) for file in after.files}
    old |= {link.path: (f"link {link.target}", False) for link in before.links}
    new |= {link.path: (f"link {link.target}", False) for link in after.links}
    found = []
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) == new.get(path):
            continue
        if path not in old or path not in new:
            found.append(Difference(path=path, lines=None, how="added" if path in new else "removed"))
        elif old[path][0] == new[path][0]:
            found.append(Difference(path=path, lines=None, how="mode"))
        else:
            texts = [_text(item, path) for item in (old_side, new_side)]
            found.append(Difference(path=path, lines=_changed(*texts), how="changed"))
    return found


def _text(tree: Side, path: str) -> list[str] | None:
    where = tree.home / from_text(path)
    try:
        if where.is_symlink() or where.stat().st_size > LARGEST:
            return None
        return where.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None


def _changed(before: list[str] | None, after: list[str] | None) -> int | None:
    if before is None or after is None:
        return None
    steps = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return sum(max(b - a, d - c) for kind, a, b, c, d in steps if kind != "equal")


def text(before: Side, after: Side) -> list[str]:
    """A unified diff of all that is text, in lines without their ends."""
    lines: list[str] = []
    for item in differences(before, after):
        old, new = _text(before, item.path), _text(after, item.path)
        if item.how == "mode" or (old is None and new is None) or (item.how == "changed" and None in (old, new)):
            lines.append(f"{item.how}: {item.path}")
        else:
            lines += unified_diff(old or [], new or [], f"a/{item.path}", f"b/{item.path}", lineterm="")
    return lines


def summary(found: list[Difference]) -> str:
    """`train.py, 3 lines; 2 more files`."""
    if not found:
        return "the same files"
    first = found[0]
    lines = f", {first.lines} line{'' if first.lines == 1 else 's'}" if first.lines is not None else f", {first.how}"
    more = f"; {len(found) - 1} more file{'' if len(found) == 2 else 's'}" if len(found) > 1 else ""
    return f"{from_text(first.path)}{lines}{more}"
