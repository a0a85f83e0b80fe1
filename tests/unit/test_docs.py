"""The documents: their made parts are as the code says, and whatever they point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobs.words import TRANSITIONS, JobState
from tests.house import documents, rooms


def test_the_made_parts_are_as_the_code_says() -> None:
    text = documents.ARCHITECTURE.read_text()
    assert text == documents.made(text), "run `make docs`"


def test_a_made_part_that_was_changed_by_hand_or_taken_out_is_seen() -> None:
    text = documents.ARCHITECTURE.read_text()
    by_hand = text.replace("What happens when a node dies?", "What happens?").replace(
        "running --> queued", "running --> x"
    )
    assert by_hand != text and documents.made(by_hand) == text
    with pytest.raises(ValueError, match="states"):
        documents.made(text.replace("<!-- end of states -->", ""))


def test_every_room_stands_in_the_table_with_its_sentence() -> None:
    text = documents.ARCHITECTURE.read_text()
    rows = re.findall(r"^\| \d+ \| \[`(.*)/`\]\(\.\./\1/\) \| (.*) \|$", text, re.MULTILINE)
    assert sorted(rows) == sorted((room, rooms.sentence(room)) for floor in rooms.FLOORS for room in floor)


def test_the_picture_has_each_change_of_state_once() -> None:
    drawn = re.findall(r"^    (\w+) --> (\w+): \S", documents.ARCHITECTURE.read_text(), re.MULTILINE)
    allowed = [(before, after) for before in JobState for after in TRANSITIONS[before]]
    assert sorted(drawn) == sorted((str(before), str(after)) for before, after in allowed)


def test_a_newcomer_finds_these_on_the_first_screen() -> None:
    screen = "\n".join(documents.ARCHITECTURE.read_text().splitlines()[:24]).lower()
    for wanted in ("node died", "number is wrong", "new job kind", "new backend", "new command"):
        (line,) = [line for line in screen.splitlines() if wanted in line]
        assert "](" in line, f"'{wanted}' leads nowhere"


@pytest.mark.parametrize("document", documents.documents(), ids=lambda path: path.name)
def test_every_link_and_every_path_leads_somewhere(document: Path) -> None:
    assert list(documents.dangling(document)) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[x](gone.md)", "there is no gone.md"),
        ("[x](../gone/)", "there is no ../gone/"),
        ("[x](there.md#nowhere)", "there.md has no heading #nowhere"),
        ("[x](#nowhere)", "it has no heading #nowhere"),
        ("[x](there.md#again-2)", "there.md has no heading #again-2"),
        ("`jobs/evaluation.py` did it", "there is no `jobs/evaluation.py`"),
        ("![a picture](gone.png)", "there is no gone.png"),
    ],
)
def test_what_leads_nowhere_is_named(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "there.md").write_text(
        "# A `heading`, with *signs*: 50 %\n## Again\n## Again\n```\n# no heading\n```\n"
    )
    here = tmp_path / "here.md"
    here.write_text(
        f"# Here\n[a](there.md#a-heading-with-signs-50-) [b](there.md#again-1) [c](#here) <{line}>\n{line}\n"
    )
    assert set(documents.dangling(here)) == {f"here.md: {told}"}
