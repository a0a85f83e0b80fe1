"""Names that are legal on Unix and no UTF-8: in the arguments, the working folder and the checkpoints."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from jobs.odd import from_text, to_text
from tests.helpers.cli import Orch

ODD = os.fsdecode(b"o\xffdd\xe9")
PROGRAM = """
import json, os, pathlib, sys
assert os.fsencode(sys.argv[1]) == b"o\\xffdd\\xe9", sys.argv
assert os.fsencode(os.getcwd()).endswith(b"/o\\xffdd\\xe9"), os.getcwd()
(pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"]) / sys.argv[1]).write_text("7")
json.dump({"ok": 1}, open(os.environ["ORCH_RESULT"], "w"))
"""


def test_a_program_gets_names_that_are_not_utf8(orch: Orch) -> None:
    here = orch.folder / ODD
    here.mkdir()
    (orch.folder / "program.py").write_text(PROGRAM)
    word = [sys.executable, "../program.py", ODD]
    store = ["--store", str(orch.layout.root)]
    orch("submit", "command", *store, "--wait", "--", *word, cwd=here)
    again = orch.json("submit", "command", *store, "--", *word, cwd=here)
    assert again["created"] == [] and len(again["existing"]) == 1
    for look in ("status", "show 1", "explain 1", "logs 1", "table --by seed --metric ok"):
        orch(*look.split())
    orch.rebuild()
    assert orch.json("show", "1")["result"]["metrics"] == {"ok": 1.0}


@given(st.binary().filter(lambda data: b"\0" not in data))
def test_every_name_comes_back(name: bytes) -> None:
    text = os.fsdecode(name)
    kept = to_text(text)
    assert from_text(kept) == text and kept.encode().decode() == kept


def test_a_plain_name_is_kept_as_it_is() -> None:
    assert to_text("plain ü") == "plain ü" == from_text("plain ü")
    assert Path(from_text(to_text(ODD))) == Path(ODD)
