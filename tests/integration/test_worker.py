"""What a worker does on a node: its files in their order, its signals, a user's program, and late or torn files."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from db.attempts import StoredAttempt
from jobs import command, files
from jobs.command import MetricsRelay, fill, inherit_checkpoints, newest_file, read_result
from jobs.context import Interrupted
from jobs.endings import CommandFailed, cause_of, cause_of_program
from jobs.errors import BadInput, DataError
from jobs.files import now, patiently, read_json, write_json
from jobs.kind import Resources, kind_named
from jobs.layout import Layout
from jobs.records import Accepted, JobFile, Manifest, MetricLine, Outcome, Ready, Started, Task
from jobs.stopping import Heartbeat, Stop, began_after
from jobs.words import AttemptState, Cause
from jobs.worker import Task as WorkerTask
from orchestrator.ingestion import Ingestion
from orchestrator.judging import Accept, Case, Nothing, judge
from tests.helpers.cli import alive, until
from tests.helpers.context import MemoryContext

PYTHON = sys.executable
RUN = "import sys; from jobs.worker import Task; Task(sys.argv[1])()"


class Node:
    """A store's run folders as a node sees them: no database."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root / ".orch")
        self.cwd = root
        self.layout.submissions.mkdir(parents=True)

    def job(self, argv: Sequence[str], *, job: int = 1, seed: int = 3, **more: Any) -> None:
        config = kind_named("command").configure({"argv": list(argv), **more.pop("config", {})}, "demo")
        record = JobFile(
            id=job,
            study="default",
            kind="command",
            kind_version=1,
            seed=seed,
            config=msgspec.to_builtins(config),
            preset="demo",
            key="k",
            cwd=str(self.cwd),
            created_at=now(),
            **more,
        )
        self.layout.job(job).mkdir(parents=True, exist_ok=True)
        write_json(self.layout.job(job) / "job.json", record)

    def submission(self, attempt: int = 1, *, jobs: Sequence[int] = (1,), **more: Any) -> Path:
        token = f"orch-{attempt:016x}"
        tasks = tuple(
            Task(job=job, attempt=attempt, resources=Resources(), **{"generation": 1, **more}) for job in jobs
        )
        folder = self.layout.submission(token)
        folder.mkdir()
        manifest = Manifest(token=token, backend="local", tasks=tasks, created_at=now())
        write_json(folder / "manifest.json", manifest)
        return folder

    def start(self, folder: Path, **environment: str) -> subprocess.Popen[bytes]:
        """The worker as a backend starts it, but for submitit."""
        given = {name: value for name, value in os.environ.items() if not name.startswith(("ORCH_", "SLURM_"))}
        given.update(PYTHONPATH=str(Path(__file__).parents[2]), PYTHONSAFEPATH="1", **environment)
        return subprocess.Popen([PYTHON, "-c", RUN, str(folder)], env=given, start_new_session=True)

    def run(self, folder: Path, **environment: str) -> Path:
        """Run it to its end: the execution's folder."""
        assert self.start(folder, **environment).wait(60) == 0
        return self.execution(int(folder.name[5:], 16))

    def execution(self, attempt: int = 1, job: int = 1) -> Path:
        return until(lambda: self.layout.executions(job, attempt), "an execution folder")[-1]

    def outcome(self, folder: Path) -> Outcome:
        found = read_json(folder / "outcome.json", Outcome)
        assert found is not None
        return found


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def python(text: str) -> list[str]:
    return [PYTHON, "-c", text]


RESULT = "import json, os; open(os.environ['ORCH_RESULT'], 'w').write(json.dumps({'accuracy': 91.5, 'loss': 1}))"


# ---- the worker


