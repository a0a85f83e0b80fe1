"""Which Python a program will use, and what is installed there: kept with a submit, once per content.

The interpreter is asked itself, once, and again only after its folders of packages changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from jobs.files import make_folder, read_json, write_bytes, write_json
from jobs.records import Record

SECONDS = 20.0
_PYTHON = re.compile(r"^(python|pypy)[\d.]*$")
_PROBE = r"""
import glob, importlib.metadata as m, json, os, platform, re, sys
editable, seen = {}, set()
def freeze():
    for d in m.distributions():
        try:
            name, version = d.metadata["Name"], d.version
            direct = d.read_text("direct_url.json")
        except Exception:
            continue
        same = re.sub("[-_.]+", "-", name or "").lower()
        if name and same not in seen:  # the first one on sys.path is the one that is imported
            seen.add(same)
            url = json.loads(direct) if direct else {}
            commit = url.get("vcs_info", {}).get("commit_id", "")
            where = re.sub(r"//[^/@]*@", "//", url.get("url") or "")
            at = " @ " + where + ("@" + commit if commit else "") if where else ""
            yield name + "==" + str(version) + at
            if url.get("dir_info", {}).get("editable"):
                editable[name] = url["url"]
def conda():
    for prefix in dict.fromkeys((sys.prefix, sys.base_prefix)):
        found = sorted(glob.glob(os.path.join(glob.escape(prefix), "conda-meta", "*.json")))
        for path in found:
            try:
                with open(path, encoding="utf-8") as file:
                    record = json.load(file)
            except Exception:
                continue
            md5 = record.get("md5") or ""
            where = re.sub(r"//[^/@]*@", "//", record.get("url") or "")
            where = re.sub(r"/t/[^/]+/", "/t/<TOKEN>/", where)
            yield (where or os.path.basename(path)[:-5]) + ("#" + md5 if md5 else "")
        if found:
            return
def mapped():
    for finder in sys.meta_path:
        module = sys.modules.get(getattr(finder, "__module__", ""))
        for path in (getattr(module, "MAPPING", None) or {}).values():
            yield os.path.dirname(os.path.abspath(path))
        for places in (getattr(module, "NAMESPACES", None) or {}).values():
            for path in places:
                yield os.path.dirname(os.path.abspath(path))
packages = sorted(set(freeze()), key=str.lower)
print(json.dumps({
    "python": platform.python_implementation() + " " + platform.python_version(),
    "packages": packages, "editable": editable,
    "paths": [p for p in sys.path if p], "mapped": sorted(set(mapped())), "conda": list(conda()),
    "watched": [os.path.join(prefix, "conda-meta") for prefix in dict.fromkeys((sys.prefix, sys.base_prefix))],
}))
"""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an interpreter says of itself."""

    python: str
    packages: tuple[str, ...]
    paths: tuple[str, ...]
    """Its sys.path."""
    mapped: tuple[str, ...]
    """Folders that editable installs map packages to without sys.path."""
    editable: dict[str, str]
    """Package → URL of the folder of which it is an editable install."""
    conda: tuple[str, ...]
    """As `conda list --explicit --md5` says it, where it is conda's."""
    watched: tuple[str, ...]
    """More folders that change with what is installed."""


class Software(Record, frozen=True, kw_only=True):
    """`code/software/<hash>.json`: what a program ran with, besides its own code."""

    python: str
    packages: tuple[str, ...]
    conda: tuple[str, ...] = ()
    driver: str | None = None
    """NVIDIA's kernel driver on the submitting host."""
    lock: str = ""
    """The project's uv.lock: `code/software/<lock>.uv.lock`."""


class Asked(msgspec.Struct, kw_only=True):
    """`code/software/cache-….json`: an interpreter's answer, and the times of the folders that it holds for."""

    key: str
    times: dict[str, int]
    answer: Answer


