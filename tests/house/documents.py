"""The parts of the documents that are made from the code, and whether what the documents point at is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from jobs.words import REASONS, JobState
from tests.house.rooms import FLOORS, ROOT, sentence

ARCHITECTURE = ROOT / "docs" / "architecture.md"


def table_of_rooms() -> str:
    """Every room from the roof to the ground, with its floor, its question and the answer."""
    lines = ["| floor | room | the question that leads there |", "|---|---|---|"]
    for number, floor in reversed(list(enumerate(FLOORS))):
        lines += [f"| {number} | [`{room}/`](../{room}/) | {sentence(room)} |" for room in sorted(floor)]
    return "\n".join(lines)


def picture_of_states() -> str:
    """All states of a job and all changes between them, drawn by whoever shows Mermaid and legible as it stands."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {JobState.WAITING}", f"    [*] --> {JobState.QUEUED}"]
    lines += [f"    {before} --> {after}: {why}" for before, afters in REASONS.items() for after, why in afters.items()]
    return "\n".join([*lines, "```"])


PARTS: Mapping[str, Callable[[], str]] = {"rooms": table_of_rooms, "states": picture_of_states}


def made(text: str) -> str:
    """A document with its made parts renewed. Raises ValueError where one of them has no place in it."""
    for name, make in PARTS.items():
        place = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(\n<!-- end of {name} -->)", re.DOTALL)
        if len(place.findall(text)) != 1:
            raise ValueError(f"docs/architecture.md needs one place '<!-- {name}: … -->' to '<!-- end of {name} -->'")
        content = make()
        text = place.sub(lambda match, content=content: f"{match[1]}{content}{match[2]}", text)  # type: ignore[misc]
    return text


_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.*?) *#*$", re.MULTILINE)
_PATH = re.compile(r"`((?:jobs|db|slurm|orchestrator|tests|benchmarks|docs|examples)/[\w./-]*)`")


def anchors(text: str) -> set[str]:
    """The names of a document's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number, name = 0, slug
        while name in found:
            number += 1
            name = f"{slug}-{number}"
        found.add(name)
    return found


def dangling(document: Path) -> Iterator[str]:
    """Each link to a file, a folder or a heading that is not there, and each path in code that is not there."""
    text = _FENCE.sub("", document.read_text())
    for link in _LINK.findall(text):
        if re.match(r"https?://[^/]+\.[^/]+", link):
            continue
        name, mark, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists():
            yield f"{document.name}: there is no {link}"
        elif mark and (target.suffix != ".md" or anchor not in anchors(target.read_text())):
            yield f"{document.name}: {name or 'it'} has no heading #{anchor}"
    for path in _PATH.findall(text):
        if not path.startswith("benchmarks/out/") and not (ROOT / path).exists():  # what `make bench` writes
            yield f"{document.name}: there is no `{path}`"


def documents() -> list[Path]:
    """What a reader is given."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").glob("*.md"))]
