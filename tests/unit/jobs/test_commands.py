"""What a command job is: its parameters as values, its arguments as templates."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.commands import canonical_number, distinct, modern, parameter, values_of, variable
from jobs.errors import BadInput
from jobs.templates import fill, unused


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1", "1"), ("1.0", "1"), ("1e0", "1"), ("0.10", "0.1"), ("+5", "5"), ("-0.0", "0"), (".5", "0.5"), ("5.", "5"),
        ("100", "100"), ("1e2", "100"), ("1E-4", "0.0001"), ("0.00001", "0.00001"), ("1e-7", "1e-7"), ("007", "7"),
        ("1e22", "1e22"), ("1e0000001", "10"), ("10e999999", "1e1000000"), ("1e9999999", "1e9999999"),
        ("123456789012345678901", "123456789012345678901"), ("-2.50e-10", "-2.5e-10"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
    ],
)  # fmt: skip
def test_a_number_has_one_text(text: str, wanted: str) -> None:
    assert canonical_number(text) == wanted


@pytest.mark.parametrize("text", ["nan", "inf", "1_000", "0x10", "1e", "", " 1", "1,0", "abc", "٣", "--1", "1e+-1"])
def test_what_is_no_plain_decimal_stays_text(text: str) -> None:
    assert canonical_number(text) is None


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal(-(10**30)), max_value=Decimal(10**30)),
    st.integers(0, 5),
)
def test_the_text_is_exact_and_the_same_for_every_way_of_writing(value: Decimal, zeros: int) -> None:
    texts = {format(value, "f"), format(value, "E"), str(value)}
    plain = format(value, "f")
    texts.add(plain + "0" * zeros if "." in plain else plain + "." + "0" * zeros)
    found = {canonical_number(text) for text in texts}
    assert len(found) == 1
    (text,) = found
    assert text is not None and Decimal(text) == value and canonical_number(text) == text


def test_lists_of_values() -> None:
    assert [item.value for item in values_of("0.10, 1e-2,adam")] == ["0.1", "0.01", "adam"]
    assert [item.written for item in values_of("0.10, 1e-2,adam")] == ["0.10", "1e-2", "adam"]
    quoted = values_of('"1.1",\'1.10\',"a,b"')
    assert [(item.value, item.quoted) for item in quoted] == [("1.1", True), ("1.10", True), ("a,b", False)]
    assert values_of("1.10")[0].is_number and not quoted[1].is_number
    for text in ('"open', "a,'b", '"a"b'):
        with pytest.raises(BadInput, match="close the quotes"):
            values_of(text)


def test_two_values_that_are_one_are_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r"v: 1\.1 and 1\.10 are one number: quote them if they are names"):
        distinct("v", values_of("1.1,1.10"))
    with pytest.raises(BadInput, match="repeated value 'a'"):
        distinct("v", values_of("a,a"))
    for text in ("1,", "1,,2", ""):
        with pytest.raises(BadInput, match="empty"):
            distinct("v", values_of(text))
    distinct("v", values_of('"1.1","1.10",1.1'))


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("--lr={lr}", "--lr=0.1"),
        ("{Weight.decay-2}", "5"),
        ("{{lr}}", "{lr}"),
        ("{{{lr}}}", "{0.1}"),
        ('{{"a": {{"lr": {lr}}}}}', '{"a": {"lr": 0.1}}'),
        ('{{"a": {"lr": {lr}}}}', '{"a": {"lr": 0.1}}'),
        ("{{ x }} {{}} {{open", "{ x } {} {{open"),
        ("${seeds}", "${seeds}"),
        ("for seeds in 1 2; do echo ${seeds}; done", "for seeds in 1 2; do echo ${seeds}; done"),
        ("print(f'{seeds} {lr}')", "print(f'{seeds} 0.1')"),
        ("${HOME}/x", "${HOME}/x"),
        ("${lr}", "0.1"),
        ("{print $1}", "{print $1}"),
        ("{if(x){print}}", "{if(x){print}}"),
        ("print(f'{x:.2f} {y}')", "print(f'{x:.2f} {y}')"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ("{}", "{}"),
    ],
)
def test_templates(word: str, wanted: str) -> None:
    assert fill([word], {"lr": "0.1", "Weight.decay-2": "5", "seed": 0}) == [wanted]


def test_a_slip_in_a_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        BadInput, match=r"uses \{sed\}, which is not defined: did you mean \{seed\}\? \(\{\{sed\}\} stands"
    ):
        fill(["--seed", "{sed}"], {"seed": 0})


def test_a_word_in_braces_is_a_program_of_awk() -> None:
    assert fill(["/usr/bin/awk", "{print}", "{seed}"], {"seed": 3}) == ["/usr/bin/awk", "{print}", "3"]


@pytest.mark.parametrize("word", ["{size}", "--size={size}", "-s={size}"])
def test_an_argument_that_is_nothing_but_an_unknown_name_is_refused(word: str) -> None:
    with pytest.raises(BadInput, match=r"uses \{size\}, which is not defined: use seed"):
        fill([word], {"seed": 1})


def test_unused_parameters_and_their_variables() -> None:
    assert unused(["a", "{lr}", "{{wd}}"], ["lr", "wd"]) == ["wd"]
    assert variable("weight-decay.x") == "ORCH_PARAM_WEIGHT_DECAY_X"
    assert parameter("0.10").written == "0.10"


def test_jobs_of_version_1_are_found_by_what_they_are() -> None:
    old = {"argv": ["python", "t.py"], "name": "label", "stop_signal": "INT", "parameters": {"lr": "0.10"}}
    wanted = {"argv": ["python", "t.py"], "folder": "sub", "parameters": {"lr": "0.1"}}
    assert modern(old, "/p/sub", "/p", "sub") == wanted
    assert modern(old, "/nowhere/old/sub", "/p", "sub") == wanted  # moved with its project
    assert modern(old, "/tmp", "/p", "sub") is None
    assert modern(old, "/", "/p", "") is None  # there, and another folder


def test_a_moved_project_is_not_taken_for_one_of_its_folders(tmp_path: Path) -> None:
    old = {"argv": ["python", "t.py"]}
    (tmp_path / "sub").mkdir()
    assert modern(old, "/nowhere/old", str(tmp_path), "") == {"argv": ["python", "t.py"]}
    assert modern(old, "/nowhere/old/sub", str(tmp_path), "") is None
    assert modern(old, "/nowhere/old/sub", str(tmp_path), "sub") == {"argv": ["python", "t.py"], "folder": "sub"}