def test_an_execution_is_a_folder_of_files(node: Node) -> None:
    node.job(python(f"print('said'); {RESULT}"))
    folder = node.run(node.submission())
    assert folder.name.startswith("e0-")
    assert {"started.json", "ready.json", "heartbeat", "stdout", "stderr", "outcome.json"} <= set(files.names(folder))
    started = read_json(folder / "started.json", Started)
    assert started is not None and (started.job, started.attempt, started.index) == (1, 1, 0)
    assert (folder / "stdout").read_text() == "said\n"
    outcome = node.outcome(folder)
    assert (outcome.ending, outcome.cause, outcome.result) == (
        "success",
        Cause.SUCCESS,
        {"accuracy": 91.5, "loss": 1.0},
    )
    assert outcome.wall_seconds > 0 and outcome.peak_memory_mb > 1 and outcome.device == "cpu"


def test_a_command_imports_no_torch(node: Node) -> None:
    """Any training script gets slots and tables, in a tenth of a second and 30 MB."""
    node.job(["true"])
    text = f"{RUN}; assert not {{'torch', 'numpy', 'sqlalchemy', 'submitit'}} & set(sys.modules)"
    given = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([PYTHON, "-c", text, str(node.submission())], env=given, check=True)
    assert node.outcome(node.execution()).ending == "success"


def test_two_executions_of_an_attempt_never_share_a_folder(node: Node) -> None:
    """As after a controller crash, which may give the same restart count again."""
    node.job(["true"])
    folder = node.submission()
    first, second = (node.run(folder, SLURM_RESTART_COUNT="2") for _ in range(2))
    assert len(node.layout.executions(1, 1)) == 2
    assert first.name.startswith("e2-") and second.name.startswith("e2-")


def test_any_pickle_serves_any_task(node: Node) -> None:
    """The task is found by the array index alone."""
    for job in (1, 2, 3):
        node.job(python(RESULT), job=job)
    folder = node.submission(jobs=(1, 2, 3))
    assert node.start(folder, SLURM_ARRAY_TASK_ID="2").wait(60) == 0
    assert [bool(node.layout.attempts(job)) for job in (1, 2, 3)] == [False, False, True]


def test_a_missing_manifest_or_job_is_said_where_submitit_prints(node: Node) -> None:
    folder = node.submission()
    with pytest.raises(DataError, match=r"no readable job\.json of job 1: is the store's folder mounted"):
        WorkerTask(str(folder))()
    (folder / "manifest.json").unlink()
    with pytest.raises(DataError, match="no readable manifest"):
        WorkerTask(str(folder))()


@pytest.mark.parametrize(
    ("text", "cause", "error"),
    [
        ("raise ValueError('hole')", Cause.ERROR, "exit code 1: ValueError: hole"),
        ("import os; os._exit(7)", Cause.ERROR, "exit code 7"),
        ("raise MemoryError", Cause.OUT_OF_MEMORY, "MemoryError"),
        ("raise RuntimeError('CUDA error: unspecified launch failure')", Cause.GPU_FAULT, "CUDA error"),
        ("raise RuntimeError('CUDA out of memory. Tried to allocate')", Cause.GPU_OUT_OF_MEMORY, "CUDA out of memory"),
        ("import os; os.kill(os.getpid(), 9)", Cause.KILLED, "signal SIGKILL"),
        ("import os; os.abort()", Cause.ERROR, "signal SIGABRT"),
    ],
)
def test_how_a_program_failed(node: Node, text: str, cause: Cause, error: str) -> None:
    node.job(python(text))
    outcome = node.outcome(node.run(node.submission()))
    assert (outcome.ending, outcome.cause) == ("failure", cause)
    assert error in (outcome.error or "")


def test_a_program_that_is_not_there(node: Node) -> None:
    node.job(["no-such-program"])
    outcome = node.outcome(node.run(node.submission()))
    assert outcome.error == "cannot start 'no-such-program': No such file or directory"


def test_a_working_folder_that_is_gone(node: Node) -> None:
    node.job(["true"])
    record = read_json(node.layout.job(1) / "job.json", JobFile)
    assert record is not None
    write_json(node.layout.job(1) / "job.json", msgspec.structs.replace(record, cwd=str(node.cwd / "gone")))
    outcome = node.outcome(node.run(node.submission()))
    assert (outcome.ending, outcome.cause) == ("failure", Cause.ERROR) and "gone" in (outcome.error or "")


