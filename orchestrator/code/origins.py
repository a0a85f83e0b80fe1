"""What lay in a tree that was submitted besides its code, and which paths led to it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from jobs.files import make_folder, read_json, write_bytes, write_json
from jobs.odd import to_text
from jobs.snapshots import Origin, origin_record, patch_of
from orchestrator.code.tree import Tree, patch

LARGEST_PATCH = 20 * 2**20
"""The snapshot holds it all anyway."""


def of(tree: Tree, aliases: Mapping[str, str]) -> Origin:
    """The record of a tree."""
    return Origin(
        outside=tuple(sorted(to_text(path) for path in tree.outside)),
        folders=tuple(sorted(to_text(path) for path in tree.folders)),
        aliases={to_text(prefix): to_text(place) for prefix, place in sorted(aliases.items())},
    )


def keep(code: Path, origin: Origin) -> str:
    """Keep it, once per content: its name."""
    name = hashlib.sha256(msgspec.json.encode(origin, order="sorted")).hexdigest()[:32]
    path = origin_record(code, name)
    if read_json(path, Origin) != origin:
        make_folder(path.parent)
        write_json(path, origin)
    return name


def keep_patch(code: Path, tree: Tree) -> str:
    """Keep the difference to the commit, once per content: its name."""
    text = patch(tree.root)
    if not text or len(text) > LARGEST_PATCH:
        return ""
    name = hashlib.sha256(text).hexdigest()[:32]
    if not patch_of(code, name).exists():
        write_bytes(patch_of(code, name), text)
    return name
