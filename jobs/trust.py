"""Whom orch believes: what it reads orders from belongs to its user (or to root), and nobody else can write it.

A file's mode says who can write it; of an access control list the mode shows the mask, which is the most that any
entry of it gives (acl(5)), so such a list is seen here too. Links are looked at themselves and never followed: a
`chmod` that follows one would change what somebody else chose.
"""

from __future__ import annotations

import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from jobs.errors import OrchError, StoreError

OTHERS_WRITE = 0o022
GROUP_LOOKS = 0o050
ROOT = 0


def person(uid: int) -> str:
    """A user by name, for a sentence; 'user id 12345' where nobody has that id."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"


def kind(mode: int) -> str:
    """What lies there, for a sentence."""
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a folder" if stat.S_ISDIR(mode) else "a file" if stat.S_ISREG(mode) else "neither a file nor a folder"


def quoted(path: Path) -> str:
    """A path for a command line that a person may paste."""
    return shlex.quote(str(path))


def check_folder(path: Path, owner: int, *, inside: Path | None = None) -> os.stat_result:
    """A folder of `owner` that nobody else can write, itself and no link. `inside`: the store, for the mend.

    Raises StoreError with the mend, FileNotFoundError.
    """
    facts = path.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        raise StoreError(
            f"{path} is {kind(facts.st_mode)}, not a folder that orch made: remove it, or move the whole store and "
            "name it with --store"
        )
    _check(path, facts, owner, inside)
    return facts


def check_file(path: Path, owner: int) -> os.stat_result:
    """A plain file of `owner` that nobody else can write. Raises StoreError with the mend, FileNotFoundError."""
    facts = path.lstat()
    if not stat.S_ISREG(facts.st_mode):
        raise StoreError(f"{path} is {kind(facts.st_mode)}, not a file that orch wrote: remove it")
    _check(path, facts, owner, None)
    return facts


def _check(path: Path, facts: os.stat_result, owner: int, inside: Path | None) -> None:
    if facts.st_uid != owner:
        raise StoreError(
            f"{path} belongs to {person(facts.st_uid)}, not to {person(owner)}, so it is not believed: look what it "
            f"is, and remove it or take it over with 'chown -h {person(owner)} {quoted(path)}'"
        )
    if facts.st_mode & OTHERS_WRITE:
        mend = f"chmod -R go-w {quoted(inside)}" if inside else f"chmod go-w {quoted(path)}"
        raise StoreError(
            f"{path} can be written by others (mode {stat.S_IMODE(facts.st_mode):o}), who could give orders in your "
            f"name: look whether somebody did, then run '{mend}'"
        )


def read(path: Path, owner: int | None = None) -> bytes:
    """The content of a plain file that belongs to `owner` (default: this user) or root, looked at through its handle.

    Raises OSError, and StoreError where somebody else wrote it or could have.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:  # noqa: PTH123 (a descriptor)
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise StoreError(f"{path} is {kind(facts.st_mode)}, not a file that orch wrote: remove it")
        if facts.st_uid != ROOT:
            _check(path, facts, os.geteuid() if owner is None else owner, None)
        return file.read()


def check_orders(path: Path, error: type[OrchError], owners: frozenset[int] = frozenset()) -> bool:
    """Whether a file with a person's orders (orch.toml) is there; it must be theirs or root's, its folder too.

    In a sticky folder such as /tmp nobody can replace another's file. `owners`: who else is believed. Raises `error`
    with the mend.
    """
    believed = {os.geteuid(), ROOT, *owners}
    try:
        facts = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}") from None
    links = 0
    while True:
        if facts.st_uid not in believed:
            raise error(
                f"{path} belongs to {person(facts.st_uid)}, not to you, so it is not read: remove it, or work in a "
                "folder of your own"
            )
        _check_orders_folder(path.parent, error)
        if not stat.S_ISLNK(facts.st_mode):
            break
        links += 1
        try:
            path = path.parent / path.readlink()
            facts = path.lstat()
        except OSError as problem:
            raise error(f"{path} cannot be read: {problem.strerror}") from None
        if links > 10:
            raise error(f"{path} is a link in a circle: remove it")
    if not stat.S_ISREG(facts.st_mode):
        raise error(f"{path} is {kind(facts.st_mode)}, not a file: remove it")
    if facts.st_mode & OTHERS_WRITE:
        raise error(
            f"{path} can be written by others (mode {stat.S_IMODE(facts.st_mode):o}), so it is not read: look whether "
            f"somebody did, then run 'chmod go-w {quoted(path)}'"
        )
    return True


def _check_orders_folder(folder: Path, error: type[OrchError]) -> None:
    facts = folder.stat()
    if facts.st_mode & OTHERS_WRITE and not facts.st_mode & stat.S_ISVTX:
        raise error(
            f"others can write the folder {folder} (mode {stat.S_IMODE(facts.st_mode):o}) and so replace its "
            f"orch.toml, which is not read: run 'chmod go-w {quoted(folder)}', or work in a folder of your own"
        )


def everything(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything below a folder, deepest first, the folder itself last; links are named and never followed."""
    for place, folders, files in os.walk(root, topdown=False):
        for name in (*folders, *files):
            path = Path(place, name)
            try:
                yield path, path.lstat()
            except FileNotFoundError:
                continue
    yield root, root.lstat()


def tighten(root: Path, *, group: bool) -> None:
    """Give everything below `root` to its owner alone (0600, 0700), or to look at for the group too (0640, 0750).

    Raises OSError, FileNotFoundError where the folder is not there.
    """
    look = 0o040 if group else 0
    for path, facts in everything(root):
        mode = stat.S_IMODE(facts.st_mode)
        if stat.S_ISDIR(facts.st_mode):
            wanted = 0o700 | (GROUP_LOOKS if group else 0) | mode & stat.S_ISGID
        elif stat.S_ISREG(facts.st_mode):
            wanted = 0o600 | mode & 0o100 | look | (mode & 0o100) >> 3 & (look >> 2)
        else:
            continue
        if mode != wanted and facts.st_uid == os.geteuid():
            path.chmod(wanted)


def group_looks(folder: Path) -> bool:
    """Whether the group may look into a folder."""
    return bool(folder.stat().st_mode & 0o040)


def programs_umask(folder: Path) -> int:
    """The umask of a user's program: the user's own, whose files elsewhere are theirs to share.

    Where the group looks into the run folder, the program's files there must not be the group's to write.
    """
    own = os.umask(0o077)
    os.umask(own)
    return own | OTHERS_WRITE if group_looks(folder) else own
