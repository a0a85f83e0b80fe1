"""A program of several ranks in a worker: who writes, whose fault an end is, and that all of them end together."""

from __future__ import annotations

import os
import signal
import sys
import time
import venv
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobs.errors import BadInput
from jobs.files import now, read_json, write_json
from jobs.kind import kind_named
from jobs.node import command, foreground, onerank, ranks, team
from jobs.node.context import Interrupted
from jobs.node.endings import CommandFailed
from jobs.node.foreground import Order
from jobs.node.ranks import Beat, Ended, Plan
from jobs.node.team import Team
from jobs.records import JobFile, Task, Terms
from jobs.resources import Resources
from jobs.words import Cause
from tests.helpers import torchrun
from tests.helpers.context import MemoryContext
from tests.helpers.node import Node, python

HEAD = "import json, os, pathlib, signal, sys, time\nrank = os.environ['RANK']\n"


@pytest.fixture(autouse=True)
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch takes seconds to import; the real one runs in tests/e2e and tests/slurm."""
    monkeypatch.setattr(team, "torchrun", lambda context, prepared: [sys.executable, torchrun.__file__])
    monkeypatch.setattr(team, "LOOK_SECONDS", 0.1)


def of(tmp_path: Path, argv: list[str], count: int = 2, **more: Any) -> MemoryContext:
    config = kind_named("command").configure({"argv": argv}, "demo")
    options = {"launcher": "torchrun", "ranks_per_node": count, **more.pop("options", {})}
    return MemoryContext(config, tmp_path / "e0-abc", cwd=tmp_path, options=options, threads=2 * count, **more)


def test_rank_0_writes_and_the_others_have_files_of_their_own(tmp_path: Path) -> None:
    text = f"""{HEAD}
print("hello from", rank, sys.argv[1:])
for epoch in (1, 2):
    with open(os.environ["ORCH_METRICS"], "a") as file:
        file.write(json.dumps({{"epoch": epoch, "loss": epoch + 10 * int(rank)}}) + "\\n")
result = {{"rank": int(rank), "threads": int(os.environ["OMP_NUM_THREADS"])}}
pathlib.Path(os.environ["ORCH_RESULT"]).write_text(json.dumps(result))
"""
    context = of(tmp_path, [*python(text), "${local_rank}$$"], count=3)
    assert command.run(context) == {"loss": 2.0, "rank": 0.0, "threads": 2.0}
    assert [(line.epoch, line.values["loss"]) for line in context.lines] == [(1, 1.0), (2, 2.0)]
    folder = context.folder / ranks.FOLDER
    assert (context.folder / "stdout").read_text() == "hello from 0 ['${local_rank}$$']\n"
    assert [ranks.stream(folder, n, "stdout").read_text().split()[2] for n in ranks.printed(folder)] == ["1", "2"]
    assert {rank: one.code for rank, one in ranks.ended(folder).items()} == {0: 0, 1: 0, 2: 0}


@pytest.mark.parametrize(
    ("end", "cause", "text"),
    [
        ("raise ValueError('the shard has a hole')", Cause.ERROR, "exit code 1: ValueError: the shard has a hole"),
        ("os.kill(os.getpid(), 9)", Cause.KILLED, "signal SIGKILL"),
        ("os.kill(os.getpid(), 11)", Cause.ERROR, "signal SIGSEGV"),
        ("sys.exit('CUDA error: an illegal memory access')", Cause.GPU_FAULT, "exit code 1: CUDA error"),
        ("os.execv('/no/program', ['x'])", Cause.ERROR, "exit code 1: FileNotFoundError"),
    ],
)
def test_the_rank_that_failed_first_is_named_and_the_others_end(
    tmp_path: Path, end: str, cause: Cause, text: str
) -> None:
    """Rank 0 fails as well, since its connection is closed: that is no fault of its own."""
    program = f"""{HEAD}
if rank == "1":
    {end}
while not pathlib.Path(os.environ["ORCH_RANKS"], "ended-1.json").exists():
    time.sleep(0.01)
