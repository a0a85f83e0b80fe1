"""What a program tells of itself: metric lines as it writes them, and its result file with whatever is in it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.files import now, read_lines
from jobs.node.endings import CommandFailed
from jobs.node.reports import CHUNK, LineReader, MetricsRelay, left_out, read_result
from jobs.numbers.source import place
from jobs.records import NO_PLACE, MetricLine
from tests.helpers.context import MemoryContext
from tests.helpers.node import RESULT, Node, python


def relay_of(tmp_path: Path) -> tuple[MetricsRelay, MemoryContext, Path]:
    context = MemoryContext(None, tmp_path / "execution")
    return MetricsRelay(context, tmp_path / "m.jsonl"), context, tmp_path / "m.jsonl"


def test_metrics_are_handed_on_line_by_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Whole lines only; odd ones skipped and named; the epoch counts up by itself; not a number becomes none."""
    relay, context, path = relay_of(tmp_path)
    assert not relay.forward()
    with path.open("a") as metrics:
        for text in (
            '{"loss": 2}\n',
            '{"loss": 1.5, "name": "x", "flag": true}\n{"epoch": 7, "lo',
            'ss": 1e999}\n',
            "no\n",
        ):
            metrics.write(text)
            metrics.flush()
            relay.forward()
        metrics.write('{"epoch": -1, "loss": 1}\n{"epoch": "x"}\n{"epoch": 1e30}\n')
        metrics.write(f'{{"epoch": {10**40}}}\n{{"loss": {10**400}}}\n{{"loss": NaN, "accuracy": 3}}\n')
    relay.forward()
    assert [(line.epoch, line.values) for line in context.lines] == [
        (1, {"loss": 2.0}),
        (2, {"loss": 1.5}),
        (7, {"loss": None}),
        (NO_PLACE, {"loss": 1.0}),
        (8, {"loss": None}),
        (9, {"loss": None, "accuracy": 3.0}),
    ]
    assert relay.last == {"loss": None, "accuracy": 3.0}
    assert (relay.skipped, relay.unplaced) == (1, 4)
    said = capfd.readouterr().err
    assert said.count("orch: skipped a metrics line") == 1 and said.count("has no place on the curve") == 4


@pytest.mark.parametrize(
    ("value", "epoch"),
    [(1.0, 1), (0.5, 1), (1.01, 2), (0, 0), (-0.0, 0), (2**53, 2**53), (7, 7)]
    + [(odd, None) for odd in (-0.5, -1, True, "3", None, [1], 1e30, float("nan"), float("inf"), 10**400)],
)
def test_which_epoch_a_line_is_of(value: Any, epoch: int | None) -> None:
    """1.0 is 1; a fraction lies in an epoch, which keeps the newest of its lines."""
    assert place(value) == epoch


def test_lines_with_float_epochs_are_kept(tmp_path: Path) -> None:
    relay, context, path = relay_of(tmp_path)
    path.write_text("".join(json.dumps({"epoch": k / 4, "epochs": 2.0, "loss": k}) + "\n" for k in range(1, 9)))
    relay.close()
    assert [(line.epoch, line.epochs) for line in context.lines] == [(1, 2)] * 4 + [(2, 2)] * 4
    assert relay.last == {"loss": 8.0}


def test_the_last_line_counts_without_its_end(tmp_path: Path) -> None:
    relay, context, path = relay_of(tmp_path)
    path.write_text('{"loss": 2}\n{"loss": 1}')
    assert relay.forward() and not relay.forward()
    relay.close()
    assert [line.values["loss"] for line in context.lines] == [2.0, 1.0] and relay.last == {"loss": 1.0}


def test_a_file_that_was_begun_anew_is_read_from_its_start(tmp_path: Path) -> None:
    relay, context, path = relay_of(tmp_path)
    path.write_text('{"loss": 2}\n{"loss": 1}\n')
    relay.forward()
    path.write_text('{"loss": 9}\n')
    relay.forward()
    assert [(line.epoch, line.values["loss"]) for line in context.lines] == [(1, 2.0), (2, 1.0), (1, 9.0)]


def test_a_line_without_end_costs_itself_alone(tmp_path: Path) -> None:
    relay, context, path = relay_of(tmp_path)
    path.write_bytes(b'{"loss": 3}\n{"x": "' + b"y" * (2 * CHUNK) + b'"}\n{"loss": 4}\n')
    while relay.forward():
        pass
    assert [line.values["loss"] for line in context.lines] == [3.0, 4.0] and relay.skipped == 1


@given(st.lists(st.dictionaries(st.sampled_from(["epoch", "a", "b"]), st.floats() | st.integers() | st.none())))
def test_lines_in_pieces_are_the_same_lines(lines: list[dict[str, Any]]) -> None:
    """However they are cut into chunks."""
    at = now()
    texts = [json.dumps(line).encode() + b"\n" for line in lines]
    whole, piecewise = LineReader(), LineReader()
    assert whole.take(b"".join(texts), at) == [one for text in texts for one in piecewise.take(text, at)]
    assert (whole.epoch, whole.values, whole.skipped) == (piecewise.epoch, piecewise.values, piecewise.skipped)