STOPPING = """
import os, pathlib, signal, sys, time
kept = pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"]) / "step"
def stop(number, frame):
    kept.write_text("7")
    sys.exit(0 if "finish" in sys.argv else 1)
signal.signal(signal.SIGTERM, stop)
pathlib.Path("up").touch()
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_stop_is_handed_on_and_the_checkpoint_kept(node: Node, number: signal.Signals) -> None:
    """USR2 is SLURM's warning to us; the program hears its own signal, saves, and goes on in the next attempt."""
    node.job(python(STOPPING))
    worker = node.start(node.submission())
    until((node.cwd / "up").exists, "the program")
    os.kill(worker.pid, number)
    assert worker.wait(30) == 0
    outcome = node.outcome(node.execution())
    assert outcome.ending == "interrupted" and outcome.checkpoint_step > 0
    assert outcome.cause is Cause.PREEMPTED
    node.job(python("import os; print(open(os.environ['ORCH_CHECKPOINT_DIR'] + '/step').read())"))
    assert (node.run(node.submission(2)) / "stdout").read_text() == "7\n"


def test_user_signals_to_the_whole_step_do_not_reach_the_program(node: Node) -> None:
    """srun sends USR2 to every process of the step; unshielded, Python would die of it."""
    node.job(python("import pathlib, time; pathlib.Path('up').touch(); time.sleep(1.0); pathlib.Path('done').touch()"))
    worker = node.start(node.submission())
    until((node.cwd / "up").exists, "the program")
    (child,) = children(worker.pid)
    os.kill(child, signal.SIGUSR2)
    assert worker.wait(30) == 0
    assert (node.cwd / "done").exists()
    assert node.outcome(node.execution()).ending == "success"


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def in_memory(tmp_path: Path, argv: Sequence[str], **more: Any) -> MemoryContext:
    config = kind_named("command").configure({"argv": list(argv)}, "demo")
    return MemoryContext(config, tmp_path / "execution", cwd=tmp_path, **more)


def test_a_program_that_ignores_its_signal_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "GRACE_SECONDS", 0.3)
    text = "import pathlib, signal, time; signal.signal(15, signal.SIG_IGN); pathlib.Path('up').touch(); time.sleep(60)"
    context = in_memory(tmp_path, python(text), stop=(tmp_path / "up").exists)
    began = time.monotonic()
    with pytest.raises(Interrupted):
        command.run(context)
    assert time.monotonic() - began < 20


def test_a_stop_after_which_the_program_still_finished_is_a_success(tmp_path: Path) -> None:
    text = f"""
import pathlib, signal, sys, time
def stop(number, frame):
    {RESULT}
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
pathlib.Path("up").touch()
time.sleep(60)
"""
    context = in_memory(tmp_path, python(text), stop=(tmp_path / "up").exists)
    assert command.run(context) == {"accuracy": 91.5, "loss": 1.0}


def test_the_program_is_told_where_and_who_it_is(node: Node) -> None:
    mine = "{k: v for k, v in os.environ.items() if k.startswith('ORCH_')}"
    text = f"import json, os; print(json.dumps({mine}), os.getcwd())"
    node.job([*python(text), "{seed}", "{lr}"], config={"parameters": {"lr": "0.1"}}, seed=8)
    folder = node.run(node.submission())
    told, _, cwd = (folder / "stdout").read_text().strip().rpartition(" ")
    names = json.loads(told)
    assert cwd == str(node.cwd)
    assert (names["ORCH_SEED"], names["ORCH_JOB"], names["ORCH_STUDY_CWD"]) == ("8", "1", str(node.cwd))
    assert {str(Path(names[n]).parent) for n in ("ORCH_RESULT", "ORCH_METRICS", "ORCH_CHECKPOINT_DIR")} == {str(folder)}


