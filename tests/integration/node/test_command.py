"""A user's program inside a worker: what it is told, what it reports, its checkpoints, and how it is stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs.kind import kind_named
from jobs.node import command
from jobs.node.context import Interrupted
from jobs.node.endings import CommandFailed, cause_of, cause_of_program
from jobs.words import Cause
from tests.helpers.context import MemoryContext
from tests.helpers.node import RESULT, Node, python


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
