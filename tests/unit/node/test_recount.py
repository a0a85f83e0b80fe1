"""Numbers of an older worker's outcome are read again before they are accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.files import now
from jobs.metrics import RULE
from jobs.node.recount import accepted
from jobs.records import Outcome
from jobs.words import Cause


def outcome(rule: int) -> Outcome:
    return Outcome(ending="success", cause=Cause.SUCCESS, result={"loss": 0.5, "acc": 0.9}, rule=rule, at=now())


def write(folder: Path, lines: str, result: str | None) -> None:
    (folder / "user_metrics.jsonl").write_text(lines)
    if result is not None:
        (folder / "result.json").write_text(result)


def test_an_older_rule_is_read_again_and_the_present_one_is_believed(tmp_path: Path) -> None:
    write(tmp_path, '{"loss": 0.5}\n{"loss": NaN}\ntorn', '{"acc": 0.9}')
    assert accepted("command", outcome(0), tmp_path) == ({"loss": None, "acc": 0.9}, RULE)
    assert accepted("command", outcome(RULE), tmp_path) == ({"loss": 0.5, "acc": 0.9}, RULE)
    assert accepted("evaluate", outcome(0), tmp_path) == ({"loss": 0.5, "acc": 0.9}, RULE)


@pytest.mark.parametrize("result", [None, "torn", "[1]"])
def test_what_the_files_no_longer_tell_stays_as_it_was_and_unchecked(tmp_path: Path, result: str | None) -> None:
    write(tmp_path, '{"loss": NaN}\n', result)
    assert accepted("command", outcome(0), tmp_path) == ({"loss": 0.5, "acc": 0.9}, 0)
    assert accepted("command", outcome(0), tmp_path / "gone") == ({"loss": 0.5, "acc": 0.9}, 0)
