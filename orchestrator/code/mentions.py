"""What a command line names of a tree: other paths into it, and what it names that a snapshot does not keep."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from jobs.node import interpreter, redirection
from jobs.node.interpreter import Answer, is_python
from jobs.node.redirection import Held
from jobs.odd import from_text
from jobs.snapshots import Origin, Snapshot

MOST = 4
"""Sentences about what is not kept."""
AS_IT_WILL_BE = "its code is what it will be when a job starts"
_SYSTEM = tuple(Path(name) for name in ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/nix", "/snap"))


def paths_in(word: str) -> Iterator[str]:
    """The texts in an argument that may be a path: the whole, what follows '=', parts between ':' and ','."""
    yield word
    value = word.partition("=")[2]
    if value:
        yield value
    for part in (value or word).replace(":", ",").split(","):
        if part and part not in (word, value):
            yield part


def aliases(root: Path, shown_root: str, words: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Absolute paths, not below `root`, that lead into it → where, in it: through links, or before a move.

    `words` are the arguments, `environ` is what the program is given.
    """
    found = {str(root): ""} if not Path(shown_root).is_absolute() else {}
    given = [part for value in environ.values() for part in value.split(os.pathsep)]
    for text in (*given, *(path for word in words for path in paths_in(word))):
        path = Path(text)
        if not path.is_absolute() or path.is_relative_to(root):
            continue
        for prefix in (*reversed(path.parents), path):
            real = Path(os.path.realpath(prefix))
            if real.is_relative_to(root):
                found[str(prefix)] = "" if real == root else real.relative_to(root).as_posix()
                break
    return found


def remarks(
    words: Sequence[str],
    given: Mapping[str, str],
    environ: Mapping[str, str],
    cwd: Path,
    root: Path,
    snapshot: Snapshot,
    origin: Origin,
) -> list[str]:
    """What arguments, `--env` (`given`) and PYTHONPATH name of files that are not those of the snapshot."""
    outside = [from_text(path) for path in origin.outside]
    roots = {str(root): "", **{from_text(path): from_text(place) for path, place in origin.aliases.items()}}
    found = not_kept([*words, *given.values()], cwd, root, outside) + search_path(environ, root)
    return found + stays(words, given, redirection.held(snapshot.paths, roots))


def not_kept(argv: Sequence[str], cwd: Path, root: Path, outside: Sequence[str]) -> list[str]:
    """Files that the command names and that are read as they will be then: outside the tree, or left out of it."""
    named: dict[str, None] = {}
    left = [root / path for path in outside]
    for place, word in enumerate(argv):
        if place == 0 and ("/" not in word or _is_a_tool(cwd / word)):
            continue
        for text in paths_in(word):
            path = Path(os.path.normpath(cwd / text))
            try:
                there = path.is_file()
            except (OSError, ValueError):
                continue
            real = Path(os.path.realpath(path))
            if there and "/" in text and not path.is_relative_to(root) and not real.is_relative_to(root):
                named[f"{path} lies outside {root}"] = None
            elif there and any(path.is_relative_to(item) for item in left):
                named[f"{path} is left out of the code (ignored)"] = None
    found = [f"not kept: {text}, and is read as it will be when a job starts" for text in named]
    if len(found) > MOST:
        found = [*found[: MOST - 1], f"not kept: {len(found) - MOST + 1} more files that the command names"]
    return found


def stays(words: Sequence[str], given: Mapping[str, str], kept: Held) -> list[str]:
    """What arguments and `--env` name of the submitted tree and what still leads to the folder itself: no file of it.

    That is a folder in a variable, or inside other text (`bash -c "cd /home/me/project && …"`).
    """
    found: dict[str, None] = {}
    for word in words:
        whole = set(paths_in(word))  # these are pointed into an execution's tree
        for start, end in kept.mentions(word):
            if word[start:end] not in whole and _is_live(word[start:end], kept):
                found[f"{word[start:end]} inside a longer argument leads"] = None
    for name, value in given.items():
        if name in (*redirection.SEARCHED, "PYTHONPATH"):
            continue
        for start, end in kept.mentions(value):
            if _is_live(value[start:end], kept):
                found[f"{value[start:end]} in --env {name} leads"] = None
    return [f"not kept: {text} to the folder itself, and not to the code that was kept" for text in found][:MOST]


def _is_live(path: str, kept: Held) -> bool:
    """Whether something lies there that holds files of the tree."""
    return kept.file(path) is None and kept.folder(path.rstrip("/") or "/") is not None


def _is_a_tool(program: Path) -> bool:
    """Whether it is an interpreter, of an environment or of the system: no code of the person's."""
    if is_python(program.name) or any(program.is_relative_to(folder) for folder in _SYSTEM):
        return True
    home = program.parent.parent
    return (home / "pyvenv.cfg").exists() or (home / "conda-meta").exists()


def search_path(environ: Mapping[str, str], root: Path) -> list[str]:
    """Folders of the person's own on PYTHONPATH that lie outside the tree."""
    found = []
    for text in environ.get("PYTHONPATH", "").split(os.pathsep):
        path = Path(os.path.realpath(text)) if text else root
        if not path.is_relative_to(root) and path.is_dir() and path.stat().st_uid == os.geteuid():
            found.append(f"not kept: {path} on PYTHONPATH lies outside {root}: {AS_IT_WILL_BE}")
    return list(dict.fromkeys(found))


def not_redirected(answer: Answer, root: Path, kept: Sequence[str]) -> list[str]:
    """Editable installs whose code a job imports as it will be then: of other folders, or by a hook of their own."""
    found = []
    places = [root / path for path in kept]
    for name, url in sorted(answer.editable.items()):
        if name == "orch":
            continue
        folder = Path(os.path.realpath(unquote(urlsplit(url).path)))
        if not folder.is_relative_to(root):
            how = f"lies outside {root}"
        elif not any(path.is_relative_to(folder) for path in places):
            how = "is imported by a hook that cannot be pointed to another folder"
        else:
            continue
        found.append(f"not kept: {folder}, the editable install {name}, {how}: {AS_IT_WILL_BE}")
    return found


def no_program(argv: Sequence[str], environ: Mapping[str, str], cwd: Path) -> list[str]:
    """A program that is not where it was looked for: a slip, or something that `setup` brings along."""
    if "{" in argv[0] or interpreter.found(from_text(argv[0]), environ, cwd) is not None:
        return []
    where = f"no program in {cwd}" if "/" in argv[0] else "not on your PATH"
    return [f"'{argv[0]}' is {where}: the job fails unless it is there when it starts"]
