"""Where a mirror is: a folder of this machine, or `host:path` by ssh."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from jobs.errors import BadInput

_HOST = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A mirror's place. `host` None: on this machine, and then `path` is absolute."""

    host: str | None
    path: str

    def __str__(self) -> str:
        return f"{self.host}:{self.path}" if self.host else self.path

    @property
    def argument(self) -> str:
        """As rsync takes it: the folder's content."""
        return f"{self}/"

    @property
    def local(self) -> Path | None:
        """The folder, where it is one of this machine."""
        return None if self.host else Path(self.path)


def parse(text: str, base: Path, what: str) -> Place:
    """A mirror as a person writes it; a relative path counts from `base`. `what` names it. Raises BadInput."""
    head, colon, tail = text.partition(":")
    if not text.strip():
        raise BadInput(f"{what} is empty: give it a folder, or host:folder")
    if text.startswith(("rsync:", "ssh:")) or (colon and "/" not in head and tail.startswith(":")):
        raise BadInput(f"{what} takes a folder or host:folder, which is reached by ssh (got '{text}')")
    if colon and "/" not in head:
        if not _HOST.fullmatch(head):
            raise BadInput(f"{what} names no host that ssh could reach: '{head}' in '{text}'")
        path = tail.removeprefix("~/").rstrip("/")
        if not path or path == "~":
            raise BadInput(f"{what} names a host and no folder of its own on it: write it as '{head}:backup/orch'")
        return Place(host=head, path=path)
    try:
        folder = Path(text).expanduser()
    except RuntimeError:
        raise BadInput(f"{what} names a home folder that nobody has: '{text}'") from None
    folder = (base / folder).absolute()
    folder = folder.resolve() if folder.exists() else folder.parent.resolve() / folder.name
    if folder == Path(folder.anchor):
        raise BadInput(f"{what} is a whole disk: give it a folder of its own, like '{folder}backup/orch'")
    return Place(host=None, path=str(folder))


def check_apart(place: Place, root: Path, what: str) -> None:
    """Refuse a mirror that the store's own end would take along. Raises BadInput."""
    folder, store = place.local, root.resolve()
    if folder is None:
        return
    if folder == store or store in folder.parents:
        raise BadInput(
            f"{what} lies inside the store {root}, so it would be lost with it: name a folder elsewhere, "
            "best on another machine"
        )
    if folder in store.parents:
        raise BadInput(f"{what} holds the store {root} itself: name a folder of its own, best on another machine")