def test_the_arguments_are_filled_in() -> None:
    argv = ("train.py", "--seed={seed}", "{lr}", "{Keep}", "{}", "{0}", "{{x}", "json={'a': 1}")
    assert fill(argv, {"seed": 3, "lr": "0.1", "x": 9}) == [
        "train.py",
        "--seed=3",
        "0.1",
        "{Keep}",
        "{}",
        "{0}",
        "{9",
        "json={'a': 1}",
    ]
    with pytest.raises(BadInput, match=r"uses \{size\}, which is not defined: use seed"):
        fill(("{size}",), {"seed": 1})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "no JSON object of numbers"),
        ("{", "no JSON object of numbers"),
        ('{"accuracy": NaN}', "'accuracy'"),
        ('{"accuracy": 1e999}', "'accuracy'"),
        ('{"accuracy": "high", "loss": 1}', "'accuracy'"),
    ],
)
def test_a_result_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(CommandFailed, match=said):
        read_result(tmp_path / "result.json")


def test_no_result_file_is_no_number(tmp_path: Path) -> None:
    assert read_result(tmp_path / "result.json") == {}


def test_metrics_are_handed_on_line_by_line(tmp_path: Path) -> None:
    """Whole lines only; odd ones skipped; the epoch counts up by itself; not a number becomes none."""
    context = in_memory(tmp_path, ["true"])
    path = tmp_path / "m.jsonl"
    relay = MetricsRelay(context, path)
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
        metrics.write('{"epoch": -1, "loss": 1}\n{"epoch": 1.5}\n{"epoch": 1e30}\n')
        metrics.write(f'{{"epoch": {10**40}}}\n{{"loss": {10**400}}}\n{{"loss": NaN, "accuracy": 3}}\n')
    relay.forward()
    assert [(line.epoch, line.values) for line in context.lines] == [
        (1, {"loss": 2.0}),
        (2, {"loss": 1.5}),
        (7, {"loss": None}),
        (8, {"loss": None}),
        (9, {"loss": None, "accuracy": 3.0}),
    ]
    assert relay.last == {"loss": 1.5, "accuracy": 3.0}


def test_the_newest_checkpoints_are_inherited_and_never_written_to(tmp_path: Path) -> None:
    old, new, empty, own = (tmp_path / name for name in ("old", "new", "empty", "own"))
    for number, folder in enumerate((old, new)):
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "model").write_text(folder.name)
        os.utime(folder / "deep" / "model", ns=(0, 10**18 + number))
    empty.mkdir()
    inherit_checkpoints(own, (new, old, empty, tmp_path / "none"))
    assert (own / "deep" / "model").read_text() == "new"
    assert newest_file(own) == 10**18 + 1
    (own / "deep" / "model").write_text("mine")
    assert (new / "deep" / "model").read_text() == "new"
    inherit_checkpoints(tmp_path / "fresh", ())
    assert newest_file(tmp_path / "fresh") == -1


@pytest.mark.parametrize(("resume", "generation", "found"), [(True, 2, "1"), (False, 2, ""), (False, 1, "1")])
def test_which_checkpoints_an_execution_may_see(node: Node, resume: bool, generation: int, found: str) -> None:
    """A retry after an error begins anew, a resubmission of the same generation never does."""
    node.job(python("import os; open(os.environ['ORCH_CHECKPOINT_DIR'] + '/step', 'w').write('1')"))
    node.run(node.submission(1))
    text = (
        "import os, pathlib; print(*[p.read_text() for p in pathlib.Path(os.environ['ORCH_CHECKPOINT_DIR']).iterdir()])"
    )
    node.job(python(text))
    folder = node.run(node.submission(2, resume=resume, generation=generation))
    assert (folder / "stdout").read_text().strip() == found


def test_code_that_changed_is_marked(node: Node) -> None:
    from jobs import fingerprint

    (node.cwd / "train.py").write_text("print(1)")
    node.job(["true"], fingerprint=fingerprint.take(node.cwd))
    same = read_json(node.run(node.submission(1)) / "started.json", Started)
    node.job(["true"], fingerprint=msgspec.structs.replace(fingerprint.take(node.cwd), source="another"))
    changed = read_json(node.run(node.submission(2)) / "started.json", Started)
    assert same is not None and not same.code_changed
    assert changed is not None and changed.code_changed