@pytest.mark.parametrize("kind", ["fifo", "folder", "link to itself"])
def test_what_is_no_file_is_not_read(tmp_path: Path, kind: str) -> None:
    """A FIFO without a writer would block the worker for ever."""
    relay, context, path = relay_of(tmp_path)
    {"fifo": os.mkfifo, "folder": os.mkdir, "link to itself": lambda path: path.symlink_to(path)}[kind](path)
    assert not relay.forward()
    relay.close()
    assert context.lines == []
    with pytest.raises(CommandFailed, match="ORCH_RESULT cannot be read"):
        read_result(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "no JSON object of numbers"),
        ("{", "no JSON object of numbers"),
        ('{"a\xff": 1}', "no JSON object of numbers"),
        ('{"a": ' * 5000 + "1" + "}" * 5000, "no JSON object of numbers"),
        ('{"accuracy": NaN}', "no finite number for 'accuracy'"),
        ('{"accuracy": 1e999}', "no finite number for 'accuracy'"),
        ('{"accuracy": "high", "loss": null}', "no finite number for 'accuracy', 'loss'"),
    ],
)
def test_a_result_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "result.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CommandFailed, match=said):
        read_result(tmp_path / "result.json")


def test_no_result_file_is_no_number(tmp_path: Path) -> None:
    assert read_result(tmp_path / "result.json") is None


def test_a_link_to_nowhere_is_no_result(node: Node) -> None:
    """As a folder or a FIFO in its place."""
    node.job(python("import os; os.symlink('gone', os.environ['ORCH_RESULT'])"))
    outcome = node.outcome(node.run(node.submission()))
    assert outcome.ending == "failure"
    assert outcome.error == "ORCH_RESULT cannot be read: it is a link that leads nowhere"


def test_objects_in_metric_lines_are_named(node: Node) -> None:
    lines = r"""{"val": {"loss": 1}, "phase": "train", "acc": 2}\n{"acc": [3], "top": [1, 5]}\n"""
    node.job(python(f"import os; open(os.environ['ORCH_METRICS'], 'w').write('{lines}')"))
    outcome = node.outcome(node.run(node.submission()))
    assert outcome.result == {"acc": None}
    assert outcome.flags == {"no number in metric lines": "top, val: not a number but an object or a list"}


def test_the_good_numbers_of_a_result_are_kept_and_the_rest_is_named(node: Node) -> None:
    text = """
import os
open(os.environ["ORCH_METRICS"], "w").write('{"accuracy": 90, "loss": 0.5, "speed": 7}\\n')
with open(os.environ["ORCH_RESULT"], "w") as result:
    result.write('{"accuracy": 91.5, "loss": NaN, "model": "vgg", "odd\\\\udcff": 3, "n": 1e999}')
"""
    node.job(python(text))
    outcome = node.outcome(node.run(node.submission()))
    assert outcome.ending == "success"
    assert outcome.result == {"accuracy": 91.5, "loss": None, "speed": 7.0, "n": None, "odd\\udcff": 3.0}
    assert outcome.flags == {"left out of the result": 'loss is NaN, model is "vgg", n is Infinity'}


def test_many_things_left_out_are_counted() -> None:
    assert left_out({f"k{k}": "x" for k in range(9)}).endswith(', k4 is "x", 4 more')


def test_metric_lines_that_were_left_out_are_remarked(node: Node) -> None:
    node.job(python("import os; open(os.environ['ORCH_METRICS'], 'w').write('no\\n' * 30 + '{\"acc\": 3}\\n')"))
    folder = node.run(node.submission())
    outcome = node.outcome(folder)
    assert outcome.result == {"acc": 3.0}
    assert outcome.flags == {"metric lines left out": "30: see 'orch logs 1 --stderr'"}
    assert (folder / "stderr").read_text().count("skipped a metrics line") == 5


def test_a_result_does_not_wait_for_many_metric_lines(node: Node) -> None:
    """It is written first, with the last value of every line; a cancel meanwhile finds it there."""
    count = 150_000
    lines = f"[json.dumps({{'step': k, 'loss': 1 / (k + 1)}}) for k in range({count})]"
    node.job(python(f"{RESULT}; open(os.environ['ORCH_METRICS'], 'w').write('\\n'.join({lines}))"))
    worker = node.start(node.submission())
    folder = node.execution()
    deadline = time.monotonic() + 60
    while not (folder / "outcome.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    before = (folder / "metrics.jsonl").stat().st_size
    outcome = node.outcome(folder)
    assert (outcome.epoch, outcome.lines_follow) == (count, True)
    assert outcome.result == {"accuracy": 91.5, "loss": 1.0, "step": count - 1.0}
    assert worker.wait(60) == 0
    assert before < (folder / "metrics.jsonl").stat().st_size
    found = list(read_lines(folder / "metrics.jsonl", MetricLine))
    assert [line.epoch for line in found] == list(range(1, count + 1))
    assert found[-1].values == {"step": count - 1.0, "loss": 1 / count}
