"""Ways in which a file can be odd, all drawn from one seeded random source, so that a find can be replayed."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

ODD_VALUES: tuple[bytes, ...] = (
    b"null", b"true", b"-1", b"0", b"2147483648", b"9223372036854775807", b"9223372036854775808",
    b"-9223372036854775809",
    b"1" + b"0" * 400, b"1e308", b"1e999", b"-1e999", b"1.5", b"NaN", b"Infinity", b'""', b'"\\u0000"', b'"\\ud800"',
    b'"\\u001b]0;x\\u0007"', b'"\xff\xfe"', b'"\xed\xa0\x80"', b'"../../x"', b'"' + b"x" * 5000 + b'"', b"[]", b"{}",
    b"[" * 2000 + b"]" * 2000, b'{"a":' * 500 + b"1" + b"}" * 500, b'"0001-01-01T00:00:00+23:59"',
    b'"9999-12-31T23:59:59-23:59"', b'"2026-01-01T00:00:00"', b'"2026-01-01T00:00:00Z"', b'"succeeded"', b'"#-1"',
)  # fmt: skip
"""What stands in the place of a value; bytes, since some of it is no JSON."""
MARK = "\u2603 odd \u2603"


def _truncated(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _flipped(data: bytes, random: Random) -> bytes:
    changed = bytearray(data or b"x")
    for _ in range(random.choice((1, 1, 3, 20))):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def _inserted(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice((b"\0", b"\xff", b"\n", b'"', b"{", b"]", random.randbytes(9))) + data[at:]


def _removed(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + data[at + random.randrange(1, 30) :]


def _repeated(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + data[max(0, at - random.randrange(1, 200)) : at] + data[at:]


def _encoded(data: bytes, random: Random) -> bytes:
    text = data.decode(errors="replace")
    lines = data.replace(b"\n", b"\r\n")
    return random.choice((b"\xef\xbb\xbf" + data, text.encode("utf-16"), lines, data * 2, data.upper()))


def _value(data: bytes, random: Random) -> bytes:
    """One value somewhere in the JSON becomes an odd one."""
    lines = data.split(b"\n")
    number = random.randrange(len(lines))
    try:
        tree = json.loads(lines[number])
    except ValueError:
        return _flipped(data, random)
    places: list[tuple[Any, Any]] = []
    todo = [tree]
    while todo:
        item = todo.pop()
        if isinstance(item, dict | list):
            places += [(item, key) for key in (item if isinstance(item, dict) else range(len(item)))]
            todo += list(item.values() if isinstance(item, dict) else item)
    if not places:
        return random.choice(ODD_VALUES)
    holder, key = random.choice(places)
    if isinstance(holder, dict) and random.random() < 0.2:
        if random.random() < 0.5:
            del holder[key]
        else:
            holder[MARK] = holder.pop(key)
            odd = random.choice(ODD_VALUES[15:21])
            lines[number] = json.dumps(tree).encode().replace(json.dumps(MARK).encode(), odd)
            return b"\n".join(lines)
    else:
        holder[key] = MARK
    lines[number] = json.dumps(tree).encode().replace(json.dumps(MARK).encode(), random.choice(ODD_VALUES))
    return b"\n".join(lines)


def _noise(data: bytes, random: Random) -> bytes:
    return random.choice((b"", b"\0" * 200, b"\n" * 50, random.randbytes(300), b"{" * 3000, random.choice(ODD_VALUES)))


CONTENTS: tuple[Callable[[bytes, Random], bytes], ...] = (
    _value, _value, _value, _value, _truncated, _flipped, _inserted, _removed, _repeated, _encoded, _noise,
)  # fmt: skip


def _missing(path: Path) -> None:
    pass


def _folder(path: Path) -> None:
    (path / "step-00000001.json").mkdir(parents=True)


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def _circle(path: Path) -> None:
    path.symlink_to(path.name)


def _parent(path: Path) -> None:
    path.symlink_to("..")


def _zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _huge(path: Path) -> None:
    path.touch()
    os.truncate(path, (64 << 20) + 1)  # sparse


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        try:
            made.bind(str(path))
        except OSError:  # too long a path
            os.mkfifo(path)


THINGS: tuple[Callable[[Path], None], ...] = (
    _missing, _folder, os.mkfifo, _dangling, _circle, _parent, _zeros, _huge, _socket,
)  # fmt: skip
"""What may lie there instead of a file."""


def mutate(path: Path, others: list[Path], random: Random) -> str:
    """Make the file odd: what was done, in words. `others`: files of the same kind, of other jobs."""
    kind = random.random()
    if kind < 0.05 and others and path.is_file():
        data = random.choice(others).read_bytes()
        path.write_bytes(data)
        return f"{path}: another job's"
    if kind < 0.15 or path.is_dir():
        thing = random.choice(THINGS)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        thing(path)
        return f"{path}: {getattr(thing, '__name__', thing)}"
    change = random.choice(CONTENTS)
    data = change(path.read_bytes(), random)
    path.write_bytes(data)
    return f"{path}: {change.__name__} → {data[:300]!r}"
