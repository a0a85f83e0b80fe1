"""How a mirror is reached: `rsync`, on this machine or through ssh; its errors as sentences."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jobs.errors import StoreError
from orchestrator.mirroring.place import Place

SSH = "ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15 -o ServerAliveCountMax=3"
SILENT_SECONDS = 60
"""A transfer that moves nothing for so long has failed."""
INCOMING = ".incoming"
"""Where files lie in the mirror until they are whole: what a killed rsync leaves is found there, and removed."""
VANISHED = 24
_PR_SET_PDEATHSIG = 1


class MirrorError(StoreError):
    """A mirror cannot be used; the store itself is not harmed."""


class Unreachable(MirrorError):
    """Nobody can say what is in the mirror."""


class NoMirror(MirrorError):
    """There is no folder."""


def _with_parent() -> None:
    """In the child: die with the process that waits for it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _run(
    place: Place, arguments: Sequence[str], names: Iterable[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """One rsync. Raises MirrorError unless it ended well."""
    program = shutil.which("rsync")
    if program is None:
        raise Unreachable("rsync is not installed here, and mirrors are copied by it: install it (package rsync)")
    command = [program, "--secluded-args", f"--timeout={SILENT_SECONDS}", "--rsh", SSH]
    if names is not None:
        command += ["--from0", "--files-from=-"]
    listed = "" if names is None else "".join(f"{name}\0" for name in names)
    done = subprocess.run(
        [*command, *arguments],
        input=listed.encode(errors="surrogateescape"),
        capture_output=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        preexec_fn=_with_parent,
        check=False,
    )
    out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    if done.returncode not in (0, VANISHED):
        raise wrong(place, done.returncode, err)
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def wrong(place: Place, code: int, said: str) -> MirrorError:
    """What an rsync that failed says of the mirror, as one sentence. Pure."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    text = "; ".join(lines)
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return MirrorError(
            f"the mirror {place} is full: make room there; what its last complete round holds stays usable"
        )
    if place.host and ("command not found" in text or "rsync: not found" in text):
        return Unreachable(f"rsync is not installed on {place.host}: install it there (package rsync)")
    if place.host and (code == 255 or (code == 12 and "unexpectedly closed" in text and "ssh:" in text)):
        asked = [line for line in lines if not line.startswith(("rsync", "[")) and "unexpectedly closed" not in line]
        return Unreachable(f"{place.host} cannot be reached by ssh: {(asked or lines or ['no reason was given'])[-1]}")
    if re.search(r"(change_dir|link_stat|mkdir) \S*.*No such file or directory", text):
        return NoMirror(f"there is no folder {place}: make it, or mount its disk")
    shown = [line for line in lines if not line.startswith(("rsync error", "rsync warning"))]
    return MirrorError(f"rsync to {place} ended with {code}: {(shown or lines or ['no reason was given'])[0]}")


def push(
    root: Path, place: Place, names: Sequence[str], *, limit: int | None = None, must: bool = False, safe: bool = False
) -> tuple[int, int]:
    """Copy these paths below `root` (those that end in '/': all in it): (files, bytes) that were new.

    `limit`: bytes a second. `must`: none may be missing here. `safe`: they have reached the disk before this returns,
    where the other side's rsync knows how.
    """
    if not names:
        return 0, 0
    if not root.is_dir():
        raise MirrorError(f"the store {root} is gone, so its mirror stays as it was")
    arguments = ["--archive", "--recursive", "--no-owner", "--no-group", "--no-devices", "--no-specials", "--stats"]
    arguments += ["--modify-window=-1", f"--temp-dir={INCOMING}", *([] if must else ["--ignore-missing-args"])]
    arguments += [f"--bwlimit={max(1, limit // 1024)}"] if limit else []
    places = [f"{root}/", place.argument]
    try:
        done = _run(place, [*arguments, *(["--fsync"] if safe else []), *places], names)
    except MirrorError as error:
        if not safe or "--fsync" not in str(error):
            raise
        done = _run(place, [*arguments, *places], names)
    return _count(done.stdout, "Number of regular files transferred"), _count(
        done.stdout, "Total transferred file size"
    )


def _count(stats: str, line: str) -> int:
    found = re.search(rf"^{line}: ([\d,.]+)", stats, re.MULTILINE)
    return int(re.sub(r"\D", "", found[1])) if found else 0


def begin(stage: Path, place: Place) -> None:
    """Make the mirror's folder (not those above it) and the empty one for what is on its way; send what is staged.

    What lies there already under a staged name stays.
    """
    (stage / INCOMING).mkdir(exist_ok=True)
    arguments = ["--recursive", "--perms", "--delete", "--filter=protect /*", "--ignore-existing"]
    _run(place, [*arguments, f"{stage}/", place.argument])


def pull_top(place: Place, names: Sequence[str], into: Path) -> None:
    """Fetch those files of the mirror's own folder that are there. Raises NoMirror, Unreachable, MirrorError."""
    wanted = [f"--include=/{name}" for name in names]
    _run(place, ["--recursive", "--times", *wanted, "--exclude=*", place.argument, f"{into}/"])


def pull(place: Place, into: Path, without: Sequence[str]) -> None:
    """Fetch everything but those names of the mirror's own folder."""
    arguments = ["--archive", "--no-owner", "--no-group", "--no-devices", "--no-specials", "--chmod=D700,u+rw,go-w"]
    _run(place, [*arguments, *(f"--exclude=/{name}" for name in without), place.argument, f"{into}/"])


def listed(place: Place) -> list[tuple[str, str]]:
    """(mode, name) of what lies in the mirror's folder, itself as '.'. Raises NoMirror, Unreachable, MirrorError."""
    told = _run(place, ["--list-only", "--dirs", place.argument]).stdout
    rows = (line.split(None, 4) for line in told.splitlines())
    return [(row[0], row[4]) for row in rows if len(row) == 5]


def differing(root: Path, place: Place, names: Sequence[str]) -> list[str]:
    """The files among these whose bytes the mirror does not have, or has otherwise: all are read, on both sides."""
    arguments = ["--archive", "--recursive", "--no-owner", "--no-group", "--no-perms", "--no-times", "--omit-dir-times"]
    arguments += ["--dry-run", "--checksum", "--ignore-missing-args", "--out-format=%i %n"]
    told = _run(place, [*arguments, f"{root}/", place.argument], names).stdout
    rows = (line.split(" ", 1) for line in told.splitlines())
    return [row[1] for row in rows if len(row) == 2 and row[0][:1] in "<>" and row[0][1:2] == "f"]


def remove(place: Place, names: Sequence[str]) -> None:
    """Remove these files of the mirror."""
    if not names:
        return
    with _empty() as nothing:
        for name in names:
            (nothing / name).parent.mkdir(parents=True, exist_ok=True)
        _run(place, ["--recursive", "--delete-missing-args", f"{nothing}/", place.argument], names)


@contextmanager
def _empty() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="orch-mirror-") as folder:
        yield Path(folder)
