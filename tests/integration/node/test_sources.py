"""A program's numbers from files, printed lines and event files, as a worker gathers them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jobs.files import read_lines
from jobs.node.sources import Sources, streams
from jobs.records import MetricLine, Outcome
from jobs.reported import MISSING, Declared, Reported
from tests.helpers.cli import until
from tests.helpers.context import MemoryContext
from tests.helpers.node import Node, python


def run(tmp_path: Path, text: str, reported: Reported) -> tuple[Outcome, dict[int, dict[str, Any]], Path]:
    """The outcome, and the curve: epoch → newest values."""
    node = Node(tmp_path)
    node.job(python(text), options=reported.options())
    folder = node.run(node.submission())
    curve: dict[int, dict[str, Any]] = {}
    for line in read_lines(folder / "metrics.jsonl", MetricLine):
        curve.setdefault(line.epoch, {}).update(line.values)
    return node.outcome(folder), curve, folder


ALL = """
import json, os, sys
out = os.environ["ORCH_OUT"]
def both(epoch):
    print(f"Epoch {epoch}/3")
    print(f"acc: {epoch}.1 printed: {epoch}", file=sys.stdout if epoch < 3 else sys.stderr)
with open(out + "/log.csv", "w") as log, open(os.environ["ORCH_METRICS"], "w") as lines:
    log.write("epoch,acc,file\\n")
    for epoch in (1, 2, 3):
        both(epoch)
        log.write(f"{epoch},{epoch}.3,{epoch}\\n")
        lines.write(json.dumps({"epoch": epoch, "acc": epoch + .2, "line": epoch, "printed": epoch * 10}) + "\\n")
with open(os.environ["ORCH_RESULT"], "w") as result:
    json.dump({"best": 9}, result)
"""


def test_the_first_way_that_gives_a_name_counts(tmp_path: Path) -> None:
    """Result files over ORCH_METRICS over printed lines, in the result and in the curve; ORCH_RESULT over all."""
    reported = Reported(
        result_files=("{out}/log.csv",),
        metrics={
            "acc": Declared(pattern=r"acc: ([\d.]+)"),
            "printed": Declared(pattern=r"printed: (\d+)"),
            "epoch": Declared(pattern=r"Epoch (\d+)"),
            "epochs": Declared(pattern=r"Epoch \d+/(\d+)"),
        },
    )
    outcome, curve, _ = run(tmp_path, ALL, reported)
    assert outcome.result == {"acc": 3.3, "file": 3.0, "line": 3.0, "printed": 30.0, "best": 9.0}
    assert {epoch: values["file"] for epoch, values in curve.items()} == {1: 1.0, 2: 2.0, 3: 3.0}
    assert curve[3]["acc"] == 3.3 and curve[3]["printed"] == 30.0
    assert outcome.flags == {}


def test_what_was_declared_and_not_found_is_said(tmp_path: Path) -> None:
    """A success without numbers is none in silence, whatever way was declared."""
    reported = Reported(
        result_files=("{out}/absent.json", "old.json"),
        metrics={"acc": Declared(pattern=r"Accuracy: ([\d.]+)"), "loss": Declared(unit="nat")},
        tensorboard=("{out}/tb",),
    )
    (tmp_path / "old.json").write_text('{"acc": 99}')
    outcome, curve, _ = run(tmp_path, "print('accuracy 5')", reported)
    assert outcome.ending == "success" and outcome.result == {} and curve == {}
    assert outcome.flags == {
        MISSING: r"acc: no printed line matched 'Accuracy: ([\d.]+)'; loss; {out}/absent.json was not written; "
        "old.json was there before the program started, and it wrote nothing to it: not counted; "
        "{out}/tb has no scalar (event files of TensorBoard)"
    }


def test_oddities_are_remarks_and_never_a_failure(tmp_path: Path) -> None:
    text = """
