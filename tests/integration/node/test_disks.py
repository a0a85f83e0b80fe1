"""A disk that is full or failing: what is waited out, and that a job which it failed is not the job's error."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.files import encode, now, read_json
from jobs.kind import kind_named
from jobs.node import command, disks, outcomes
from jobs.node.disks import Disks, of_exception
from jobs.node.endings import CommandFailed
from jobs.patience import patiently
from jobs.records import Outcome
from jobs.words import Cause
from tests.helpers.context import MemoryContext
from tests.helpers.node import Node, python
from tests.helpers.smalldisk import run_on_small_disk


@pytest.mark.parametrize("number", ["ENOSPC", "EDQUOT", "EROFS", "EIO", "ESTALE", "ENOTCONN", "ETIMEDOUT"])
def test_it_is_waited_out(number: str) -> None:
    tries = []

    def write() -> str:
        tries.append(1)
        if len(tries) < 2:
            raise OSError(getattr(errno, number), "not now")
        return "written"

    assert patiently(write) == "written"


def test_a_stop_ends_the_wait() -> None:
    """Else nobody would hear SIGTERM for half an hour."""
    asked = threading.Event()
    threading.Timer(0.4, asked.set).start()
    began = time.monotonic()
    with pytest.raises(OSError, match="full"):
        patiently(lambda: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")), unwanted=asked.is_set)
    assert 0.3 < time.monotonic() - began < 30


def chained() -> Exception:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as inner:
            raise ValueError("cannot save") from inner
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    ("error", "disk"),
    [
        (OSError(errno.EIO, "Input/output error"), True),
        (chained(), True),
        (CommandFailed("the command ended with exit code 1: OSError: [Errno 28] No space left on device"), True),
        (CommandFailed("the command ended with exit code 1: tar: x: Cannot write: Disk quota exceeded"), True),
        (CommandFailed("the command ended with exit code 1: sqlite3.OperationalError: database or disk is full"), True),
        (CommandFailed("the command ended with exit code 1: ValueError: 28"), False),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (CommandFailed("the command ended with signal SIGKILL: [Errno 28]", Cause.KILLED), False),
    ],
)
def test_who_says_that_a_disk_failed_it(error: Exception, disk: bool, tmp_path: Path) -> None:
    outcome = outcomes.failure(error, Disks({"run folder": tmp_path}))
    assert (outcome.cause is Cause.NODE_FAILURE) == disk == bool(outcome.disk)
    assert not disk or "a disk failed it" in (outcome.error or "")


@pytest.mark.parametrize(
    ("said", "disk"),
    [
        ("write /data/x: no space left on device", True),  # Go
        ("Error: ENOSPC: no space left on device, write", True),  # Node.js
        ('Os { code: 28, kind: StorageFull, message: "No space left on device" }', True),
        ("thread 'main' panicked: quota (os error 122)", True),  # Rust
        ("cp: error writing 'x': Disk quota exceeded", True),
        ("open /data/x: read-only file system", True),
        ("ValueError: 28 is no device", False),
        ("IndexError: (os error 2)", False),
        ("left on device", False),
    ],
)
def test_what_programs_say_of_a_full_disk(said: str, disk: bool, tmp_path: Path) -> None:
    found = Disks({"run folder": tmp_path}).trouble(said)
    assert (found is not None) is disk and (found is None or found[0] == "disk")


def test_a_loop_of_exceptions_ends() -> None:
    one, other = ValueError(1), ValueError(2)
    one.__cause__, other.__cause__ = other, one
    assert of_exception(one) is None


def test_a_disk_that_was_full_just_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may tidy up before it ends."""
    watched = Disks({"run folder": tmp_path})
    monkeypatch.setattr(disks, "_is_full", lambda folder: True)
    watched.look()
    monkeypatch.setattr(disks, "_is_full", lambda folder: False)
    assert watched.trouble() == ("run folder", f"the disk of the run folder ({tmp_path}) was full")
    monkeypatch.setattr(disks, "RECENT_SECONDS", 0.0)
    assert watched.trouble() is None


