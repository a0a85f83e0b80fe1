"""Whatever lies where a record should lie: it is read, or it is none, with the reason. It never blocks."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.files import LONGEST_LINE, MOST_BYTES, Unreadable, decode, load_json, read_json, read_lines, tail
from jobs.layout import Layout
from jobs.node.checkpoints import newest_step
from jobs.records import Accepted, JobFile, Manifest, MetricLine, Outcome, Ready, Started

STARTED = (
    b'{"format":1,"job":1,"attempt":2,"generation":1,"token":"orch-1","index":0,"restart":0,"node":"n1","host":"n1",'
    b'"pid":12,"process_start":1.5,"boot_id":"b","at":"2026-01-01T00:00:00Z"}'
)
OUTCOME = b'{"ending":"success","cause":"success","result":{"acc":1.5},"at":"2026-01-01T00:00:00Z"}'
LINE = b'{"epoch":1,"epochs":2,"at":"2026-01-01T00:00:00Z","values":{"acc":1.0}}'


def test_sound_records_are_read() -> None:
    assert decode(STARTED, Started).attempt == 2
    assert decode(OUTCOME, Outcome).result == {"acc": 1.5}
    assert decode(LINE, MetricLine).values == {"acc": 1.0}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (STARTED.replace(b'"n1"', b'"n\xff"', 1), "UTF-8"),
        (STARTED[:-1] + b',"more":' + b"[" * 100_000 + b"}", "nested too deeply"),
        (STARTED.replace(b'"n1"', b'"\\ud800"', 1), "surrogate"),
        (STARTED.replace(b'"n1"', b'"n\\u0000"', 1), "regex"),
        (STARTED.replace(b'"n1"', b'"n[1-99999999]"', 1), "regex"),
        (STARTED.replace(b'"n1"', b'"' + b"n" * 5000 + b'"', 1), "length"),
        (STARTED.replace(b'"pid":12', b'"pid":99999999999999999999'), "<= 2147483647"),
        (STARTED.replace(b'"pid":12', b'"pid":-1'), ">= 0"),
        (STARTED.replace(b'"job":1', b'"job":"1"'), "Expected `int`"),
        (STARTED.replace(b'"format":1', b'"format":2'), "newer orch"),
        (STARTED.replace(b"2026-01-01T00:00:00Z", b"2026-01-01T00:00:00"), "timezone"),
        (STARTED.replace(b"2026-01-01T00:00:00Z", b"0001-01-01T00:00:00+23:59"), "year"),
        (STARTED.replace(b"2026-01-01T00:00:00Z", b"9999-12-31T23:59:59-12:00"), "year"),
        (STARTED[:60], "truncated"),
        (b"", "empty"),
        (b"\0" * 300, "empty"),
        (b"[]", "Expected `object`"),
        (b"null", "Expected `object`"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_odd_record_is_none_and_says_why(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "started.json"
    path.write_bytes(data)
    with pytest.raises(Unreadable, match=said):
        load_json(path, Started)
    assert read_json(path, Started) is None


@pytest.mark.parametrize(
    "data",
    [
        OUTCOME.replace(b'"cause":"success"', b'"cause":"killed"'),
        OUTCOME.replace(b'"ending":"success"', b'"ending":"failure"'),
        OUTCOME.replace(b"1.5", b"1e999"),
        OUTCOME[:-1] + b',"wall_seconds":-1}',
        OUTCOME[:-1] + b',"gpu_seconds":1e300}',
        OUTCOME[:-1] + b',"epoch":-5}',
        OUTCOME[:-1] + b',"checkpoint_step":9223372036854775808}',
        OUTCOME[:-1] + b',"architecture":{"edges":[[0,99]]}}',
        OUTCOME[:-1] + b',"architecture":{"edges":[[3,2]]}}',
    ],
)
def test_an_outcome_that_cannot_be_is_none(data: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(data, Outcome)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def circle(path: Path) -> None:
    path.symlink_to(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, MOST_BYTES + 1)  # sparse


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (fifo, "no regular file"),
        (folder, "directory"),
        (dangling, "leads nowhere"),
        (circle, "symbolic links"),
        (device, "no regular file"),
        (huge, "more than 64 MiB"),
    ],
)
def test_what_is_no_file_never_blocks(make: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    path = tmp_path / "outcome.json"
    make(path)
    with pytest.raises(Unreadable, match=said):
        load_json(path, Outcome)
    assert read_json(path, Outcome) is None
    assert list(read_lines(path, MetricLine)) == []
    assert len(tail(path, 100)) == (100 if make is huge else 0)


def test_what_is_not_there_is_no_fault(tmp_path: Path) -> None:
    assert load_json(tmp_path / "outcome.json", Outcome) is None
    (tmp_path / "file").write_text("")
    assert load_json(tmp_path / "file" / "outcome.json", Outcome) is None


def test_odd_lines_are_skipped_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    second = LINE.replace(b'"epoch":1', b'"epoch":2')
    odd = [b"", b"nothing", LINE.replace(b"acc", b"a\xff"), b"[" * 5000, LINE[:30], b"\0\0", b"x" * (LONGEST_LINE + 9)]
    path.write_bytes(b"\n".join([LINE, *odd, second, LINE.replace(b'"epoch":1', b'"epoch":3')]))
    assert [line.epoch for line in read_lines(path, MetricLine)] == [1, 2], "the last line has no end yet"


@settings(max_examples=300)
@given(
    st.sampled_from([Started, Ready, Outcome, Manifest, Accepted, JobFile, MetricLine]),
    st.binary(max_size=60) | st.tuples(st.integers(0, 150), st.binary(max_size=4)),
)
def test_any_bytes_at_all(kind: type[object], change: bytes | tuple[int, bytes]) -> None:
    data = change if isinstance(change, bytes) else STARTED[: change[0]] + change[1] + STARTED[change[0] + 1 :]
    try:
        found = decode(data, kind)
    except Unreadable as error:
        assert str(error)
    else:
        msgspec.json.encode(found)


def test_names_that_are_no_numbers_are_none_of_ours(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for name in ("1", "2", "02", "²", "-3", "9" * 40, "e0-000000", "4\n"):
        (layout.job(1) / name).mkdir(parents=True)
    assert layout.attempts(1) == [1, 2]
    for name in ("e0-00000a", "e1-00000b\n", "e²-00000c", "e" + "9" * 40 + "-00000d"):
        (layout.attempt(1, 1) / name).mkdir()
    assert [path.name for path in layout.executions(1, 1)] == ["e0-00000a"]


def test_a_checkpoints_step_is_a_number_that_can_be_stored(tmp_path: Path) -> None:
    for name in (
        "step-00000003.json",
        "step-²²²²²²²².json",
        "step-" + "9" * 60 + ".json",
        "step--1.json",
        "step-7.json.x",
    ):
        (tmp_path / name).touch()
    assert newest_step([tmp_path]) == 3