# ---- causes


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError("hole"), Cause.ERROR),
        (MemoryError(), Cause.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), Cause.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: an illegal memory access"), Cause.GPU_FAULT),
        (RuntimeError("NCCL error in: x"), Cause.GPU_FAULT),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), Cause.GPU_OUT_OF_MEMORY),
        (CommandFailed("x", Cause.KILLED), Cause.KILLED),
    ],
)
def test_causes_of_exceptions(error: Exception, cause: Cause) -> None:
    assert cause_of(error) is cause


@pytest.mark.parametrize(
    ("code", "line", "oom", "cause"),
    [
        (1, "ValueError: MemoryMap", False, Cause.ERROR),
        (1, "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 9 GiB", False, Cause.OUT_OF_MEMORY),
        (134, "terminate called after throwing an instance of 'std::bad_alloc'", False, Cause.OUT_OF_MEMORY),
        (1, "torch.OutOfMemoryError: CUDA out of memory. Tried", False, Cause.GPU_OUT_OF_MEMORY),
        (-9, "", True, Cause.OUT_OF_MEMORY),
        (-9, "", False, Cause.KILLED),
        (-15, "", True, Cause.KILLED),
        (-11, "", True, Cause.ERROR),
    ],
)
def test_causes_of_programs(code: int, line: str, oom: bool, cause: Cause) -> None:
    assert cause_of_program(code, line, oom) is cause


# ---- copies that are useless


def started(node: Node, *, attempt: int = 1, restart: int = 0, minutes: float = 0.0) -> tuple[Path, Started]:
    """An execution's folder with its first file."""
    folder = node.layout.new_execution(1, attempt, restart)
    record = Started(
        job=1,
        attempt=attempt,
        generation=1,
        token="orch-1",
        index=0,
        restart=restart,
        node="n",
        host="n",
        pid=1,
        process_start=0.0,
        boot_id="b",
        at=now() + timedelta(minutes=minutes),
    )
    write_json(folder / "started.json", record)
    return folder, record


def useless(node: Node, folder: Path, record: Started) -> bool:
    return Heartbeat(node.layout, folder, record, Stop()).useless()


def test_a_worker_stops_where_its_job_is_closed(node: Node) -> None:
    mine = started(node)
    assert not useless(node, *mine)
    write_json(node.layout.job(1) / "accepted.json", Accepted(attempt=2, execution="e0-000000", at=now()))
    assert useless(node, *mine)


def test_a_worker_stops_where_a_later_copy_began(node: Node) -> None:
    """scancel cannot reach an orphan whose slurmd is dead."""
    orphan = started(node)
    requeued = started(node, restart=1)
    assert useless(node, *orphan) and not useless(node, *requeued)
    resubmitted = started(node, attempt=2)
    assert useless(node, *requeued) and not useless(node, *resubmitted)


def test_a_clock_that_was_set_back_stops_no_newer_copy(node: Node) -> None:
    """The requeued execution begins an hour before the one it follows, by its node's clock."""
    orphan = started(node, minutes=60)
    requeued = started(node, restart=1)
    assert useless(node, *orphan) and not useless(node, *requeued)
    assert began_after(requeued[1], orphan[1])


# ---- files


def test_a_full_disk_is_waited_out(capfd: pytest.CaptureFixture[str]) -> None:
    tries = []

    def write() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(28, "No space left on device")
        return "written"

    assert patiently(write) == "written"
    assert capfd.readouterr().err == "orch: No space left on device: waiting for room\n"
    with pytest.raises(OSError, match="No space"):
        patiently(lambda: (_ for _ in ()).throw(OSError(28, "No space left on device")), seconds=0.1)
    with pytest.raises(PermissionError):
        patiently(lambda: (_ for _ in ()).throw(PermissionError(13, "denied")))


