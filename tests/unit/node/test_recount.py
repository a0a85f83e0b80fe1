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
    assert accepted("command", outcome(0), tmp_path, files=False) == ({"loss": None, "acc": 0.9}, RULE)
    assert accepted("command", outcome(RULE), tmp_path, files=False) == ({"loss": 0.5, "acc": 0.9}, RULE)
    assert accepted("evaluate", outcome(0), tmp_path, files=False) == ({"loss": 0.5, "acc": 0.9}, RULE)


@pytest.mark.parametrize("result", [None, "torn", "[1]"])
def test_what_the_files_no_longer_tell_stays_as_it_was_and_unchecked(tmp_path: Path, result: str | None) -> None:
    write(tmp_path, '{"loss": NaN}\n', result)
    assert accepted("command", outcome(0), tmp_path, files=False) == ({"loss": 0.5, "acc": 0.9}, 0)
    assert accepted("command", outcome(0), tmp_path / "gone", files=False) == ({"loss": 0.5, "acc": 0.9}, 0)


PLACED, NOT_PLACED = '{"epoch": 1, "loss": 0.5}\n', '{"epoch": "end", "loss": 0.1}\n'


@pytest.mark.parametrize(
    ("lines", "result", "files", "loss", "rule"),
    [
        (PLACED + NOT_PLACED, None, False, 0.1, RULE),
        (PLACED + NOT_PLACED.strip(), None, False, 0.1, RULE),  # its end is not there, and it was read all the same
        (PLACED + '{"epoch": null, "loss": NaN}\n', None, False, None, RULE),
        (PLACED + '{"epoch": [2], "loss": "diverged"}\n', None, False, None, RULE),
        (PLACED + '{"epoch": -1, "phase": "end"}\n', None, False, 0.5, RULE),
        (NOT_PLACED + PLACED, None, False, 0.5, RULE),
        (PLACED + NOT_PLACED, '{"loss": 0.5}', False, 0.5, RULE),
        (PLACED + NOT_PLACED, "torn", False, 0.5, 1),
        (NOT_PLACED, None, False, 0.1, RULE),  # a pattern gave it, which counts less than lines
        (PLACED.replace("0.5", "0.4") + NOT_PLACED, None, True, 0.5, RULE),  # a result file gave it
        (PLACED + NOT_PLACED, None, True, 0.5, 1),  # either may have
        (NOT_PLACED, None, True, 0.5, 1),
        ("", None, True, 0.5, RULE),
    ],
)
def test_only_lines_without_an_epoch_change_what_rule_1_took(
    tmp_path: Path, lines: str, result: str | None, files: bool, loss: float | None, rule: int
) -> None:
    write(tmp_path, lines, result)
    assert accepted("command", outcome(1), tmp_path, files=files) == ({"loss": loss, "acc": 0.9}, rule)
