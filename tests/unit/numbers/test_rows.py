"""Rows of JSON lines and CSV: which epoch, which numbers, and what is only remarked on."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.files import now
from jobs.numbers.rows import Csv, JsonLines, flat
from jobs.numbers.source import number_of
from jobs.records import NO_PLACE, MetricLine

NAMES = st.lists(st.sampled_from(["loss", "acc", "val acc", "größe", 'a "b"', "x;y"]), min_size=1, unique=True)
FLOATS = st.floats(width=32) | st.integers(-1000, 1000).map(float)
ROWS = st.lists(st.dictionaries(st.sampled_from(["loss", "acc", "f1"]), FLOATS, min_size=1), min_size=2, max_size=8)


def points(lines: list[MetricLine]) -> list[tuple[int, dict[str, float | None]]]:
    return [(line.epoch, line.values) for line in lines]


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data in pieces of whole lines."""
    lines = data.splitlines(keepends=True)
    at = sorted({min(cut, len(lines)) for cut in cuts} | {0, len(lines)})
    return [b"".join(lines[a:b]) for a, b in itertools.pairwise(at)]


@given(ROWS, st.lists(st.integers(0, 9), max_size=3))
def test_json_lines_are_epochs_and_the_newest_line_that_names_a_metric_counts(
    rows: list[dict[str, float]], cuts: list[int]
) -> None:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    reader = JsonLines()
    found = [line for piece in pieces(data, cuts) for line in reader.take(piece, now())]
    told = [{name: finite(value) for name, value in row.items()} for row in rows]
    assert points(found) == list(enumerate(told, 1))
    assert reader.values == {name: value for row in told for name, value in row.items()}
    assert reader.remarks() == []


@given(NAMES, st.data(), st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"]))
def test_csv_by_any_writer(names: list[str], data: st.DataObject, sign: str, end: str) -> None:
    """Quoted names, an empty cell that says nothing, any of the usual separators and line ends."""
    if sign == ";":
        names = [name for name in names if ";" not in name] or ["loss"]
    cells = st.one_of(FLOATS, st.none())
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(names, cells)), min_size=1, max_size=6))
    epochs = data.draw(st.lists(st.integers(0, 99), min_size=len(rows), max_size=len(rows)))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=sign, lineterminator=end)
    writer.writerow(["epoch", *names])
    for epoch, row in zip(epochs, rows, strict=True):
        writer.writerow([epoch, *("" if value is None else repr(value) for value in map(row.get, names))])
    reader = Csv()
    found = reader.take(text.getvalue().encode(), now())
    told = [{name: finite(value) for name, value in row.items() if value is not None} for row in rows]
    assert points(found) == list(zip(epochs, told, strict=True))
    assert reader.values == {name: value for row in told for name, value in row.items()}


@given(st.binary(max_size=300))
def test_whatever_bytes_they_are(data: bytes) -> None:
    """Nothing raises, and what comes out is a number or none."""
    for reader in (JsonLines(), Csv()):
        for line in reader.take(data, now()):
            assert line.epoch >= 0
            assert all(value is None or math.isfinite(value) for value in line.values.values())
        assert all(isinstance(text, str) for text in reader.remarks())


@pytest.mark.parametrize(
    ("text", "epochs"),
    [
        ("Epoch,acc\n3,1\n4,2\n", [3, 4]),
        ("step,acc\n100,1\n200,2\n", [100, 200]),
        ("epoch,step,acc\n0,10,1\n0,20,2\n1,30,3\n", [0, 0, 1]),
        ("acc\n1\n2\n", [1, 2]),
        ("epoch,acc\n0.5,1\n1.0,2\n", [1, 1]),
        ("epoch,acc\n7,1\n,2\n8,3\n", [7, 7, 8]),  # a row that says none is of the last one
        ("# epoch,acc\n1,1\n2,2\n", [1, 2]),
        ("\ufeffepoch;acc\n1;0,5\n2;0,75\n", [1, 2]),
        ("epoch,acc\n1,1\nepoch,acc\n1,2\n", [1, 1]),  # begun again by another part of the program
        ("epoch,acc\n-1,1\nnan,2\nx,3\n5,4\n,5\n1e30,6\n", [NO_PLACE, NO_PLACE, NO_PLACE, 5, 5, NO_PLACE]),
        ("acc\n93.5\n", []),  # one row alone is a result, and no epoch
    ],
)
def test_which_epoch_a_row_is_of(text: str, epochs: list[int]) -> None:
    reader = Csv()
    assert [line.epoch for line in reader.take(text.encode(), now())] == epochs
    assert reader.values["acc"] is not None and set(reader.values) == {"acc"}


def test_odd_lines_are_remarked_on() -> None:
    reader = Csv()
    reader.take(b"epoch,acc,phase\n1,0.5,warm\n2,0.6\n3,0.7,hot,x\n4,nan,\xff\n5,93%,cold\n", now())
    assert reader.values == {"acc": 93.0}
    assert reader.remarks() == [
        "2 lines that have not 3 cells",
        "bytes that are no UTF-8",
        "no number for phase",
    ]
    reader = Csv()
    reader.take(b"1,2\n3,4\n", now())
    assert reader.remarks() == ["no names in its first line"]
    lines = JsonLines()
    lines.take(b'{"acc": 1}\nEpoch 2\n[1]\n{"acc": NaN}\n{"epoch": -1, "acc": 5}\n', now())
    assert lines.values == {"acc": 5.0}, "the newest line's, wherever it stands"
    told = "1 rows with no place on the curve: their epoch is no number from 0 on"
    assert lines.remarks() == ["2 lines that are no JSON object", told]


@pytest.mark.parametrize(
    ("given_", "found"),
    [
        ({"val": {"acc": 1, "top": {"5": 2}}, "loss": 3}, {"val/acc": 1, "val/top/5": 2, "loss": 3}),
        ({"a": {}}, {}),
        ({"a": [1, 2]}, {"a": [1, 2]}),
        ({"a\nb": 1}, {"a\\nb": 1}),
    ],
)
def test_objects_in_objects_are_paths(given_: dict[str, Any], found: dict[str, Any]) -> None:
    assert flat(given_) == found


def test_depth_and_number_of_names_are_bounded() -> None:
    deep: dict[str, Any] = {"x": 1}
    for _ in range(500):
        deep = {"d": deep}
    assert len(flat(deep)) == 1
    reader = JsonLines()
    reader.take(json.dumps({f"m{i}": i for i in range(5000)}).encode(), now())
    reader.take(json.dumps({f"n{i}": i for i in range(5000)}).encode(), now())
    assert len(reader.values) == 1000 and any("1000 metrics" in text for text in reader.remarks())


@pytest.mark.parametrize(
    ("text", "value"),
    [("93.5", 93.5), ("93.5.", 93.5), ("93%", 93.0), (" -1e-3 ", -0.001), ("5,", 5.0), ("(", None), ("1_000", None)],
)
def test_numbers_in_texts(text: str, value: float | None) -> None:
    assert number_of(text) == value