def test_an_append_that_fails_leaves_no_torn_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    files.append_json(path, {"epoch": 1})
    limit = path.stat().st_size + 5
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            files.append_json(path, {"epoch": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == '{"epoch":1}\n'


def attempt_of(node: Node) -> StoredAttempt:
    return StoredAttempt(
        id=1,
        job=1,
        kind="command",
        number=1,
        generation=1,
        job_generation=1,
        token="orch-1",
        position=0,
        size=1,
        backend="slurm",
        native_id="1",
        slot=None,
        state=AttemptState.RUNNING,
        doomed=False,
        phase=None,
        reason=None,
        node=None,
        absent=0,
        cause=None,
        evidence=(),
        decision=None,
        checkpoint_step=-1,
        created_at=now(),
        ended_at=None,
        pid=None,
        process_start=None,
        boot_id=None,
    )


def test_pain_13_late_files(node: Node) -> None:
    """On a shared folder files show late and out of order: no result is lost, none accepted without its history."""
    attempt, reader = attempt_of(node), Ingestion(node.layout)

    def verdict() -> object:
        found = reader.look([attempt])[1, 1]
        return judge(Case(attempt=attempt, executions=found, observation=None, age_seconds=1.0))

    folder, record = started(node)
    (folder / "started.json").rename(folder / "hidden")
    assert isinstance(verdict(), Nothing), "a folder without its first file yet"
    (folder / "hidden").rename(folder / "started.json")
    write_json(folder / "ready.json", Ready(at=now()))
    line = MetricLine(epoch=1, epochs=2, at=now(), values={"loss": 1.0})
    files.append_json(folder / "metrics.jsonl", line)
    outcome = Outcome(ending="success", cause=Cause.SUCCESS, result={"loss": 0.5}, epoch=2, at=now())
    (folder / "outcome.json").write_bytes(msgspec.json.encode(outcome)[:30])
    assert not isinstance(verdict(), Accept), "a torn outcome is none"
    write_json(folder / "outcome.json", outcome)
    assert isinstance(verdict(), Nothing), "its last epoch is still on its way"
    with (folder / "metrics.jsonl").open("ab") as metrics:
        text = msgspec.json.encode(msgspec.structs.replace(line, epoch=2, values={"loss": 0.5}))
        metrics.write(text[:20])
        metrics.flush()
        assert isinstance(verdict(), Nothing), "half a line"
        metrics.write(text[20:] + b"\n")
    accepted = verdict()
    assert isinstance(accepted, Accept) and accepted.seen.name == folder.name
    assert [(item.epoch, item.values) for item in accepted.seen.lines] == [(1, {"loss": 1.0}), (2, {"loss": 0.5})]
    assert record.job == 1


def test_torn_metrics_do_not_hide_what_follows(node: Node) -> None:
    """A history that a resumed execution restored replaces the file as a whole."""
    attempt, reader = attempt_of(node), Ingestion(node.layout)
    folder, _ = started(node)
    line = MetricLine(epoch=1, at=now(), values={"loss": 1.0})
    whole = msgspec.json.encode(line)
    (folder / "metrics.jsonl").write_bytes(
        whole + b"\n" + whole[:9] + b"\nnonsense\n" + b'{"epoch": 1e99}\n' + whole[:5]
    )
    (seen,) = reader.look([attempt])[1, 1]
    assert [item.epoch for item in seen.lines] == [1]
    seen.lines.clear()
    two = msgspec.json.encode(msgspec.structs.replace(line, epoch=2))
    files.write_bytes(folder / "metrics.jsonl", whole + b"\n" + two + b"\n")
    (seen,) = reader.look([attempt])[1, 1]
    assert [item.epoch for item in seen.lines] == [1, 2]


def test_what_a_dead_worker_started_is_known_by_its_session(node: Node) -> None:
    """The program shares its worker's session, so that a backend finds it when the worker is gone."""
    node.job(python("import pathlib, time; pathlib.Path('up').touch(); time.sleep(60)"))
    worker = node.start(node.submission())
    until((node.cwd / "up").exists, "the program")
    (child,) = children(worker.pid)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(30)
    try:
        assert alive(child) and os.getsid(child) == worker.pid
    finally:
        os.kill(child, signal.SIGKILL)
