"""Result files as programs write them: appended to, written anew, cut off, there before, large, of three formats."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers.resultfile import ResultFile
from jobs.records import MetricLine


def said(file: ResultFile) -> list[str]:
    return [text for _, text in file.lacks()] + file.remarks()


def at_once(file: ResultFile, *, closed: bool = False) -> list[MetricLine]:
    """All that it holds now, without waiting for the next look."""
    file._not_before = 0.0
    found = file.read(closed=closed)
    while file.more:
        found += file.read(closed=closed)
    return found


def read_at_the_end(path: Path) -> dict[str, float | None]:
    path_now = path.with_name("copy" + path.suffix)
    file = ResultFile(path_now, "x")
    path_now.write_bytes(path.read_bytes())
    at_once(file, closed=True)
    path_now.unlink()
    return file.values


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "torn", "anew", "same", "cut", "replace"]), st.integers(0, 9)), max_size=10
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([".csv", ".jsonl", ".json", ""]))
def test_whatever_a_program_does_to_it_the_values_are_those_of_the_file_at_the_end(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    path = folder / f"metrics{suffix}"
    as_csv = suffix in (".csv", "")
    file = ResultFile(path, "x")
    text = ""
    for number, (step, value) in enumerate(steps):
        header = "epoch,acc\n" if as_csv else ""
        row = f"{number},{value}\n" if as_csv else json.dumps({"epoch": number, "acc": value}) + "\n"
        if step == "append":
            text = (text or header) + row
        elif step == "torn":
            text = (text or header) + row[:-3]
        elif step == "anew":
            text = header + row
        elif step == "cut":
            text = text[: max(0, len(text) - value)]
        if step == "replace":
            other = folder / "other"
            other.write_text(text)
            other.replace(path)
        elif text or path.exists():
            path.write_text(text)
        at_once(file)
    found = at_once(file, closed=True)
    if path.exists():
        assert file.values == read_at_the_end(path)
        assert all(line.epoch >= 0 for line in found)
    else:
        assert said(file) == ["x was not written"]


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, st.booleans())
def test_any_json_document(tmp_path_factory: pytest.TempPathFactory, value: object, pretty: bool) -> None:
    path = tmp_path_factory.mktemp("document") / "metrics.json"
    file = ResultFile(path, "x")
    path.write_text(json.dumps(value, indent=2 if pretty else None))
    at_once(file, closed=True)
    for name, number in file.values.items():
        assert name.isprintable() and (number is None or isinstance(number, float))
    if isinstance(value, dict) and all(isinstance(one, float) for one in value.values()):
        assert len(file.values) <= len(value)
    assert all("\n" not in text for text in said(file))


def test_a_file_that_grows_is_handed_on_row_by_row(tmp_path: Path) -> None:
    """Also by a program that writes the whole file anew each time: no row is told twice."""
    path = tmp_path / "log.csv"
    file = ResultFile(path, "log.csv")
    text = "epoch,acc\n"
    found = []
    for epoch in range(1, 6):
        text += f"{epoch},{epoch * 10}\n"
        path.write_text(text)
        found.append([(line.epoch, line.values["acc"]) for line in at_once(file)])
    assert found == [[(epoch, epoch * 10.0)] for epoch in range(1, 6)]
    assert said(file) == []


def test_the_last_line_waits_for_its_end_until_the_program_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    file = ResultFile(path, "log.jsonl")
    path.write_text('{"epoch": 1, "acc": 1}\n{"epoch": 2, "acc": 93')
    assert [line.epoch for line in at_once(file)] == [1]
    assert file.values == {"acc": 1.0}
    with path.open("a") as handle:
        handle.write(".5}")
    assert at_once(file) == []
    assert [line.epoch for line in at_once(file, closed=True)] == [2] and file.values == {"acc": 93.5}


def test_a_file_of_before_the_program_is_nobodys_result(tmp_path: Path) -> None:
    """One that it adds to counts from there on; one that it writes anew counts whole."""
    path = tmp_path / "log.csv"
    path.write_text("epoch,acc\n1,99\n2,99\n")
    untouched, added, anew = (ResultFile(path, "log.csv") for _ in range(3))
    assert at_once(untouched, closed=True) == [] and untouched.values == {}
    assert said(untouched) == ["log.csv was there before the program started, and it wrote nothing to it: not counted"]
    with path.open("a") as handle:
        handle.write("3,50\n")
    assert [(line.epoch, line.values) for line in at_once(added, closed=True)] == [(3, {"acc": 50.0})]
    path.write_text("epoch,loss\n1,7\n")
    assert [(line.epoch, line.values) for line in at_once(anew, closed=True)] == [(1, {"loss": 7.0})]
    assert anew.values == {"loss": 7.0}


def test_what_it_held_before_is_not_the_word_of_a_document_that_is_torn_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    file = ResultFile(path, "metrics.json")
    path.write_text('{\n "acc": 5\n}')
    at_once(file)
    assert file.values == {"acc": 5.0}
    time.sleep(0.001)
    path.write_text('{\n "acc": 5')
    at_once(file, closed=True)
    assert file.values == {} and said(file) == [
        "metrics.json has no number",
        "metrics.json has no JSON that can be read",
    ]


def test_formats_told_by_how_they_begin(tmp_path: Path) -> None:
    told = {
        '{"acc": 1}': {"acc": 1.0},
        '{"acc": 1}\n{"acc": 2}\n': {"acc": 2.0},
        '[{"acc": 1}, {"acc": 3}]': {"acc": 3.0},
        '{"epoch": 1, "test": {"acc": 4}, "name": "x", "history": [1, 2]}': {"test/acc": 4.0},
        '{\n  "acc": 5\n}\n': {"acc": 5.0},
        "acc,loss\n6,1\n": {"acc": 6.0, "loss": 1.0},
        "acc\tloss\n6,1\t2\n7\t1\n": {"acc": 7.0, "loss": 1.0},
        '\ufeff{"acc": 8}': {"acc": 8.0},
        '{"acc": NaN, "loss": 1}': {"acc": None, "loss": 1.0},
    }
    for number, (text, values) in enumerate(told.items()):
        path = tmp_path / f"{number}.txt"
        file = ResultFile(path, "x")
        path.write_text(text)
        at_once(file, closed=True)
        assert file.values == values, text


def test_odd_things_in_its_place(tmp_path: Path) -> None:
    """A folder, a FIFO, a link to itself, an empty file, bytes: remarks, and no wait."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("folder", "fifo", "loop", "absent"):
        file = ResultFile(tmp_path / name, name)
        assert at_once(file, closed=True) == [] and said(file) == [f"{name} was not written"]
    bytes_ = ResultFile(tmp_path / "b.csv", "b.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00a\n\x00\x01\n")
    at_once(bytes_, closed=True)
    assert "bytes that are no UTF-8" in said(bytes_)[1]


def test_time_grows_with_the_number_of_rows_alone(tmp_path: Path) -> None:
    """100,000 rows, read while they are written: each byte once, so that twice as many take twice as long."""
    path = tmp_path / "log.csv"
    file = ResultFile(path, "log.csv")
    rows, pieces = 100_000, 20
    found, spent = 0, time.process_time()
    with path.open("w") as handle:
        handle.write("epoch,loss,acc\n")
        for piece in range(pieces):
            first = piece * rows // pieces
            handle.write("".join(f"{row},0.{row},{row}\n" for row in range(first, first + rows // pieces)))
            handle.flush()
            found += len(at_once(file))
    spent = time.process_time() - spent
    assert found == rows and file.values["acc"] == rows - 1
    assert spent < rows / 10_000, f"{rows / spent:.0f} rows a second"