sys.exit("RuntimeError: [gloo/transport/tcp/pair.cc] Connection closed by peer")
"""
    began = time.monotonic()
    with pytest.raises(CommandFailed, match="rank 1 ended with") as caught:
        command.run(of(tmp_path, python(program)))
    assert caught.value.cause is cause and text in str(caught.value) and caught.value.node == ""
    assert time.monotonic() - began < 20


def test_a_stop_reaches_every_rank_by_its_own_signal_and_all_may_save(tmp_path: Path) -> None:
    """Rank 0 goes at once, with an exit code of its own; rank 1 needs a moment for its part of the checkpoint."""
    program = f"""{HEAD}
def stop(number, frame):
    time.sleep(0.4 * int(rank))
    pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"], f"saved-{{rank}}").write_text(str(number))
    sys.exit(4)
signal.signal(signal.SIGUSR1, stop)
pathlib.Path(f"up-{{rank}}").touch()
time.sleep(60)
"""
    up = [tmp_path / "up-0", tmp_path / "up-1"]
    context = of(tmp_path, python(program), stop=lambda: all(p.exists() for p in up), options={"stop_signal": "USR1"})
    with pytest.raises(Interrupted):
        command.run(context)
    saved = [(context.folder / "checkpoints" / f"saved-{rank}").read_text() for rank in (0, 1)]
    assert saved == [str(int(signal.SIGUSR1))] * 2
    assert {one.code for one in ranks.ended(context.folder / ranks.FOLDER).values()} == {4}


def test_a_rank_that_hangs_at_its_exit_costs_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team, "STRAGGLE_SECONDS", 0.3)
    text = f"{HEAD}pathlib.Path(os.environ['ORCH_RESULT']).write_text('{{\"a\": 1}}')\ntime.sleep(60 * int(rank))"
    context = of(tmp_path, python(text))
    assert command.run(context) == {"a": 1.0}
    assert "rank 1 hung at its exit" in context.flags["ranks"]


def test_no_rank_outlives_a_torchrun_that_is_killed(tmp_path: Path) -> None:
    program = f"{HEAD}pathlib.Path(f'pid-{{rank}}').write_text(f'{{os.getpid()}} {{os.getppid()}}')\n" + (
        "while not all(pathlib.Path(f'pid-{n}').exists() for n in (0, 1)): time.sleep(0.01)\n"
        "if rank == '1': os.kill(int(open(f'/proc/{os.getppid()}/stat').read().split()[3]), 9)\ntime.sleep(60)"
    )
    with pytest.raises(CommandFailed):
        command.run(of(tmp_path, python(program)))
    pids = [int((tmp_path / f"pid-{rank}").read_text().split()[0]) for rank in (0, 1)]
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < until, "a rank runs on"
        time.sleep(0.05)


def test_a_python_without_torch_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    venv.create(tmp_path / "bare", symlinks=True)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    bare = str(tmp_path / "bare" / "bin" / "python")
    with pytest.raises(CommandFailed) as caught:
        command.run(of(tmp_path, [bare, "-c", "pass"]))
    assert f"its Python ({bare}) has no torch" in str(caught.value) and "\n" not in str(caught.value)


# ---- several nodes, without a cluster


def several(tmp_path: Path, nodes: int = 2) -> Team:
    folder = tmp_path / "e0-abc" / ranks.FOLDER
    folder.mkdir(parents=True)
    plan = Plan(argv=("p",), torchrun=("torchrun",), ranks=1, nodes=nodes, id="t", host="n1", port=1)
    return Team(folder, plan, {})


def note(team: Team, rank: int, code: int, **more: Any) -> None:
    one = Ended(rank=rank, node=f"n{rank + 1}", code=code, at=now(), **more)
    write_json(team.folder / f"ended-{rank}.json", one)


def test_the_command_lines_of_several_nodes(tmp_path: Path) -> None:
    both = several(tmp_path)
    srun = both.command()
    assert Path(srun[0]).name == "srun" and srun[-1].endswith("onenode.py")
    assert {"--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--overlap"} <= set(srun)
    assert both.plan.on_node(1, "10.0.0.1")[:-4] == [
        *("torchrun", "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "0", "--rdzv-id", "t"),
        *("--node-rank", "1", "--master-addr", "10.0.0.1", "--master-port", "1"),
    ]
    assert both.plan.on_node(1, "")[-4] == "--no-python"
    one = Plan(argv=("p",), torchrun=("torchrun",), ranks=4, id="t").on_node(0, "localhost")
    assert "localhost:0" in one and "--node-rank" not in one


def test_a_node_that_falls_silent_is_to_blame_and_not_the_ranks_that_miss_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(team, "LOOK_SECONDS", 0.0)
    both, first = several(tmp_path), Beat(tmp_path / "e0-abc" / ranks.FOLDER, 0, "n1")
    first.write()
    Beat(both.folder, 1, "n2").write()
    assert not both.look() and ranks.stop(both.folder) is None, "both live"
    monkeypatch.setattr(team, "SILENT_AFTER_A_FAILURE_SECONDS", 0.0)
    note(both, 0, 1)
    ranks.stream(both.folder, 0, "stderr").write_text("RuntimeError: Connection closed by peer\n")
    first.write(ended=1)
    assert both.look(), "nobody has anything left to say"
    assert ranks.stop(both.folder) == signal.SIGTERM, "all others are told to end"
    failure = both.failure(1)
    assert (failure.cause, failure.node) == (Cause.NODE_FAILURE, "n2") and "n2 was lost" in str(failure)
    assert both.code(0) == 1


def test_a_rank_out_of_memory_on_another_node_is_said_with_its_node(tmp_path: Path) -> None:
    both = several(tmp_path)
    note(both, 0, 1)
    ranks.stream(both.folder, 0, "stderr").write_text("torch.distributed.DistBackendError: NCCL error\n")
    note(both, 1, -signal.SIGKILL, oom=True)
    failure = both.failure(1)
    assert (failure.cause, failure.node) == (Cause.OUT_OF_MEMORY, "n2")
    assert str(failure) == "rank 1 on n2 ended with signal SIGKILL"


def test_a_port_that_somebody_took_is_changed_and_only_before_a_rank_ran(tmp_path: Path) -> None:
    both = several(tmp_path)
    ranks.log(both.folder, 0).write_text("RuntimeError: The server socket has failed. EADDRINUSE\n")
    assert both.took_another_port() and both.plan.port != 1 and both.plan.id != "t"
    assert ranks.read_plan(both.folder) == both.plan
    assert not both.took_another_port(), "the log is of the next try now"
    ranks.log(both.folder, 0).write_text("EADDRINUSE\n")
    note(both, 0, 1)
    assert not both.took_another_port()


def test_a_rank_that_ignores_its_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onerank, "GRACE_SECONDS", 0.0)
    given: list[int | None] = [None]
    told = onerank.Told(lambda: given[0])
    assert told.signal() is None
    given[0] = int(signal.SIGINT)
    assert told.signal() == signal.SIGINT and told.asked
    assert told.signal() == signal.SIGKILL


def test_in_the_foreground_all_ranks_run_on_the_terminal(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.job(python("pass"))
    job = read_json(node.layout.job(1) / "job.json", JobFile)
    assert job is not None
    text = "import os; open(f\"here-{os.environ['RANK']}-{os.environ['WORLD_SIZE']}\", 'w')"
    job = msgspec.structs.replace(job, config={"argv": python(text)}, options={})
    order = Order(
        store=str(node.layout.root),
        code=str(tmp_path / "code"),
        folder=str(tmp_path / "run"),
        job=job,
        task=Task(job=1, attempt=0, generation=0, resources=Resources()),
        terms=Terms(cwd=str(tmp_path), options={"launcher": "torchrun", "ranks_per_node": 2}),
    )
    (tmp_path / "run").mkdir()
    assert foreground.run(order, os.environ).code == 0
    assert sorted(path.name for path in tmp_path.glob("here-*")) == ["here-0-2", "here-1-2"]
    with pytest.raises(BadInput, match="--pdb is for one process"):
        foreground.run(msgspec.structs.replace(order, pdb=True), os.environ)
