"""Numbers out of printed lines: epochs, odd matches, patterns that take for ever, and pattern texts that are none."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import BadInput
from jobs.files import now
from jobs.numbers.patterns import Pattern, is_quick, literal
from jobs.numbers.printed import LONGEST, Lines
from jobs.records import MetricLine

ACC = {"acc": r"Accuracy: ([\d.]+)"}


def points(lines: list[MetricLine]) -> list[tuple[int, int, dict[str, float | None]]]:
    return [(line.epoch, line.epochs, line.values) for line in lines]


@given(st.lists(st.floats(0, 1e6).map(lambda value: round(value, 3)), max_size=20))
def test_each_match_is_the_next_epoch(values: list[float]) -> None:
    lines = Lines(ACC)
    found = lines.take("".join(f"noise\n>> Accuracy: {value:f}.\n" for value in values), now())
    assert points(found) == [(number, 0, {"acc": value}) for number, value in enumerate(values, 1)]
    assert lines.values == ({"acc": values[-1]} if values else {})
    assert lines.remarks() == []
    assert lines.lacks() == ([] if values else [("acc", r"no printed line matched 'Accuracy: ([\d.]+)'")])


@given(st.text(max_size=200))
def test_whatever_is_printed(text: str) -> None:
    for line in Lines({"a": r"(\S+)", "epoch": r"e(.)", "b": r"x(?P<value>.*)(y)?"}).take(text, now()):
        assert line.epoch >= 0 and all(value is None or math.isfinite(value) for value in line.values.values())


def test_the_epoch_that_is_printed_and_that_of_other_metrics() -> None:
    lines = Lines({**ACC, "loss": r"loss[= ](\S+)", "epoch": r"Epoch (\d+)", "epochs": r"Epoch \d+/(\d+)"})
    text = "loss=9\nEpoch 3/10 loss=0.5\nAccuracy: 90\rAccuracy: 91\rEpoch 4/10\nAccuracy: 92 loss nan\n"
    assert points(lines.take(text, now())) == [
        (0, 0, {"loss": 9.0}),
        (3, 10, {"loss": 0.5}),
        (3, 10, {"acc": 90.0}),
        (3, 10, {"acc": 91.0}),
        (4, 10, {"acc": 92.0, "loss": None}),
    ]
    assert lines.values == {"acc": 92.0, "loss": None}


def test_progress_bars_colours_and_orchs_own_lines() -> None:
    lines = Lines(ACC)
    text = "10%|# | Accuracy: 1\r20%|## | Accuracy: 2\r\nAccuracy: \x1b[32m3\x1b[0m\norch: skipped Accuracy: 4\n"
    assert [values["acc"] for _, _, values in points(lines.take(text, now()))] == [1.0, 2.0, 3.0]


def test_what_is_no_number_and_what_is_too_long_is_remarked_on() -> None:
    lines = Lines({"acc": r"Accuracy: (\S+)"})
    lines.take("Accuracy: soon\nAccuracy: 5\n" + "x" * LONGEST + "Accuracy: 6\n", now())
    assert lines.values == {"acc": 5.0}
    assert lines.remarks() == [
        "1 matches of 'acc' that are no number",
        "1 lines longer than 4 KiB, of which only that was looked at",
    ]


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+b", r"(a+)(?:a+)(?:a+)(?:a+)(?:a+)[bc]"])
def test_a_pattern_that_backtracks_for_ever_is_given_up(pattern: str) -> None:
    lines = Lines({**ACC, "x": pattern if "(?:" in pattern else f"(?P<value>{pattern})"})
    began = time.monotonic()
    lines.take(("a" * 4000 + "!\n") * 50 + "Accuracy: 7\n", now())
    assert time.monotonic() - began < 30
    assert lines.values["acc"] == 7.0
    assert any("'x' was given up after 3 lines" in text for text in lines.remarks())


@given(st.text("ab1.\\d*+?()[]|{2,3}^$ ", max_size=12), st.text("ab1 ", max_size=25))
def test_a_shortcut_never_changes_what_is_found(text: str, line: str) -> None:
    """The plain text that a match needs, and leaving out the time limit, are only faster."""
    import regex

    try:
        pattern = Pattern("x", text)
    except BadInput:
        return
    assert pattern.needed in line or not list(regex.finditer(text, line))
    began = time.monotonic()
    pattern.found(line * (4000 // max(1, len(line))))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("text", "quick", "needed"),
    [
        (r"Accuracy: ([\d.]+)", True, "Accuracy: "),
        (r"loss=(-?\d+)", True, "loss="),
        (r"Epoch (\d+)/\d+", False, "Epoch "),
        (r"(a+)+b", False, ""),
        (r"(aa?)*b", False, ""),
        (r"x(?=y)(a)", False, "x"),
        (r"(?i)acc (\d+)", False, ""),
        (r"acc (\d)|err (\d)", True, ""),
        (r"ab?(c)", True, "a"),
        (r"(\d)\1*", False, ""),
    ],
)
def test_which_patterns_need_no_guard_and_which_text_they_need(text: str, quick: bool, needed: str) -> None:
    assert (is_quick(text), literal(text)) == (quick, needed)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("(", "is no regular expression: missing )"),
        ("a**(b)", "is no regular expression"),
        ("Accuracy", "has no group: put the number in brackets"),
        (r"(?:\d+)", "has no group"),
        (r"(\d+) (\d+)", "has 2 groups: name the one that counts (?P<value>"),
        (r"(?P<a>\d)(?P<b>\d)", "has 2 groups"),
        ("(x)" + "y" * 1000, "more than 1000 characters"),
    ],
)
def test_a_text_that_is_no_pattern_is_refused_in_one_sentence(text: str, told: str) -> None:
    with pytest.raises(BadInput) as refused:
        Pattern("acc", text)
    assert told in str(refused.value) and "\n" not in str(refused.value) and "'acc'" in str(refused.value)


def test_the_group_that_counts_may_be_named() -> None:
    assert Pattern("acc", r"(\w+) (?P<value>\d+)").found("top 5") == ["5"]
    assert Pattern("acc", r"(\w+) (?P<acc>\d+)").found("top 6") == ["6"]
