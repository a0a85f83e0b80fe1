"""Whether a store may be opened: whose it is, who else can write it, and who may look.

A store, and every folder down to it that orch made, belongs to its user and is writable by nobody else: what lies in
it is run in that user's name. Another user (root too) only looks, where the owner lets the group.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from jobs import trust
from jobs.errors import StoreError
from jobs.files import names
from jobs.layout import Layout

MIRROR = "mirror.json"
"""By this file a mirror is known."""


@dataclass(frozen=True, kw_only=True)
class Admission:
    """A store that may be opened."""

    root: Path
    """Its own folder, where a link of the user's names it."""
    owner: int
    mode: int

    @property
    def mine(self) -> bool:
        """Whether it may be changed; else it is only looked at."""
        return self.owner == os.geteuid()

    @property
    def group(self) -> bool:
        """Whether the group may look."""
        return bool(self.mode & 0o040)


def admit(root: Path, *, looking: bool) -> Admission | None:
    """The store in `root`, once its folder can be trusted; None where there is none yet. Raises StoreError."""
    try:
        facts = root.lstat()
        if stat.S_ISLNK(facts.st_mode):
            if facts.st_uid not in (os.geteuid(), trust.ROOT):
                raise StoreError(
                    f"{root} is a link that {trust.person(facts.st_uid)} made, not you, so it is not followed: remove "
                    "it, or name a store of yours with --store"
                )
            root = root.resolve(strict=True)
            facts = root.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"cannot look into the store {root}: {error.strerror}") from None
    if facts.st_uid != os.geteuid():
        _check_stranger(root, facts, looking)
    elif stat.S_ISDIR(facts.st_mode) and not os.access(root, os.R_OK | os.X_OK, effective_ids=True):
        raise StoreError(
            f"cannot look into the store {root}: Permission denied; run 'chmod u+rwx {trust.quoted(root)}'"
        )
    trust.check_folder(root, facts.st_uid, inside=root)
    if (root / MIRROR).exists():
        raise StoreError(
            f"{root} is a mirror of a store, and no store: 'orch rebuild --from {trust.quoted(root)}' makes one of it"
        )
    found = Admission(root=root, owner=facts.st_uid, mode=stat.S_IMODE(facts.st_mode))
    database = Layout(root).database
    for path in (database, *(Path(f"{database}{suffix}") for suffix in ("-wal", "-shm", "-journal"))):
        try:
            trust.check_file(path, found.owner)
        except FileNotFoundError:
            continue  # SQLite removes its files where nobody reads them any more
    return found


def check_found(root: Path, *, looking: bool) -> None:
    """A store that was found by walking up the parents and not named by a person. Raises StoreError.

    Of another user, it is looked at only in that user's own folder: anybody can plant one in /tmp.
    """
    try:
        facts, folder = root.lstat(), root.parent.stat()
    except OSError as error:
        raise StoreError(f"cannot look into the store {root}: {error.strerror}") from None
    if facts.st_uid == os.geteuid():
        return
    whose = trust.person(facts.st_uid)
    if not looking or facts.st_uid != folder.st_uid or folder.st_mode & stat.S_IWOTH:
        raise StoreError(
            f"the store {root}, found above this folder, belongs to {whose}, not to you, and is not used: name yours "
            "with --store or ORCH_STORE, or make one here with 'mkdir -m 700 .orch'"
        )


def _check_stranger(root: Path, facts: os.stat_result, looking: bool) -> None:
    """Another user's store."""
    name = trust.person(facts.st_uid)
    owner = f"user id {facts.st_uid}" if name.startswith("user id") else f"user id {facts.st_uid} ({name})"
    start = f"the store {root} belongs to {owner}, not to you ({trust.person(os.geteuid())})"
    if not looking:
        raise StoreError(f"{start}, and only {name} changes it: use one of your own (--store)")
    if not stat.S_ISDIR(facts.st_mode) or not os.access(root, os.R_OK | os.X_OK, effective_ids=True):
        how = 'readable = "group" under [store] in orch.toml'
        raise StoreError(f"{start}: {name} lets colleagues look with {how}")


def check_inside(found: Admission, *, untold: bool) -> None:
    """The folders of a store that are the same in every one. Raises StoreError with the mend.

    `untold`: the store was made by an orch that left modes to the umask. Nobody else can have got into a folder that
    was its owner's alone, so there the modes are mended here and now.
    """
    layout = Layout(found.root)
    mend = untold and found.mine and not found.mode & 0o077
    if mend:
        _mend(layout)
    try:
        folders = [layout.runs, layout.journal, layout.submissions]
        kept = (layout.code / "software", layout.code / "origins")
        folders += [layout.code, *(one for one in kept if one.is_symlink() or one.is_dir())]  # what jobs will run
        groups = [layout.journal / name for name in names(layout.journal)]
        groups += [layout.runs / name for name in names(layout.runs) if name.isdigit()]
        folders += [one for one in groups if one.is_symlink() or not one.is_file()]  # a stray file holds no orders
        if found.group:  # else the store's own folder lets nobody get to these; what a program wrote is data
            deeper = [layout.submissions / name for name in names(layout.submissions)]
            deeper += [layout.code / name for name in names(layout.code) if not name.startswith(".")]
            folders += [one for one in deeper if one.is_symlink() or one.is_dir()]
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):
                trust.check_folder(folder, found.owner, inside=found.root)
    except OSError as error:  # a stale handle, a server that is down: it may pass
        raise StoreError(f"cannot look into the store {found.root}: {error.strerror}; repeat when it answers") from None


def _mend(layout: Layout) -> None:
    try:
        trust.tighten(layout.journal, group=False)
        for folder in (layout.runs, layout.submissions, *(layout.runs / name for name in names(layout.runs))):
            facts = folder.lstat()
            if stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid():
                folder.chmod(0o700 | facts.st_mode & stat.S_ISGID)
    except OSError:
        return  # a read-only disk: the check says what is wrong


def set_openness(found: Admission, *, group: bool) -> Admission:
    """Let the group look, or nobody: all modes below, then the store's own. Raises StoreError.

    Where others could get in until now, everything is looked at first.
    """
    if found.mode & 0o077 == (trust.GROUP_LOOKS if group else 0):
        return found
    try:
        if found.mode & 0o077:
            for path, facts in trust.everything(found.root):
                if stat.S_ISDIR(facts.st_mode):
                    trust.check_folder(path, found.owner, inside=found.root)
                elif stat.S_ISREG(facts.st_mode):
                    trust.check_file(path, found.owner)
        trust.tighten(found.root, group=group)
        mode = stat.S_IMODE(found.root.lstat().st_mode)
    except OSError as error:
        raise StoreError(f"cannot set who may look into {found.root}: {error.strerror}") from None
    return Admission(root=found.root, owner=found.owner, mode=mode)