def interpreter(argv: Sequence[str], environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The Python that would run the command: named, or in the first line of a script, else what a shell would find.

    None where there is none.
    """
    if not argv:
        return None
    return named(argv[0], environ, cwd) or found("python", environ, cwd) or found("python3", environ, cwd)


def named(program: str, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The Python that a program is, or that the first line of a script names. None where it is none."""
    path = found(program, environ, cwd)
    if path is None or is_python(path.name):
        return path
    return _of_script(path, environ, cwd)


def _of_script(program: Path, environ: Mapping[str, str], cwd: Path) -> Path | None:
    try:
        with program.open("rb") as handle:
            line = handle.readline(1000)
    except OSError:
        return None
    if not line.startswith(b"#!"):
        return None
    words = shlex.split(os.fsdecode(line[2:].strip()))
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-")]
    python = found(words[0], environ, cwd) if words else None
    return python if python is not None and is_python(python.name) else None


def is_python(program: str) -> bool:
    """Whether a program is called like a Python."""
    return _PYTHON.match(Path(program).name) is not None


def parts(argv: Sequence[str]) -> tuple[list[str], str, list[str]] | None:
    """A Python's command line: (it and its options; 'script', 'module' or 'code'; that one and its arguments).

    None where none of the three is named (python(1): the program is read from the terminal, then).
    """
    place = 1
    while place < len(argv):
        word = argv[place]
        if not word.startswith("-"):
            return list(argv[:place]), "script", list(argv[place:])
        if word in ("-", "--"):
            return None
        if word.startswith("--"):
            place += word == "--check-hash-based-pycs"
            word = ""
        for number, letter in enumerate(word[1:], start=1):
            rest = word[number + 1 :]
            if letter in "cm":
                before = [word[:number]] if number > 1 else []
                told = [rest] if rest else []
                told += argv[place + 1 :]
                how = "code" if letter == "c" else "module"
                return ([*argv[:place], *before], how, told) if told else None
            if letter in "WX":
                place += not rest
                break
        place += 1
    return None


def found(program: str, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The file of a program, by its path or on the PATH of that environment."""
    if "/" in program:
        path = cwd / program
        return path if os.access(path, os.X_OK) else None
    path_of = shutil.which(program, path=environ.get("PATH", os.defpath))
    return Path(path_of) if path_of else None


def ask(code: Path, python: Path, environ: Mapping[str, str]) -> Answer | None:
    """What that interpreter says, from the cache where its folders did not change. None where it does not answer."""
    key = "\0".join(("4", str(python), environ.get("PYTHONPATH", ""), environ.get("VIRTUAL_ENV", "")))
    cache = code / "software" / f"cache-{hashlib.sha256(os.fsencode(key)).hexdigest()[:12]}.json"
    known = read_json(cache, Asked)
    if known is not None and known.key == _quoted(key) and known.times == _times(known.times, python):
        return known.answer
    given = {**environ, "PYTHONSAFEPATH": "1"}
    try:
        done = subprocess.run(
            [str(python), "-c", _PROBE], capture_output=True, timeout=SECONDS, env=given, cwd="/", check=False
        )
        answer = msgspec.json.decode(done.stdout, type=Answer)
    except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError):
        return None
    asked = Asked(key=_quoted(key), times=_times((*answer.paths, *answer.watched), python), answer=answer)
    with contextlib.suppress(OSError):
        make_folder(cache.parent)
        write_json(cache, asked, durable=False)
    return answer


def _quoted(text: str) -> str:
    return os.fsencode(text).decode(errors="backslashreplace")


def _times(paths: Sequence[str] | Mapping[str, int], python: Path) -> dict[str, int]:
    """Folder or file → its time in ns; 0 where it is not there."""
    found = {}
    for path in {*paths, str(python)}:
        try:
            found[path] = Path(path).stat().st_mtime_ns
        except OSError:
            found[path] = 0
    return found


def software(answer: Answer, lock: str = "") -> Software:
    """What is installed, from the interpreter's answer."""
    return Software(python=answer.python, packages=answer.packages, conda=answer.conda, driver=driver(), lock=lock)


def version_of(name: str, packages: Sequence[str]) -> str:
    """The version of one package of such a list; empty where it is not there."""
    return next((line.partition("==")[2].partition(" @ ")[0] for line in packages if line.startswith(f"{name}==")), "")


def keep(code: Path, answer: Answer, lock: Path | None) -> str:
    """Keep what is installed, once per content: its hash. `lock`: the project's uv.lock. Raises OSError."""
    name, data = named_lock(lock)
    if name and not lock_of(code, name).exists():
        make_folder(code / "software")
        write_bytes(lock_of(code, name), data)
    found = software(answer, name)
    digest = hashlib.sha256(msgspec.json.encode(found, order="sorted")).hexdigest()[:32]
    path = code / "software" / f"{digest}.json"
    if not path.exists():
        make_folder(path.parent)
        write_json(path, found)
    return digest


def lock_of(code: Path, name: str) -> Path:
    """Where a kept uv.lock lies."""
    return code / "software" / f"{name}.uv.lock"


def named_lock(lock: Path | None) -> tuple[str, bytes]:
    """The name and the content of a uv.lock; nothing where there is none. Raises OSError."""
    if lock is None:
        return "", b""
    data = lock.read_bytes()
    return hashlib.sha256(data).hexdigest()[:32], data


def lock_beside(folder: Path, root: Path) -> Path | None:
    """The nearest uv.lock of a working folder, up to the root of its tree."""
    for here in (folder, *folder.parents):
        if (here / "uv.lock").is_file():
            return here / "uv.lock"
        if here == root:
            return None
    return None


def driver() -> str | None:
    """The version of NVIDIA's kernel driver here."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        return None
    match = re.search(r"Kernel Module.*?(\d+\.\d+(?:\.\d+)?)", text)
    return match.group(1) if match else None


def inside(answer: Answer, root: Path, outside: Sequence[str]) -> tuple[str, ...]:
    """Folders below `root` that the interpreter imports from, relative to it, but for those in `outside` (a .venv)."""
    left = [root / path for path in outside]
    found = dict.fromkeys(Path(os.path.realpath(path)) for path in (*answer.paths, *answer.mapped))
    return tuple(
        path.relative_to(root).as_posix()
        for path in found
        if path.is_relative_to(root) and not any(path.is_relative_to(item) for item in left)
    )
