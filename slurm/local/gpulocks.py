"""Host-wide holds on shares of GPUs, common to all stores and users of this host.

One file for each hold, in a folder of its user's own: nobody else can write, take or remove it, and everybody reads it.
Whose a hold is says the owner of file and folder, never its text or name. A hold lives while the process lives that it
names, and that process must be its user's; before that process is started, while the launcher keeps the file locked
(flock(2)), a moment long. So a file alone holds nothing, and a lock that somebody puts on another's file neither.

Who wants a GPU announces that first and looks then: of two at once at least one sees the other. Both still waiting,
the lower ticket stays and the other withdraws; what is held is never given way to (Lamport's bakery, CACM 17:8, 1974).
No file is written by two users. Sizes are trusted to their user, who can hold no more than a GPU, by name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import msgspec

from jobs import hosts
from jobs.errors import BackendError
from jobs.trust import OTHERS_WRITE, ROOT, person
from slurm.backend import LimitReached
from slurm.local import holds, oldlocks, processes
from slurm.local.holds import Holder
from slurm.local.slots import Share

WAIT_SECONDS = 2.0
"""How long the lower ticket waits for the others to withdraw."""
_DEFAULT = "/tmp"
_FOLDER = re.compile(r"^orch-gpus-(\d+)(?:-[a-z0-9_]+)?\Z")


@dataclass(frozen=True)
class Tenant:
    """A share that is taken, or asked for."""

    share: Share
    holder: Holder | None
    """None where an old lock does not say."""

    @property
    def who(self) -> str:
        """Its user and process, for a sentence."""
        if self.holder is None:
            return "a job of an earlier orch"
        pid = f" (pid {self.holder.pid})" if self.holder.pid else ""
        return f"{person(self.holder.uid)}{pid}"


class GpuLocks:
    """The holds below one folder: ORCH_LOCK_DIR, or /tmp for everybody (TMPDIR may differ by user)."""

    def __init__(self, folder: Path | None = None) -> None:
        named = folder or (Path(os.environ["ORCH_LOCK_DIR"]) if os.environ.get("ORCH_LOCK_DIR") else None)
        self.folder = named or Path(_DEFAULT)
        self.old = named or Path(oldlocks.DEFAULT)
        self.oddities: dict[str, str] = {}
        """What lies there and is believed by nobody: path → why."""
        self._files: dict[int, Path] = {}

    def tenants(self, key: str) -> list[Tenant]:
        """The shares of the device with this key that somebody holds. Raises BackendError."""
        self._check_base()
        found = [one for one, _ in self._alive(key) if one.holder is not None and not one.holder.ticket]
        return sorted([*found, *self._old(key)], key=lambda one: one.share.index)

    def acquire(self, key: str, share: Share, token: str) -> int:
        """Take a share: the descriptor of the hold, to be handed to the worker. Raises LimitReached, BackendError."""
        self._check_base(make=True)
        ticket = secrets.randbelow(1 << 62) + 1
        handle, path = self._announce(holds.holder_here(key, share, token, ticket))
        try:
            self._settle(key, share, ticket, path)
            holds.write(handle, holds.holder_here(key, share, token))
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(handle)
            raise
        self._files[handle] = path
        return handle

    def started(self, handle: int, share: Share, token: str, pid: int, start: int) -> None:
        """Write down which worker has the share now: from here on it lives and ends with that."""
        old = holds.read(handle)
        if old is not None:
            holds.write(handle, msgspec.structs.replace(old, pid=pid, start=start))

    def _settle(self, key: str, share: Share, ticket: int, own: Path) -> None:
        """Wait until nobody else wants what we announced, or give way. Raises LimitReached."""
        end = time.monotonic() + WAIT_SECONDS
        while True:
            others = [one for one, path in self._alive(key) if path != own]
            rivals = _in_the_way(share, [*others, *self._old(key)], key)
            if not rivals:
                return
            names = ", ".join(sorted({one.who for one in rivals}))
            if any(one.holder is None or not one.holder.ticket or one.holder.ticket < ticket for one in rivals):
                raise LimitReached(
                    f"GPU {share.device} was taken by somebody else just now ({names}): it is tried again"
                )
            if time.monotonic() > end:
                raise LimitReached(f"GPU {share.device} is being asked for by {names}: it is tried again")
            time.sleep(0.01)

    def _check_base(self, *, make: bool = False) -> None:
        """The folder that all users share: root's or one's own, and nobody can rename what is another's in it."""
        try:
            if make and not self.folder.is_dir():
                self.folder.mkdir(parents=True, exist_ok=True)
                self.folder.chmod(0o1777)  # mkdir's own mode is cut by the umask
            facts = self.folder.lstat()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(error.strerror or "") from None
        if not stat.S_ISDIR(facts.st_mode):
            raise self._unusable("it is no folder of its own")
        if facts.st_uid not in (ROOT, os.geteuid()):
            raise self._unusable(f"it belongs to {person(facts.st_uid)}, who could remove other users' holds")
        if facts.st_mode & OTHERS_WRITE and not facts.st_mode & stat.S_ISVTX:
            raise self._unusable("others can write it and it is not sticky: chmod 1777")

    def _unusable(self, why: str) -> BackendError:
        return BackendError(
            f"the folder of GPU locks {self.folder} cannot be used ({why}): let root make it with mode 1777, or name "
            "another one in ORCH_LOCK_DIR, the same for everybody on this host"
        )

    def _announce(self, holder: Holder) -> tuple[int, Path]:
        """A file of our own, whole and locked from the moment that it has its name."""
        name = f"{_safe(holder.key)}.{holder.index}.{secrets.token_hex(8)}"
        try:
            folder = self._own_folder()
            draft = folder / f".{name}"
            handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            try:
                os.fchmod(handle, 0o644)
                fcntl.flock(handle, fcntl.LOCK_EX)
                holds.write(handle, holder)
                draft.rename(folder / name)
            except BaseException:
                os.close(handle)
                draft.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self._unusable(error.strerror or "") from None
        return handle, folder / name

    def _own_folder(self) -> Path:
        """This user's folder of holds; another name where somebody made one of that name before us."""
        me = os.geteuid()
        for folder, owner in self._folders():
            if owner == me:
                return folder
        try:
            made = self.folder / f"orch-gpus-{me}"
            made.mkdir(0o755)
        except FileExistsError:
            made = Path(tempfile.mkdtemp(prefix=f"orch-gpus-{me}-", dir=self.folder))
        made.chmod(0o755)
        return made

    def _folders(self) -> Iterator[tuple[Path, int]]:
        """Folders of holds and their users. What could be somebody else's doing is named and left alone."""
        try:
            names = sorted(entry.name for entry in os.scandir(self.folder))
        except OSError:
            return
        for name in names:
            if _FOLDER.match(name) is None:
                continue
            path = self.folder / name
            try:
                facts = path.lstat()
            except OSError:
                continue
            if not stat.S_ISDIR(facts.st_mode):
                self._odd(path, f"it is no folder ({person(facts.st_uid)} made it)")
            elif facts.st_mode & OTHERS_WRITE:
                self._odd(path, f"others than {person(facts.st_uid)} can write it")
            else:
                yield path, facts.st_uid

    def _alive(self, key: str) -> list[tuple[Tenant, Path]]:
        """All holds on a device that live, waiting ones too; our own dead ones are removed."""
        found = []
        prefix = f"{_safe(key)}."
        for folder, owner in self._folders():
            try:
                names = sorted(entry.name for entry in os.scandir(folder))
            except OSError:
                self._odd(folder, f"{person(owner)} lets nobody look into it")
                continue
            for name in names:
                if not name.startswith(prefix):
                    continue
                path = folder / name
                holder, locked = self._look(path, owner)
                if holder is None or holder.key != key:
                    continue
                if holds.lives(holder, locked):
                    found.append((Tenant(Share(key, holder.index, holder.parts), holder), path))
                elif owner == os.geteuid():
                    path.unlink(missing_ok=True)
        return found

    def _look(self, path: Path, owner: int) -> tuple[Holder | None, bool]:
        """A hold and whether somebody keeps its file locked; None for what is no hold of that user, by name."""
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None, False
        except OSError as error:
            self._odd(path, f"it cannot be read ({error.strerror})")
            return None, False
        try:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                self._odd(path, "it is no plain file")
            elif facts.st_uid != owner or facts.st_mode & OTHERS_WRITE:
                self._odd(path, f"it is not {person(owner)}'s alone")
            elif facts.st_size > holds.MOST_BYTES:
                self._odd(path, f"it has {facts.st_size} bytes")
            elif (holder := holds.read(handle)) is None:
                self._odd(path, "it says nothing of a hold")
            else:  # however many names it has: another user may link it, where the system lets him, and not write it
                if owner == os.geteuid():
                    with contextlib.suppress(OSError):
                        os.utime(path)  # keeps cleaners of old files in /tmp away
                return msgspec.structs.replace(holder, uid=owner), holds.is_locked(handle)
            return None, False
        finally:
            os.close(handle)

    def _old(self, key: str) -> list[Tenant]:
        """Locks that workers of the version before still hold: respected for one version (docs/local.md)."""
        found = []
        for one in oldlocks.held(self.old, _safe(key)):
            holder = Holder(
                format=1,
                key=key,
                index=one.index,
                parts=one.parts,
                token=one.token,
                uid=one.uid,
                boot_id=hosts.boot_id(),
                namespace=processes.namespace(),
                pid=one.pid,
            )
            found.append(Tenant(Share(key, one.index, one.parts), holder))
        return found

    def _odd(self, path: Path, why: str) -> None:
        self.oddities.setdefault(str(path), f"{path} is not taken for a hold on a GPU: {why}; remove it")


def _in_the_way(share: Share, others: list[Tenant], key: str) -> list[Tenant]:
    """Those without whom the share could be had; none where it fits beside all of them."""
    same = [one for one in others if one.share.index == share.index]
    if sum((one.share.size for one in others), Fraction(0)) + share.size > 1:
        return others
    return same


def _safe(key: str) -> str:
    """A device's key as part of a file's name (old MIG names have slashes)."""
    return re.sub(r"[^A-Za-z0-9-]", "_", key)
