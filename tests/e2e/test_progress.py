"""A program that saves its work is never given up, and a long history neither delays nor loses its result."""

from __future__ import annotations

import sys

from tests.helpers.cli import Orch

DIES = """
import json, os, pathlib, signal, sys
kept = pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"]) / "step"
step = int(kept.read_text()) if kept.exists() else 0
if sys.argv[1] == "saves" or step == 0:
    kept.write_text(str(step + 7))
if step < 42:
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
json.dump({"step": step}, open(os.environ["ORCH_RESULT"], "w"))
"""


def stored(orch: Orch) -> list[tuple[object, ...]]:
    """What a rebuild must bring back of attempts and executions."""
    return [
        *orch.rows("SELECT number, state, cause, decision, checkpoint_step FROM attempt ORDER BY job_id, number"),
        *orch.rows("SELECT name, cause, ending, checkpoint_step, epoch, latest FROM execution ORDER BY name"),
        *orch.rows(
            "SELECT e.name, m.epoch, m.name, value FROM metric m JOIN execution e ON e.id = execution_id "
            "ORDER BY 1, 2, 3"
        ),
        *orch.rows("SELECT job_id, metrics, generation FROM result"),
    ]


def test_a_program_that_saves_its_work_may_be_killed_any_number_of_times(orch: Orch) -> None:
    """Six times here, each time a step further: its budget of three counts from the last change of its checkpoints."""
    (orch.folder / "dies.py").write_text(DIES)
    orch("submit", "command", "--wait", "--", sys.executable, "dies.py", "saves")
    found = orch.attempts(1)
    assert [str(attempt.cause) for attempt in found] == ["killed"] * 6 + ["success"]
    assert [attempt.checkpoint_step for attempt in found[:6]] == [1, 2, 3, 4, 5, 6]
    assert all("(1 of 3 since the last checkpoint)" in (attempt.decision or "") for attempt in found[:6])
    assert orch.json("show", "1")["result"]["metrics"] == {"step": 42.0}
    before = stored(orch)
    orch.call("supervise", "--stop")
    orch.rebuild()
    assert stored(orch) == before
    orch.check()


def test_one_that_saves_nothing_new_is_given_up(orch: Orch) -> None:
    """What it inherits is no progress of its own."""
    (orch.folder / "dies.py").write_text(DIES)
    orch("submit", "command", "--wait", "--", sys.executable, "dies.py", "once", code=1)
    found = orch.attempts(1)
    assert [attempt.checkpoint_step for attempt in found] == [1] * len(found)
    assert [str(attempt.cause) for attempt in found] == ["killed"] * 4
    assert "killed 4 times since the last checkpoint: given up" in (found[-1].decision or "")


LINES = """
import json, os
with open(os.environ["ORCH_METRICS"], "w") as metrics:
    for k in range(150_000):
        metrics.write('{"loss": %d}\\n' % k)
json.dump({"accuracy": 93}, open(os.environ["ORCH_RESULT"], "w"))
"""


def test_a_long_history_is_stored_whole_and_its_result_first(orch: Orch) -> None:
    (orch.folder / "lines.py").write_text(LINES)
    orch("submit", "command", "--wait", "--", sys.executable, "lines.py")
    orch("supervise", "--until-idle")
    assert orch.json("show", "1")["result"]["metrics"] == {"accuracy": 93.0, "loss": 149_999.0}
    assert orch.rows("SELECT count(*), min(epoch), max(epoch), max(value) FROM metric") == [
        (150_000, 1, 150_000, 149_999.0)
    ]
    assert orch.rows("SELECT sum(doomed) FROM attempt") == [(0,)]
    before = stored(orch)
    orch.call("supervise", "--stop")
    orch.rebuild()
    assert stored(orch) == before
