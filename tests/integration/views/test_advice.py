"""Every command that a sentence names can be typed as it stands, and does what it is named for: in every state of a
job, by `submit` again, `explain`, `status` and `show`, with a supervisor, with a frozen one and with none."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from db import lease
from db.store import Store
from jobs.words import Cause, JobState
from orchestrator.cli.main import run
from orchestrator.supervision import starting
from tests.helpers.filled import Filled, change

PROGRAM = ("--", sys.executable, "train.py", "{seed}")
ADVICE = re.compile(r"'(orch [^']+)'")
ANEW = {"orch retry": "queued", "orch cancel": "cancelled"}


def waiting(made: Filled) -> None:
    """It waits for job 2, which is queued."""
    change(made, "INSERT INTO job_dependency VALUES (1, 2)")
    change(made, "UPDATE job SET state = 'cancelled' WHERE id = 1")
    change(made, "UPDATE job SET state = 'waiting', generation = generation + 1 WHERE id = 1")


def behind_a_failure(made: Filled) -> None:
    waiting(made)
    made.dispatch(2)
    made.start(2)
    made.end(2, Cause.ERROR, JobState.FAILED, error="ValueError: no")


def behind_a_cancelled_one(made: Filled) -> None:
    waiting(made)
    made.cancel(2)


def queued(made: Filled) -> None:
    pass


def queued_again(made: Filled) -> None:
    made.dispatch(1)
    made.start(1)
    made.end(1, Cause.KILLED, JobState.QUEUED, decision="killed once: sent again")


def submitted(made: Filled) -> None:
    made.dispatch(1)


def never_started(made: Filled) -> None:
    made.dispatch(1, backend="slurm", native_id="77", slot=None)
    change(made, "UPDATE attempt SET phase = 'PENDING', reason = 'PartitionTimeLimit'")
    change(made, 'UPDATE launch SET text = replace(text, \'"backend":"local"\', \'"backend":"slurm"\')')


def in_slurms_queue(made: Filled) -> None:
    made.dispatch(1, backend="slurm", native_id="77", slot=None)
    change(made, "UPDATE attempt SET phase = 'PENDING', reason = 'Priority'")


def running(made: Filled) -> None:
    made.dispatch(1)
    made.start(1)


def succeeded(made: Filled) -> None:
    made.succeed(1, {"acc": 0.5})


def failed(made: Filled) -> None:
    made.dispatch(1)
    made.start(1)
    made.end(1, Cause.ERROR, JobState.FAILED, error="ValueError: no")


def cancelled(made: Filled) -> None:
    made.cancel(1)


def cancelled_while_it_ran(made: Filled) -> None:
    running(made)
    made.cancel(1)


STATES = (
    waiting,
    behind_a_failure,
    behind_a_cancelled_one,
    queued,
    queued_again,
    submitted,
    never_started,
    in_slurms_queue,
    running,
    succeeded,
    failed,
    cancelled,
    cancelled_while_it_ran,
)


class Typed:
    """Commands in a folder with two jobs, in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def __call__(self, *words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            run(words)
        read = self.capsys.readouterr()
        assert ended.value.code is None or isinstance(ended.value.code, int)
        return ended.value.code or 0, " ".join((read.out + read.err).split())

    def submit(self, *more: str) -> str:
        code, said = self("submit", "command", "--seeds", "2", "--no-start", *more, *PROGRAM)
        assert code == 0, said
        return said

    @property
    def store(self) -> Store:
        return Store(self.folder / ".orch")

    def state(self, job: int) -> tuple[str, int]:
        with self.store.read() as connection:
            row = connection.exec_driver_sql("SELECT state, generation FROM job WHERE id = ?", (job,)).one()
        return str(row[0]), int(row[1])


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "train.py").write_text("print(1)\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(starting, "ensure_supervisor", lambda store: False)
    given = {"ORCH_BACKEND": "local", "ORCH_PRESET": "demo", "HOME": str(tmp_path), "COLUMNS": "400"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    made = Typed(folder, capsys)
    made.submit()
    (folder / "train.py").write_text("print(2)\n")
    return made


def everything_said(typed: Typed) -> list[str]:
    """What each command says; the submits last, since they may change how a job is run."""
    looks = [typed(*words)[1] for words in (("explain", "1"), ("status",), ("show", "1"))]
    return [*looks, typed.submit(), typed.submit("--env", "A=1", "--mem", "2G", "--name", "other")]


@pytest.mark.parametrize(
    ("state", "supervisor"),
    [*((state, "none") for state in STATES), *((state, "frozen") for state in (waiting, behind_a_failure, queued))],
    ids=lambda one: one if isinstance(one, str) else str(one.__name__),
)
def test_what_is_advised_can_be_typed_and_helps(
    typed: Typed, state: Callable[[Filled], None], supervisor: str, tmp_path: Path
) -> None:
    made = Filled(typed.store)
    state(made)
    if supervisor == "frozen":
        assert lease.take(made.store) is not None
        change(made, "UPDATE lease SET renewed_at = strftime('%Y-%m-%dT%H:%M:%S', 'now', '-80 seconds') || '.000000Z'")
    was = typed.state(1)[0]
    told = everything_said(typed)
    stands = "no supervisor runs" if supervisor == "none" else "has not renewed its lease since"
    assert ("in a moment" in told[0]) is False
    if was == "queued":
        assert stands in told[0]
    kept = tmp_path / "kept"
    shutil.copytree(typed.folder / ".orch", kept)
    for said in told:
        for sentence in re.split(r" (?=\d+ of those|jobs? [\d-]+ (?:was|were|failed))", said):
            if commands := ADVICE.findall(sentence):
                shutil.rmtree(typed.folder / ".orch")
                shutil.copytree(kept, typed.folder / ".orch")
            for command in commands:
                follow(typed, command, sentence)


def follow(typed: Typed, command: str, sentence: str) -> None:
    """Type it; what it is said to run anew is queued or waits afterwards."""
    words = shlex.split(command)[1:]
    if words[0] in ("supervise", "submit"):
        return
    if words[0] == "set" and not {word for word in words if word.startswith("--")} - {"--now"}:
        words += ["--time", "5"]
    if words[0] in ("retry", "set", "cancel"):
        words += [] if words[0] == "cancel" else ["--no-start"]
    before = {job: typed.state(job) for job in (1, 2)}
    code, answer = typed(*words)
    assert code == 0, f"'{command}' of '{sentence}' is refused: {answer}"
    if words[0] == "retry":
        named = {before[int(word)][0] for word in words if word.isdigit()}
        assert named == ({"succeeded"} if "--succeeded" in words else named - {"succeeded"}), sentence
        again = [job for job in (1, 2) if typed.state(job)[1] > before[job][1]]
        assert again and all(typed.state(job)[0] in ("queued", "waiting") for job in again), sentence


def test_slurm_goes_on_without_a_frozen_supervisor(typed: Typed) -> None:
    made = Filled(typed.store)
    in_slurms_queue(made)
    assert lease.take(made.store) is not None
    change(made, "UPDATE lease SET renewed_at = strftime('%Y-%m-%dT%H:%M:%S', 'now', '-80 seconds') || '.000000Z'")
    _, said = typed("explain", "1")
    assert "SLURM starts it; orch need not be there for that" in said and "has not renewed" in said
    made.start(1)
    _, said = typed("explain", "1")
    assert "it goes on by itself; its end is taken in when the supervisor goes on" in said


def test_new_terms_of_what_has_ended_are_named_for_the_retry(typed: Typed) -> None:
    made = Filled(typed.store)
    failed(made)
    made.cancel(2)
    said = typed.submit("--mem", "2G")
    assert "job 1 failed before: 'orch retry 1' runs it again; name memory 2048 MB there too" in said
    assert "job 2 was cancelled before: 'orch retry 2' runs it again; name memory" in said
    assert "--succeeded" not in said
    assert "there too" not in typed.submit()
