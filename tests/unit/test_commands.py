"""docs/commands.md against the commands themselves: whatever changes something has its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import get_args

import click
import msgspec

from db.entries import Entry
from jobs.kind import kinds
from orchestrator.cli.main import COMMANDS, command
from orchestrator.cli.submit_study import study_command
from tests.house.rooms import ROOT

PAGE = ROOT / "docs" / "commands.md"
NOTHING = frozenset({"-", "–"})


def rows(heading: str, text: str) -> Iterator[list[str]]:
    """The lines of the table under that heading, without its head."""
    part = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    for line in lines[1:]:
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


def options() -> Mapping[str, set[str]]:
    """Command → its long options, of a group those of all below it; settings of kinds left out."""
    found: dict[str, set[str]] = {}

    def add(name: str, one: click.Command) -> None:
        context = click.Context(one)
        if isinstance(one, click.Group):
            for inner in one.list_commands(context):
                below = one.get_command(context, inner)
                assert below is not None
                add(name, below)
            return
        words = {
            word for item in one.params if isinstance(item, click.Option) for word in (*item.opts, *item.secondary_opts)
        }
        found.setdefault(name, set()).update(word for word in words if word.startswith("--"))

    for name in COMMANDS:
        one = command.get_command(click.Context(command), name)
        assert one is not None
        add(name, one)
    add("submit", study_command("study.toml"))
    fields = {field.name for kind in kinds().values() for field in msgspec.structs.fields(kind.config)}
    settings = {"--" + name.replace("_", "-") for name in fields} - {"--name", "--stop-signal"}
    found["submit"] -= settings
    return found


def missing(text: str, there: Mapping[str, set[str]]) -> list[str]:
    """What changes something and has no line, and lines about what is not there."""
    by_command = {row[0].strip("`").removeprefix("orch "): row for row in rows("By command", text)}
    by_option = {row[0].strip("`"): row for row in rows("By option", text)}
    told = [f"orch {name} has no line" for name in there if name not in by_command]
    told += [f"there is no command orch {name}" for name in by_command if name not in there]
    identity = set(re.findall(r"`(--[a-z-]+)`", text.partition("\n## By option\n")[2].partition("\n| ")[0]))
    for name, words in there.items():
        row = by_command.get(name, [])
        looks = all(cell in NOTHING or cell == "takes in" for cell in row[1:4])
        for word in sorted(words):
            named = by_option.get(word)
            if named is None and word not in identity and not looks:
                told.append(f"{word} of orch {name} has no line")
            elif (
                named is not None and not named[1].startswith("all") and name not in named[1].split(", ") and not looks
            ):
                told.append(f"{word} is an option of orch {name} too")
    everything = set().union(*there.values())
    for word, row in by_option.items():
        if word not in everything:
            told.append(f"there is no option {word}")
        if not row[1].startswith("all"):
            told += [f"orch {name} has no {word}" for name in row[1].split(", ") if word not in there.get(name, set())]
    tags = {str(one.__struct_config__.tag) for one in get_args(Entry)}
    told += [
        f"no line says which command writes the journal's '{tag}'" for tag in sorted(tags) if f"`{tag}`" not in text
    ]
    for row in by_command.values():
        told += [f"the journal knows no '{tag}'" for tag in re.findall(r"`(\w+)`", row[2]) if tag not in tags]
    return told


def test_whatever_changes_something_has_its_line() -> None:
    assert missing(PAGE.read_text(), options()) == []


def test_what_has_no_line_is_named() -> None:
    text, there = PAGE.read_text(), options()
    assert missing(text.replace("| `orch drop` |", "| `orch dropp` |"), there)[:2] == [
        "orch drop has no line",
        "there is no command orch dropp",
    ]
    assert "--because of orch drop has no line" in missing(text.replace("| `--because` |", "| `--becaus` |"), there)
    assert "no line says which command writes the journal's 'lost'" in missing(text.replace("`lost`", "lost"), there)
    more = {**there, "clean": {*there["clean"], "--everything"}}
    assert missing(text, more) == ["--everything of orch clean has no line"]
    assert missing(text, {**there, "new": set()}) == ["orch new has no line"]
