"""Neutralising text: nothing that a terminal obeys is left, visible text stays, cells of CSV come back."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import BadInput
from orchestrator import text
from orchestrator.views import job

ANY = st.text(st.characters())
ODD = st.text(st.sampled_from("\x1b\x07\x9b\x00\r\n\t\u202e\u2066\u200f'=+-@ab\udcff"))


@given(ANY | ODD)
def test_no_control_is_left(value: str) -> None:
    shown = text.plain(value)
    assert not [sign for sign in shown if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")]
    assert not [
        sign
        for sign in shown
        if unicodedata.bidirectional(sign) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    ]
    assert shown.isascii() or any(not sign.isascii() for sign in value)
    assert text.lines(value).replace("\n", "\\n").replace("\t", "\\t") == shown


@given(st.text(st.characters(categories=("L", "N", "P", "S"))))
def test_visible_text_stays(value: str) -> None:
    assert text.plain(value) == value


@given(ANY | ODD)
def test_a_cell_comes_back_and_is_no_formula(value: str) -> None:
    held = text.cell(value)
    assert text.from_cell(held) == value
    assert len(value) < 2 or held[:1] not in tuple("=+-@\t\r\n")


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_json_keeps_its_values(value: str) -> None:
    document = json.dumps({value: value}, ensure_ascii=False)
    for form in (text.json(document), text.ascii_json(document)):
        assert json.loads(form) == {value: value}
    assert text.ascii_json(document).isascii()


@given(ANY | ODD)
def test_logs_keep_colours_alone(value: str) -> None:
    shown = text.log(f"\x1b[31m{value}")
    assert shown.startswith("\x1b[31m") and shown.endswith(text.RESET)
    inner = text._SGR.sub("", shown)
    assert not [sign for sign in inner if unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_signs_of_ours_have_a_like(encoding: str) -> None:
    assert "━ 93.1 ± 0.2 → …".encode("ascii", "orch-plain") == b"- 93.1 +- 0.2 -> ..."
    assert "日".encode(encoding, "orch-plain") == b"\\u65e5"


@pytest.mark.parametrize("value", ["a\nb", "a\0b", "\x1b[1m", "a\u202eb", {"k\n": 1}, {"k": ["x\r"]}])
def test_controls_are_refused(value: object) -> None:
    with pytest.raises(BadInput, match="control character"):
        text.check("the study", value)


def test_names_are_taken_as_they_are() -> None:
    text.check("the study", {"Größe 日本": ["a b", 1, True, None, "q\"uo'te"]})


@pytest.mark.parametrize("name", ["study", "program code", "metric lines left out"])
def test_a_fact_stands_apart_from_its_name_however_long_that_is(name: str) -> None:
    space = " " * max(1, 13 - len(name))
    assert job._fact(name, "1: a log").plain == f"  {name}{space}1: a log"
