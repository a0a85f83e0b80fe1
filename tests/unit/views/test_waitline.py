"""The line of `--wait`: bar, count and clock are whole at any width, and words are left out whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from orchestrator.views import waitline
from orchestrator.views.logreading import OwnLines

REPORT = waitline.report(
    3, "command", 7, 150, {"loss": 0.25, "val/acc": 91.25}, {"lr": "0.1", "opt": "sgd", "same": "7"}, ("lr", "opt")
)


def test_a_report_names_the_job_by_what_varies_and_its_numbers_as_the_program_does() -> None:
    assert REPORT == ["job 3 (lr 0.1, opt sgd) epoch 7/150", "val/acc 91.25", "loss 0.25"]
    assert waitline.report(1, "evaluate", 2, 0, {"test_accuracy": 50.0}, {}, ()) == ["job 1 epoch 2 50.00 %"]


@given(st.integers(20, 200), st.integers(0, 5000), st.integers(0, 10**6))
def test_nothing_is_cut(width: int, done: int, seconds: int) -> None:
    states = ["13 queued", "2 running", f"{done} succeeded"]
    line = waitline.line(done, 5000, seconds, states, REPORT, width).plain
    hours, rest = divmod(seconds % 86400, 3600)
    assert f"{done}/5000" in line and f"{hours}:{rest // 60:02d}:{rest % 60:02d}" in line
    told = line.partition(f":{rest // 60:02d}:{rest % 60:02d}")[2].strip()
    whole = [", ".join(states[:n]) for n in range(4)]
    whole += [" · ".join([whole[3], *REPORT[:n]]) for n in range(1, 4)]
    assert told in whole
    bar = sum(line.count(sign) for sign in "━─")
    assert bar in (0, min(40, (width + 1) // 4))
    assert cell_len(line) <= max(width, bar + len(f"{done}/5000") + 20)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_submitits_own_lines_are_left_out_however_they_arrive(size: int) -> None:
    text = b"module load\nsubmitit INFO (2026-01-01) - Loading\nsubmitit WARNING x\nsub\nsubmitit INFO (2) y\nend"
    own = OwnLines()
    found = b"".join(own.without(text[at : at + size]) for at in range(0, len(text), size))
    assert found == b"module load\nsubmitit WARNING x\nsub\nend"
