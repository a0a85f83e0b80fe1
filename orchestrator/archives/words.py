"""What an archive says of itself: README.md for a reviewer, and its RO-Crate metadata. Pure.

RO-Crate 1.1 (w3id.org/ro/crate/1.1): a descriptor, the root data entity with name, description, datePublished and
license, every file as an entity, and a CreateAction for what a command made.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from orchestrator.archives import form
from orchestrator.archives.form import Head
from orchestrator.text import plain

ORCH = "#orch"
SPECIFICATION = "https://w3id.org/ro/crate/1.1"
MEDIA: Mapping[str, str] = {
    "md": "text/markdown", "tex": "application/x-tex", "csv": "text/csv", "json": "application/json",
    "jsonl": "application/jsonl", "html": "text/html", "svg": "image/svg+xml", "txt": "text/plain",
    "claim": "application/gzip",
}  # fmt: skip
ANY = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A file of an archive. `command`: what made it; `what`: empty where its folder says enough."""

    name: str
    size: int
    sha256: str
    what: str = ""
    command: tuple[str, ...] = ()


def typed(command: Sequence[str], study: str, archive: str = "") -> str:
    """A command as it is typed: in the store, or with an archive."""
    where = ["--archive", archive] if archive else ["--study", study]
    return shlex.join(["orch", *command[:1], *where, *command[1:]])


FOLDERS: Mapping[str, str] = {
    "code/": "the kept code of programs, a folder for each content; `origins/`: what lay around it; `software/`: what "
    "was installed (packages, uv.lock)",
    "runs/": "how each execution started and ended, and the gates of searches, as the runs wrote it",
    "database/": "the rows of the study in the store's tables: what `--archive` reads",
}


def readme(head: Head, states: Mapping[str, int], files: Sequence[Listed], remarks: Sequence[str]) -> bytes:
    """For whoever gets the file: how to check it, how to look into it, what is in it, and what is not."""
    study = plain(head.study)
    counted = ", ".join(f"{n} {state}" for state, n in states.items())
    lines = [
        f"# Study {study}",
        "",
        f"{counted}; as of {head.of:%Y-%m-%d %H:%M:%S} UTC. Made by orch {head.orch}.",
        "",
        *(f"- {plain(remark)}" for remark in remarks),
        *([""] if remarks else []),
        "## Check it",
        "",
        "```",
        "unzip -q ARCHIVE.zip -d study && cd study && sha256sum --quiet -c manifest-sha256.txt   # nothing was changed",
        "orch verify ARCHIVE.zip      # the table is what its results give, and which seeds were taken out",
        "```",
        "",
        "The second needs orch, and no store. It proves that the story is consistent, not that it is true: that takes",
        "a head of the journal which was given away before (`--against`).",
        "",
        "## Look into it",
        "",
        "Each of these files is made by the command beside it, and by the second one from this archive alone:",
        "",
        "| file | what | in the store | from the archive |",
        "| :-- | :-- | :-- | :-- |",
    ]
    for one in files:
        if one.command:
            mine, theirs = typed(one.command, head.study), typed(one.command, head.study, "ARCHIVE.zip")
            lines.append(f"| `{one.name}` | {one.what} | {_code(mine)} | {_code(theirs)} |")
    lines += ["", "## What else is in it", "", "| | |", "| :-- | :-- |"]
    lines += [f"| `{one.name}` | {one.what} |" for one in files if one.what and not one.command]
    there = {name for name in FOLDERS if any(one.name.startswith(name) for one in files)}
    lines += [f"| `{name}` | {what} |" for name, what in FOLDERS.items() if name in there]
    lines += [
        "",
        "Not in it: data sets, checkpoints, what programs printed and wrote into `{out}`, values of variables whose",
        "names look secret, and jobs of other studies that no job here rests on.",
        "",
    ]
    return "\n".join(lines).encode()


def _code(command: str) -> str:
    """In a cell of a table of Markdown."""
    return f"`{plain(command).replace('|', chr(92) + '|')}`"


def crate(head: Head, files: Sequence[Listed], license: str) -> bytes:
    """`ro-crate-metadata.json`: JSON-LD, one entity for each file and for each command."""
    study, terms = plain(head.study), _license(license)
    graph: list[dict[str, Any]] = [
        {
            "@id": form.CRATE,
            "@type": "CreativeWork",
            "conformsTo": {"@id": SPECIFICATION},
            "about": {"@id": "./"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"Study {study}",
            "description": f"Settings, results, curves, code, tables and figures of the study '{study}', and how they "
            "were made. README.md says how to check it.",
            "datePublished": f"{head.of:%Y-%m-%dT%H:%M:%SZ}",
            "license": {"@id": terms["@id"]},
            "hasPart": [{"@id": _id(one.name)} for one in files],
            "mentions": [{"@id": _action(one)} for one in files if one.command],
        },
        {
            "@id": ORCH,
            "@type": "SoftwareApplication",
            "name": "orch",
            "version": head.orch,
            "description": "a batch job orchestrator: every seed is counted exactly once",
        },
        terms,
    ]
    for one in files:
        entity: dict[str, Any] = {
            "@id": _id(one.name),
            "@type": "File",
            "name": one.name,
            "contentSize": str(one.size),
            "encodingFormat": MEDIA.get(one.name.rpartition(".")[2], ANY),
            "sha256": one.sha256,
        }
        what = one.what or next((told for name, told in FOLDERS.items() if one.name.startswith(name)), "")
        graph.append(entity | ({"description": what} if what else {}))
    for one in files:
        if one.command:
            graph.append(
                {
                    "@id": _action(one),
                    "@type": "CreateAction",
                    "name": typed(one.command, study),
                    "instrument": {"@id": ORCH},
                    "object": {"@id": _id(form.rows_of("result"))},
                    "result": {"@id": _id(one.name)},
                }
            )
    context = [f"{SPECIFICATION}/context", {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}]
    return msgspec.json.format(msgspec.json.encode({"@context": context, "@graph": graph}), indent=2) + b"\n"


def _license(license: str) -> dict[str, Any]:
    """The entity of the terms: a licence's address where it is one or has one (SPDX), else what the person wrote."""
    said = plain(license)
    about = "the terms under which this is given away" if said else "nobody stated any: ask the authors"
    if said.startswith(("https://", "http://")):
        place = said
    else:
        place = f"https://spdx.org/licenses/{said}" if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", said) else "#license"
    return {"@id": place, "@type": "CreativeWork", "name": said or "not stated", "description": about}


def _id(name: str) -> str:
    """A file's path as a URI reference (RFC 3986)."""
    from urllib.parse import quote

    return quote(name)


def _action(one: Listed) -> str:
    return f"#made-{_id(one.name).replace('/', '-')}"