@pytest.mark.parametrize(("free", "full"), [(0, True), (3, True), (16, False)])
def test_a_disk_with_a_page_or_two_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, full: bool
) -> None:
    """As while others on it replace their files."""
    state = SimpleNamespace(f_blocks=1000, f_bfree=free, f_bavail=free, f_frsize=4096, f_files=0, f_favail=0)
    monkeypatch.setattr(os, "statvfs", lambda folder: state)
    watched = Disks({"run folder": tmp_path})
    watched.look()
    assert watched.held_up() is full


FILL = """
import os, subprocess, sys, time
from tests.helpers.cli import until
from tests.helpers.context import MemoryContext
from tests.helpers.node import Node, python
node = Node(FOLDER)
hog = FOLDER / "hog"
node.job(python('''
with open("hog", "wb", buffering=0) as hog:
    while True:
        hog.write(b"x" * 4096)
'''))
worker = node.start(node.submission())
until(lambda: os.statvfs(FOLDER).f_bfree == 0, "a full disk", 30)
time.sleep(1.5)
assert worker.poll() is None, "it waits for room for its outcome"
hog.unlink()
assert worker.wait(30) == 0
outcome = node.outcome(node.execution())
print(outcome.ending, outcome.cause, outcome.disk)
print(outcome.error)
"""


def test_a_program_that_the_run_folders_disk_failed(tmp_path: Path) -> None:
    """Its last words may be cut short too, so the worker looks at the disk itself."""
    first, second = run_on_small_disk(tmp_path, FILL, "4m").splitlines()
    assert first == "failure node_failure run folder"
    assert "the disk of the run folder" in second and str(tmp_path) in second


STOPPED = """
import os, signal, time
from tests.helpers.cli import until
from tests.helpers.context import MemoryContext
from tests.helpers.node import Node, python
node = Node(FOLDER)
node.job(python("import os, pathlib, time; pathlib.Path('up').touch(); time.sleep(60)"))
worker = node.start(node.submission())
until((FOLDER / "up").exists, "the program")
with open(FOLDER / "hog", "wb", buffering=0) as hog:
    try:
        while True:
            hog.write(b"x" * 4096)
    except OSError:
        pass
began = time.monotonic()
worker.terminate()
try:
    worker.wait(2)
except Exception:
    print("waits")
(FOLDER / "hog").unlink()
assert worker.wait(30) == 0
outcome = node.outcome(node.execution())
print(outcome.ending, outcome.cause)
"""


def test_a_stop_is_handed_on_while_the_disk_is_full(tmp_path: Path) -> None:
    """The program hears it, and the outcome is written as soon as there is room."""
    assert run_on_small_disk(tmp_path, STOPPED, "4m").splitlines() == ["waits", "interrupted preempted"]


LINES = """
import os, time
from jobs.files import read_lines
from jobs.records import MetricLine
from tests.helpers.cli import until
from tests.helpers.context import MemoryContext
from tests.helpers.node import Node, python
node = Node(FOLDER)
node.job(python('''
import os, pathlib, time
with open(os.environ["ORCH_METRICS"], "w") as metrics:
    for k in range(3000):
        print('{"loss": %d}' % k, file=metrics)
        if k == 1000:
            metrics.flush()
            pathlib.Path("half").touch()
            while not pathlib.Path("go").exists(): time.sleep(0.01)
'''))
(FOLDER / "go.later").touch()
worker = node.start(node.submission())
until((FOLDER / "half").exists, "the program")
until(lambda: (node.execution() / "metrics.jsonl").exists(), "lines")
(FOLDER / "room").write_bytes(b"x" * 400_000)
with open(FOLDER / "hog", "wb", buffering=0) as hog:
    try:
        while True:
            hog.write(b"x" * 4096)
    except OSError:
        pass
(FOLDER / "room").unlink()
(FOLDER / "go.later").rename(FOLDER / "go")
time.sleep(1)
(FOLDER / "hog").unlink()
assert worker.wait(60) == 0
outcome = node.outcome(node.execution())
lines = list(read_lines(node.execution() / "metrics.jsonl", MetricLine))
print(outcome.ending, outcome.result, outcome.epoch, [line.epoch for line in lines] == list(range(1, 3001)))
"""


