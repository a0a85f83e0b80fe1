"""What the page allows itself: its one script and its one style sheet, by their hashes, and nothing else.

A style attribute cannot be allowed one by one, so those of the drawings become classes of the style sheet.
Source: Content Security Policy Level 3 (W3C), hash-source.
"""

from __future__ import annotations

import base64
import hashlib
import re

_TAG = re.compile(r"<[A-Za-z][^<>]*>")
_STYLE = re.compile(r'\sstyle="([^"]*)"')
_CLASS = re.compile(r'\sclass="([^"]*)"')
_SHEET = re.compile(r"<style\b[^>]*>(.*?)</style>", re.DOTALL)


def content_security_policy(script: str, sheet: str) -> str:
    """The policy of a page with this script and this style sheet, exactly as they stand between their tags."""
    return (
        f"default-src 'none'; style-src '{_hash(sheet)}'; script-src '{_hash(script)}'; img-src data:; base-uri 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


class Classes:
    """Style attributes of drawings as classes: the same look, in one style sheet."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._general: dict[str, None] = {}

    def take(self, svg: str) -> str:
        """A drawing without styles of its own. Text between tags stays as it is: it may come from a store."""
        for match in _SHEET.finditer(svg):
            self._general[match.group(1).strip()] = None
        return _TAG.sub(self._tag, _SHEET.sub("", svg))

    def _tag(self, match: re.Match[str]) -> str:
        tag = match.group()
        style = _STYLE.search(tag)
        if style is None:
            return tag
        name = self._names.setdefault(style.group(1), f"d{len(self._names)}")
        tag = _STYLE.sub("", tag, count=1)
        if _CLASS.search(tag):
            return _CLASS.sub(rf' class="\1 {name}"', tag, count=1)
        return re.sub(r"^<[^\s/>]+", rf'\g<0> class="{name}"', tag)

    def sheet(self) -> str:
        """The rules; the drawings' own sheets (`*{…}`) first and weaker than any class, as they were in the drawing."""
        rules = [re.sub(r"\*\s*\{", ":where(.paper svg *){", text) for text in self._general]
        return "\n".join([*rules, *(f".{name}{{{style}}}" for style, name in self._names.items())])
