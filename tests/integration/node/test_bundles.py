"""The runner of a bundle with real workers: who runs when, what its ledger says, and who goes back."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

from jobs import bundles
from jobs.bundles import Ledgers, Step
from jobs.files import make_folder, read_json, read_lines
from jobs.records import Outcome, Started
from jobs.resources import Resources
from jobs.words import Cause
from tests.helpers.cli import until
from tests.helpers.node import RESULT, Node, python

WAITS = (
    "import os, pathlib, time\n"
    "go = pathlib.Path('go')\n"
    "pathlib.Path(os.environ['ORCH_CHECKPOINT_DIR'], 'state').write_text('1')\n"
    "while not go.exists(): time.sleep(0.02)\n"
)
SMALL = Resources(memory_mb=500, minutes=60)


def submit(node: Node, count: int, program: str = RESULT, **more: object) -> Path:
    for job in range(1, count + 1):
        node.job(python(program), job=job, seed=job)
    given = {"bundle": count, "at_once": 2, "resources": SMALL, **more}
    return node.submission(jobs=tuple(range(1, count + 1)), **given)


def ledgers(node: Node, folder: Path) -> Ledgers:
    token = folder.name
    return bundles.read(
        (restart, list(read_lines(path, bundles.BundleLine))) for restart, path in node.layout.ledgers(token, 0)
    )


def steps(node: Node, folder: Path) -> dict[int, Step]:
    return {job: one.step for (job, _), one in ledgers(node, folder).standings.items()}


def runs(node: Node, job: int) -> list[tuple[Started, Outcome | None]]:
    found = []
    for path in node.layout.executions(job, 1):
        started = read_json(path / "started.json", Started)
        if started is not None:
            found.append((started, read_json(path / "outcome.json", Outcome)))
    return sorted(found, key=lambda one: one[0].restart)


def workers(runner: int) -> list[psutil.Process]:
    return psutil.Process(runner).children()


def held(pid: int) -> list[str]:
    """What its descriptors are of."""
    return [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]


def test_each_has_its_own_end_and_so_many_run_at_a_time(tmp_path: Path) -> None:
    node = Node(tmp_path)
    folder = submit(node, 6, "import time; time.sleep(0.3)\n" + RESULT)
    node.job(python("raise SystemExit('this one never works')"), job=4, seed=4)
    assert node.start(folder).wait(60) == 0
    assert steps(node, folder) == dict.fromkeys(range(1, 7), Step.ENDED)
    spans = []
    for job in range(1, 7):
        [(started, outcome)] = runs(node, job)
        assert outcome is not None
        assert outcome.ending == ("failure" if job == 4 else "success")
        spans.append((started.at, outcome.at))
    for begin, _ in spans:
        assert sum(one <= begin < end for one, end in spans) <= 2, "more ran at a time than were asked for"
    failed = runs(node, 4)[0][1]
    assert failed is not None and "this one never works" in (failed.error or "")


def test_a_worker_is_a_session_of_its_own_and_holds_nothing_of_its_runner(tmp_path: Path) -> None:
    node = Node(tmp_path)
    folder = submit(node, 2, WAITS + RESULT)
    runner = node.start(folder)
    until(lambda: all(list(node.layout.attempt(job, 1).glob("e*/checkpoints/state")) for job in (1, 2)), "both run")
    assert sum("bundles" in path for path in held(runner.pid)) == 1, "one ledger"
    assert psutil.Process(runner.pid).num_threads() == 1
    for worker in workers(runner.pid):
        assert os.getsid(worker.pid) == worker.pid
        assert not any("bundles" in path for path in held(worker.pid))
    (tmp_path / "go").touch()
    assert runner.wait(60) == 0
    assert steps(node, folder) == {1: Step.ENDED, 2: Step.ENDED}


def test_a_mark_ends_one_alone_and_keeps_one_from_beginning(tmp_path: Path) -> None:
    node = Node(tmp_path)
    folder = submit(node, 4, WAITS + RESULT)
    runner = node.start(folder)
    until(lambda: steps(node, folder) == {1: Step.STARTED, 2: Step.STARTED}, "two run")
    until(lambda: list(node.layout.attempt(1, 1).glob("e*/checkpoints/state")), "the first saves")
    for job in (1, 3):
        node.layout.cancel_mark(folder.name, 0, job, 1).touch()
    until(lambda: steps(node, folder).get(1) is Step.CANCELLED, "the one that ran is gone")
    (tmp_path / "go").touch()
    assert runner.wait(60) == 0
    assert steps(node, folder) == {1: Step.CANCELLED, 2: Step.ENDED, 3: Step.CANCELLED, 4: Step.ENDED}
    assert [outcome.ending for _, outcome in runs(node, 1) if outcome] == ["interrupted"]
    assert runs(node, 3) == []


def test_what_does_not_fit_into_the_time_goes_back(tmp_path: Path) -> None:
    node = Node(tmp_path)
    folder = submit(node, 4, resources=Resources(memory_mb=500, minutes=2), learnt_seconds=100.0)
    assert node.start(folder).wait(60) == 0
    found = ledgers(node, folder).standings
    assert {job: one.step for (job, _), one in found.items()} == {
        1: Step.ENDED, 2: Step.ENDED, 3: Step.RETURNED, 4: Step.RETURNED,
    }  # fmt: skip
    assert "what was left of the task's time" in found[3, 1].line.text and not found[3, 1].ran


def test_one_above_its_share_ends_before_all_do(tmp_path: Path) -> None:
    node = Node(tmp_path)
    hungry = "import time; kept = b'x' * 400_000_000; time.sleep(60)"
    folder = submit(node, 2, WAITS + RESULT, resources=Resources(memory_mb=200, minutes=60))
    node.job(python(hungry), job=2, seed=2)
    runner = node.start(folder, SLURM_MEM_PER_NODE="400")
    until(lambda: steps(node, folder).get(2) is Step.ENDED, "the large one is ended")
    line = ledgers(node, folder).standings[2, 1].line
    assert line.cause is Cause.OUT_OF_MEMORY and line.over_mb > 50 and "its share is 200 MB" in line.text
    (tmp_path / "go").touch()
    assert runner.wait(60) == 0
    assert [outcome.ending for _, outcome in runs(node, 1) if outcome] == ["success"]
    assert [outcome for _, outcome in runs(node, 2)] == [None], "its runner's word is all there is"


def test_a_runner_that_is_begun_again_begins_what_is_unfinished_alone(tmp_path: Path) -> None:
    node = Node(tmp_path)
    folder = submit(node, 5, WAITS + RESULT)
    node.job(python(RESULT), job=1, seed=1)
    runner = node.start(folder)
    until(lambda: steps(node, folder).get(3) is Step.STARTED, "the first has made room for the third")
    until(lambda: list(node.layout.attempt(3, 1).glob("e*/started.json")), "the third begins")
    killed = workers(runner.pid)
    runner.kill()
    runner.wait()
    psutil.wait_procs(killed, timeout=30)
    for job in (2, 3):
        [(_, outcome)] = runs(node, job)
        assert outcome is not None and (outcome.ending, outcome.cause) == ("interrupted", Cause.KILLED)
    make_folder(node.layout.attempt(4, 2))  # what orch makes before it sends a job another way
    (tmp_path / "go").touch()
    assert node.start(folder, SLURM_RESTART_COUNT="1").wait(60) == 0
    assert [len(runs(node, job)) for job in range(1, 6)] == [1, 2, 2, 0, 1]
    assert {job: runs(node, job)[-1][0].restart for job in (1, 2, 3, 5)} == {1: 0, 2: 1, 3: 1, 5: 1}
    assert steps(node, folder) == dict.fromkeys(range(1, 6), Step.ENDED)


def test_a_warning_reaches_all_and_nobody_begins_after_it(tmp_path: Path) -> None:
    node = Node(tmp_path)
    folder = submit(node, 4, WAITS + RESULT)
    runner = node.start(folder)
    until(lambda: all(list(node.layout.attempt(job, 1).glob("e*/checkpoints/state")) for job in (1, 2)), "both run")
    runner.send_signal(signal.SIGUSR2)  # to the runner alone, as to a batch step
    assert runner.wait(60) == 0
    assert steps(node, folder) == {1: Step.STOPPED, 2: Step.STOPPED, 3: Step.RETURNED, 4: Step.RETURNED}
    for job in (1, 2):
        [(_, outcome)] = runs(node, job)
        assert outcome is not None and outcome.ending == "interrupted" and not outcome.requeued


def test_what_a_worker_says_before_it_has_a_folder_stands_in_the_ledger(tmp_path: Path) -> None:
    node = Node(tmp_path)
    folder = submit(node, 2)
    (node.layout.job(2) / "job.json").unlink()
    assert node.start(folder).wait(60) == 0
    line = ledgers(node, folder).standings[2, 1].line
    assert line.step is Step.ENDED and line.code == 1 and "no readable job.json of job 2" in line.text