import os
open(os.environ["ORCH_OUT"] + "/m.jsonl", "wb").write(b'{"acc": NaN}\\n{"loss": 1, "t": {"s": 2}}\\nx\\xff\\n{"torn": ')
os.truncate("/proc/self/fd/1", 0)
print("x" * 10000, "acc: soon", flush=True)
"""
    reported = Reported(result_files=("{out}/m.jsonl",), metrics={"printed": Declared(pattern=r"acc: (\S+)|(?:^x)")})
    outcome, _, _ = run(tmp_path, text, reported)
    assert outcome.ending == "success" and outcome.result == {"acc": None, "loss": 1.0, "t/s": 2.0}
    assert outcome.flags["no finite number"] == "acc"
    assert outcome.flags[MISSING].startswith("printed: no printed line matched")
    assert "{out}/m.jsonl has 2 lines that are no JSON object" in outcome.flags["numbers"]
    assert "1 lines longer than 4 KiB" in outcome.flags["numbers"]


def test_curves_are_live(tmp_path: Path) -> None:
    """While the program runs its epochs are in metrics.jsonl, though Python itself would hold back what it prints."""
    text = """
import os, pathlib, time
log = open(os.environ["ORCH_OUT"] + "/log.csv", "w", buffering=1)
log.write("epoch,val\\n1,5\\n2,6\\n")
print("acc: 7")
while not pathlib.Path(os.environ["ORCH_OUT"], "go").exists():
    time.sleep(0.01)
log.write("3,8\\n")
"""
    reported = Reported(result_files=("{out}/log.csv",), metrics={"acc": Declared(pattern=r"acc: (\d+)")})
    node = Node(tmp_path)
    node.job(python(text), options=reported.options())
    worker = node.start(node.submission())
    folder = node.execution()

    def seen() -> list[tuple[int, dict[str, float | None]]]:
        return [(line.epoch, line.values) for line in read_lines(folder / "metrics.jsonl", MetricLine)]

    told = until(lambda: (found := seen()) and len(found) == 3 and found, "three metric lines")
    assert sorted(told, key=str) == [(1, {"acc": 7.0}), (1, {"val": 5.0}), (2, {"val": 6.0})]
    (folder / "out" / "go").touch()
    assert worker.wait(60) == 0
    assert node.outcome(folder).result == {"acc": 7.0, "val": 8.0}


def test_a_pattern_that_hangs_hangs_neither_the_worker_nor_its_stop(tmp_path: Path) -> None:
    text = "print(('a' * 4000 + '!\\n') * 200)\nprint('acc: 5')"
    reported = Reported(
        metrics={"slow": Declared(pattern=r"((?:a+)+)$"), "acc": Declared(pattern=r"acc: (\d+)")},
    )
    outcome, _, _ = run(tmp_path, text, reported)
    assert outcome.result == {"acc": 5.0}
    assert "the pattern of 'slow' was given up" in json.dumps(outcome.flags)


class FullDisk(MemoryContext):
    """A context that cannot write for a while."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.full = True
        self.rests: list[Callable[[], None]] = []

    def report_later(self, epoch: int, rest: Callable[[], None]) -> None:
        self.rests.append(rest)

    def report_lines(self, lines: Sequence[MetricLine]) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        super().report_lines(lines)


def test_a_full_disk_holds_up_neither_reading_nor_the_result_and_each_line_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    reported = Reported(result_files=(str(path),))
    context = FullDisk(None, tmp_path, options=reported.options())
    sources = Sources(context, tmp_path / "user_metrics.jsonl", Path, streams(tmp_path))
    path.write_text("epoch,acc\n1,10\n2,20\n")
    (tmp_path / "user_metrics.jsonl").write_text('{"acc": 1, "line": 2}\n')
    assert sources.forward() and context.lines == []
    with path.open("a") as file:
        file.write("3,30\n")
    sources.close()
    assert sources.result(None) == {"acc": 30.0, "line": 2.0} and context.lines == []
    context.full = False
    for rest in context.rests:
        rest()
    told = [(line.epoch, line.values) for line in context.lines]
    assert sorted(told, key=str) == [
        (1, {"acc": 10.0}),
        (1, {"line": 2.0}),
        (2, {"acc": 20.0}),
        (3, {"acc": 30.0}),
    ]
