"""Text from a store is data: here it is neutralised, once, where it leaves for a terminal, a table or a page.

A name or an error may hold escape sequences (ECMA-48) that move the cursor, retitle or type into a terminal, C1
controls, which some terminals take for the same, or bidirectional controls, which show letters in another order than
they have. Each is shown as an escape, `\\x1b`. Only orch's own styles reach a terminal.
"""

from __future__ import annotations

import codecs
import contextlib
import re
import sys
from collections.abc import Iterator, Mapping
from typing import IO, Any, cast

from jobs.errors import BadInput

_ODD = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"  # marks, separators, embeddings, overrides, isolates
    r"\ud800-\udfff\U000e0000-\U000e007f"  # bytes that are no UTF-8, invisible tags
)
# Compiled where they are first needed (re keeps them): every command imports this module, most never meet an odd sign.
_IN_LINES = f"[{_ODD}]"
_IN_A_LINE = rf"[{_ODD}\t\n]"
_IN_JSON = r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
_SGR = re.compile(r"\x1b\[[0-9;:]*m")
RESET = "\x1b[0m"
_FORMULA = re.compile(r"^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20].", re.DOTALL)
_ASCII = {
    "━": "-", "─": "-", "╸": "-", "╺": "-", "│": "|", "•": "*", "·": "-", "…": "...", "→": "->", "←": "<-", "−": "-",
    "–": "-", "—": "-", "±": "+-", "×": "x", "≥": ">=", "≤": "<=", "α": "alpha", "σ": "sigma", "τ": "tau", "²": "2",
    "“": '"', "”": '"', "‘": "'", "’": "'", "█": "#", "▁": "_", "↑": "^", "↓": "v", "✓": "ok", "✗": "x", "†": "(=)",
}  # fmt: skip
_HANDLER = "orch-plain"


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8 (PEP 383)
        code -= 0xDC00
    if code in (0x0A, 0x09):
        return "\\n" if code == 0x0A else "\\t"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def plain(text: str) -> str:
    """One line of visible text: newlines and tabs are escapes as well."""
    return text if text.isprintable() else re.sub(_IN_A_LINE, _escape, text)


def lines(text: str) -> str:
    """Visible text that may have several lines."""
    return text if text.isprintable() else re.sub(_IN_LINES, _escape, text)


def log(text: str) -> str:
    """What a program printed, for a terminal: its colours stay, a carriage return begins a line, all else is shown."""
    kept, end = [], 0
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for match in _SGR.finditer(text):
        kept += [lines(text[end : match.start()]), match.group()]
        end = match.end()
    return "".join([*kept, lines(text[end:]), RESET if kept else ""])


def json(text: str) -> str:
    """A JSON document whose strings hold no control that a terminal or an editor would act on; the same values."""
    if text.replace("\n", "").isprintable():
        return text
    return re.sub(_IN_JSON, lambda match: f"\\u{ord(match.group()):04x}", text)


def ascii_json(text: str) -> str:
    """A JSON document in ASCII alone; the same values."""

    def one(match: re.Match[str]) -> str:
        data = match.group().encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{data[i] << 8 | data[i + 1]:04x}" for i in range(0, len(data), 2))

    return re.sub(r"[^\x00-\x7e]", one, text)


def cell(text: str) -> str:
    """Text for a cell of CSV: a quote before what a spreadsheet would take for a formula. `from_cell` takes it away."""
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(text: str) -> str:
    """The text that `cell` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def check(what: str, value: object) -> None:
    """Refuse a control character in what a person gives, also inside lists and mappings. Raises BadInput."""
    if isinstance(value, str):
        if plain(value) != value:
            shown = plain(value)[:80]
            raise BadInput(
                f"{what} '{shown}' holds a control character (as a newline is) or is no UTF-8: leave that out"
            )
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            check(what, str(name))
            check(f"{what} {name}:", inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            check(what, inner)


def fallback(error: UnicodeError) -> tuple[str, int]:
    """For a terminal that cannot show a sign: the like in ASCII, or its escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = []
    for sign in error.object[error.start : error.end]:
        code = ord(sign)
        found.append(_ASCII.get(sign) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"))
    return "".join(found), error.end


codecs.register_error(_HANDLER, fallback)


class Guard:
    """A stream to a person: what is written is made visible, and signs that it cannot encode are put in ASCII."""

    def __init__(self, stream: IO[str], *, own: bool = False) -> None:
        """`own`: styles in it are orch's own, and what they surround was neutralised before."""
        self.stream = stream
        self.own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        if not self.own:
            text = lines(text)
        encoding = getattr(self.stream, "encoding", None)
        if encoding:
            text = text.encode(encoding, _HANDLER).decode(encoding, "replace")
        self.stream.write(text)
        return len(text)

    def writelines(self, several: list[str]) -> None:
        for text in several:
            self.write(text)

    def __iter__(self) -> Iterator[str]:
        return iter(self.stream)


def unguarded(stream: IO[str]) -> IO[str]:
    """The stream for what is neutralised already, or is meant for a program."""
    return stream.stream if isinstance(stream, Guard) else stream


def styled(stream: IO[str]) -> IO[str]:
    """The stream for orch's own styles around neutralised text."""
    return cast("IO[str]", Guard(unguarded(stream), own=True))


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Inside, standard output and error show text and do not obey it."""
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("Any", Guard(stream)) if stream is not None else stream for stream in kept)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = kept
