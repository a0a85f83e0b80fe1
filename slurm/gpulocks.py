"""Host-wide locks on shares of GPUs, common to all stores and users of this host.

One file per share, locked with flock(2). The worker itself holds the lock, through a descriptor that it inherits, so
the lock outlives the supervisor and goes with the worker. The file says who holds it, so that children which outlived
a killed worker still count. Files lie in a world-writable sticky folder like /tmp; whatever another user puts there is
never followed (symbolic or hard links), and at worst keeps a GPU from being used.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from jobs.errors import BackendError
from slurm import processes
from slurm.backend import LimitReached
from slurm.slots import Share

GUARD_SECONDS = 2.0
_DEFAULT = "/tmp/orch-gpu-locks"


class Holder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a lock file says of who took it."""

    format: int = 1
    token: str
    parts: int
    uid: int
    boot_id: str
    namespace: int
    """Of pids: a pid of another container says nothing here."""
    pid: int | None = None
    """The worker, which leads its session; None until it was started."""
    start: int | None = None


@dataclass(frozen=True)
class Tenant:
    """A share that is taken."""

    share: Share
    holder: Holder | None
    """None where the file does not say."""


class GpuLocks:
    """The locks in one folder: ORCH_LOCK_DIR, or the same folder in /tmp for everybody (TMPDIR may differ by user)."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(os.environ.get("ORCH_LOCK_DIR") or _DEFAULT)

    def tenants(self, key: str) -> list[Tenant]:
        """The shares of the device with this key that somebody holds. Raises BackendError."""
        with self._opened() as folder:
            return self._tenants(folder, key)

    def acquire(self, key: str, share: Share, token: str) -> int:
        """Take a share: the descriptor that holds it, to be handed to the worker. Raises LimitReached, BackendError."""
        with self._opened() as folder, self._guard(folder, key):
            taken = self._tenants(folder, key)
            if sum(tenant.share.size for tenant in taken) + share.size > 1 or any(
                tenant.share.index == share.index for tenant in taken
            ):
                raise LimitReached(f"GPU {share.device} was taken by somebody else just now: it is tried again")
            handle = self._file(folder, f"{_safe(key)}.{share.index}", create=True)
            assert handle is not None
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._write(handle, _holder(token, share))
            except BlockingIOError:
                os.close(handle)
                raise LimitReached(f"GPU {share.device} is being looked at just now: it is tried again") from None
            except BaseException:
                os.close(handle)
                raise
            return handle

    def started(self, handle: int, share: Share, token: str, pid: int, start: int) -> None:
        """Write down which worker holds the lock now."""
        self._write(handle, _holder(token, share, pid, start))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """The folder, made where it is missing, open: names in it are then never looked up through a link."""
        with contextlib.suppress(OSError):  # what is wrong is said by the attempt to open it
            self.folder.mkdir(parents=True)
            self.folder.chmod(0o1777)  # mkdir's own mode is cut by the umask
        try:
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise BackendError(
                f"the folder of GPU locks {self.folder} cannot be used ({error.strerror}): remove it, or name another "
                "one in ORCH_LOCK_DIR, the same for everybody on this host"
            ) from None
        try:
            yield folder
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _guard(self, folder: int, key: str) -> Iterator[None]:
        """Looking and taking are one step: two stores never take the two halves of a GPU that one wants whole."""
        handle = self._file(folder, f"{_safe(key)}.guard", create=True)
        assert handle is not None
        try:
            end = time.monotonic() + GUARD_SECONDS
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise LimitReached(f"somebody else is taking GPU {key} just now: it is tried again") from None
                    time.sleep(0.01)
            yield
        finally:
            os.close(handle)

    def _file(self, folder: int, name: str, *, create: bool) -> int | None:
        """A lock file, open. None where it is missing and not to be made. Raises BackendError for what is no file."""
        # O_CREAT only with O_EXCL: Linux refuses a plain O_CREAT of another user's file there (fs.protected_regular)
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            while True:
                try:
                    handle = os.open(name, flags, dir_fd=folder)
                    break
                except FileNotFoundError:
                    if not create:
                        return None
                with contextlib.suppress(FileExistsError):
                    handle = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=folder)
                    os.fchmod(handle, 0o666)
                    break
        except OSError as error:
            raise BackendError(
                f"the GPU lock {self.folder / name} cannot be opened ({error.strerror}): ask its owner or the "
                "administrator to remove it"
            ) from None
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            os.close(handle)
            raise BackendError(f"{self.folder / name} is no plain file of orch: remove it")
        return handle

    def _tenants(self, folder: int, key: str) -> list[Tenant]:
        found = []
        pattern = re.compile(re.escape(_safe(key)) + r"\.(\d+)$")
        for name in sorted(os.listdir(folder)):
            match = pattern.match(name)
            handle = self._file(folder, name, create=False) if match else None
            if match is None or handle is None:
                continue
            try:
                holder = self._read(handle)
                if self._locked(handle) or (holder is not None and _lingers(holder)):
                    os.utime(handle)  # keeps cleaners of old files in /tmp away from a lock that is held
                    parts = holder.parts if holder is not None else 1
                    found.append(Tenant(Share(key, int(match.group(1)), parts), holder))
                elif holder is not None:
                    self._clear(handle)
            finally:
                os.close(handle)
        return found

    @staticmethod
    def _locked(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look do not see each other
        except BlockingIOError:
            return True
        fcntl.flock(handle, fcntl.LOCK_UN)
        return False

    @staticmethod
    def _clear(handle: int) -> None:
        """Forget a holder that has gone, so that whoever gets its pid later is not taken for it."""
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)

    @staticmethod
    def _read(handle: int) -> Holder | None:
        try:
            return msgspec.json.decode(os.pread(handle, 4096, 0), type=Holder)
        except (OSError, msgspec.DecodeError):
            return None

    @staticmethod
    def _write(handle: int, holder: Holder) -> None:
        data = msgspec.json.encode(holder) + b"\n"
        os.pwrite(handle, data, 0)
        os.ftruncate(handle, len(data))


def _holder(token: str, share: Share, pid: int | None = None, start: int | None = None) -> Holder:
    return Holder(
        token=token,
        parts=share.parts,
        uid=os.getuid(),
        boot_id=processes.boot_id(),
        namespace=processes.namespace(),
        pid=pid,
        start=start,
    )


def _lingers(holder: Holder) -> bool:
    """Whether anything of the holder's session still runs here, although nobody holds the lock any more."""
    if holder.pid is None or holder.start is None:
        return False
    if (holder.boot_id, holder.namespace) != (processes.boot_id(), processes.namespace()):
        return False
    now = processes.process(holder.pid)
    if now is not None and now.start != holder.start:
        return False
    return any(
        one.session == holder.pid and one.start >= holder.start and processes.token_of(one.pid) in (None, holder.token)
        for one in processes.processes()
    )


def _safe(key: str) -> str:
    """A device's key as part of a file's name (old MIG names have slashes)."""
    return re.sub(r"[^A-Za-z0-9-]", "_", key)