def test_no_metric_line_is_lost_on_a_full_disk(tmp_path: Path) -> None:
    assert run_on_small_disk(tmp_path, LINES, "4m") == "success {'loss': 2999.0} 3000 True\n"


# ---- what cannot be written


def test_a_name_that_no_json_holds_costs_nothing(node: Node) -> None:
    """A lone surrogate: as Python reads an odd file name, or as a JSON escape says it."""
    text = 'import os; open(os.environ["ORCH_RESULT"], "w").write(\'{"acc": 93, "\\\\udcff": 1}\')'
    node.job(python(text))
    outcome = node.outcome(node.run(node.submission()))
    assert (outcome.ending, outcome.result) == ("success", {"acc": 93.0, "\\udcff": 1.0})
    assert encode({"\ud800": ["\udfff"]}) == b'{"\\\\ud800":["\\\\udfff"]}'


class Odd:
    def __float__(self) -> float:
        return 2.5


def outcome_of(**fields: object) -> Outcome:
    return Outcome(ending="success", cause=Cause.SUCCESS, at=now(), **fields)  # type: ignore[arg-type]


def read_back(outcome: Outcome, folder: Path) -> Outcome:
    (folder / "outcome.json").write_bytes(outcomes.encoded(outcome))
    found = read_json(folder / "outcome.json", Outcome)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("result", "kept", "missing"),
    [
        ({"a": 1.0, "b": Odd()}, {"a": 1.0, "b": 2.5}, ""),
        ({"a": 1.0, "b": "high"}, {"a": 1.0, "b": None}, "result b"),
        ({"a": 1.0, "b": 10**400}, {"a": 1.0, "b": None}, "result b"),
        ({"a": 1.0, 3: object()}, {"a": 1.0, "3": None}, "result 3"),
        ({"a": 1.0, "b": [1]}, {"a": 1.0, "b": None}, "result b"),
    ],
)
def test_the_numbers_that_can_be_written_are_kept(
    result: dict[str, float | None], kept: dict[str, float | None], missing: str, tmp_path: Path
) -> None:
    found = read_back(outcome_of(result=result), tmp_path)
    assert (found.ending, found.result) == ("success", kept)
    assert found.flags[outcomes.LEFT_OUT].startswith(missing)


def test_a_remark_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    found = read_back(outcome_of(result={"a": 1.0}, versions={"torch": object()}), tmp_path)
    assert (found.ending, found.result) == ("success", {"a": 1.0})
    assert found.flags[outcomes.LEFT_OUT].startswith("versions (")


def test_a_success_without_what_others_need_is_a_failure_that_says_so(tmp_path: Path) -> None:
    deep: dict[str, object] = {}
    deep["itself"] = deep
    found = read_back(outcome_of(result={"a": 1.0}, state=deep), tmp_path)
    assert (found.ending, found.cause, found.result) == ("failure", Cause.ERROR, {"a": 1.0})
    assert (found.error or "").startswith("its outcome cannot be written: state (")


def test_a_job_that_calls_exit_has_an_outcome() -> None:
    outcome = outcomes.failure(SystemExit(3), None)
    assert (outcome.ending, outcome.cause) == ("failure", Cause.ERROR)
    assert outcome.error == "the job called sys.exit(3) instead of returning its result"


def test_a_job_whose_needed_outcome_is_gone_has_an_outcome(node: Node) -> None:
    node.job(python("pass"))
    outcome = node.outcome(node.run(node.submission(inputs={"7": "0/7/1/e0-000000"})))
    assert (outcome.ending, outcome.cause) == ("failure", Cause.ERROR)
    assert outcome.error == "the accepted outcome of job 7 is not readable in 0/7/1/e0-000000"


def test_a_program_does_not_outlive_a_worker_that_cannot_follow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = kind_named("command").configure({"argv": python("import time; time.sleep(60)")}, "demo")
    context = MemoryContext(config, tmp_path / "execution", cwd=tmp_path)
    children = []
    monkeypatch.setattr(command.Program, "follow", lambda self, *_: children.append(self.child) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command.run(context)
    assert children[0].wait(10) == -signal.SIGKILL
