"""A change of mind about how jobs are run, as a user types it, on local slots."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from orchestrator.submitting.changing import Selection, cancel
from tests.helpers.cli import Orch, until

COUNT = """
import json, os, pathlib, signal, sys, time
seed, here = sys.argv[1], pathlib.Path(os.environ["ORCH_WORKDIR"])
step = pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"]) / "step"
began = int(step.read_text()) if step.exists() else 0
(here / f"began-{seed}-{began}").write_text(os.environ["OMP_NUM_THREADS"])
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
while not stop and not (here / "go").exists():
    time.sleep(0.05)
if stop:
    step.write_text(str(began + 1))
    sys.exit(0)
pathlib.Path(os.environ["ORCH_RESULT"]).write_text(json.dumps({"began": began}))
"""


@pytest.fixture
def counting(orch: Orch) -> Orch:
    (orch.folder / "count.py").write_text(COUNT)
    return orch


def submit(orch: Orch, *words: str, code: int = 0) -> str:
    return orch("submit", "command", *words, "--", sys.executable, "count.py", "{seed}", code=code)


def resources(orch: Orch, job: int) -> dict[str, Any]:
    return dict(orch.json("show", str(job))["launching"]["resources"])


def test_a_running_job_is_stopped_and_goes_on_under_the_new_terms(counting: Orch) -> None:
    orch = counting
    submit(orch, "--seeds", "2", "--cpus", "1")
    until(lambda: (orch.folder / "began-0-0").exists(), "the first start")
    assert "from its next attempt on ('orch set 1 --now' with the same options: at once)" in orch(
        "set", "1", "--mem", "700M"
    )
    assert "job 1 running: stopped, and goes on from its checkpoint" in orch("set", "1", "--cpus", "2", "--now")
    threads = until(lambda: (found := orch.folder / "began-0-1").exists() and found.read_text(), "the second start")
    assert threads == "2" and [one.cause for one in orch.attempts(1)] == ["cancelled", None]
    assert orch("set", "1", "--cpus", "2", "--now") == "nothing to change: they are run so already\n"
    (orch.folder / "go").touch()
    orch.finish()
    assert [one["metrics"] for one in orch.json("status")["jobs"]] == [{"began": 1.0}, {"began": 0.0}]
    assert len(orch.attempts(2)) == 1 and orch.rows("SELECT count(*) FROM node_health") == [(0,)]
    first = orch.json("show", "1")["attempts"]
    assert "set --now" in first[0]["decision"] and first[1]["cause"] == "success"
    before = orch.rows("SELECT job_id, number, state, cause, decision FROM attempt ORDER BY 1, 2")
    orch.rebuild()
    assert orch.rows("SELECT job_id, number, state, cause, decision FROM attempt ORDER BY 1, 2") == before


def test_a_repeated_submit_changes_what_it_names_of_what_is_not_finished(counting: Orch) -> None:
    orch = counting
    (orch.folder / "go").touch()
    submit(orch, "--seeds", "1", "--wait")
    orch.call("supervise", "--stop")  # the next ones are to wait
    submit(orch, "--seeds", "3", "--no-start", "--mem", "500M", "--time", "30", "--sbatch", "mem-per-cpu=1G", code=2)
    said = submit(orch, "--seeds", "3", "--no-start", "--mem", "500M", "--time", "30", "--env", "A=1")
    assert "changed" not in said, "the finished one is left alone"
    assert "would change how job 2-3 is run: memory 800 MB" in submit(
        orch, "--seeds", "3", "--dry-run", "--mem", "800M"
    )
    assert resources(orch, 2)["memory_mb"] == 500
    more = ("--priority", "3", "--env", "B=2", "--stop-signal", "INT")
    said = submit(orch, "--seeds", "3", "--no-start", "--mem", "800M", *more)
    assert "changed how job 2-3 is run: memory 800 MB, priority 3, stop-signal INT, --env B" in said
    shown = orch.json("show", "3")
    assert shown["launching"]["options"]["stop_signal"] == "INT" and "; priority 3" in orch("show", "3")
    assert (resources(orch, 3)["memory_mb"], resources(orch, 3)["minutes"], shown["priority"]) == (800, 30, 3)
    assert shown["launching"]["surroundings"]["given"] == {"A": "1", "B": "2"}
    assert resources(orch, 1)["memory_mb"] != 800
    found = orch.json(
        "submit", "command", "--seeds", "3", "--no-start", "--mem", "800M", "--", sys.executable, "count.py", "{seed}"
    )
    assert found == {"created": [], "existing": [1, 2, 3]}, "the same once more changes nothing"
    refused = orch.call("set", "1-3", "--mem", "1G")
    assert refused.returncode == 2 and "job 1 is succeeded" in refused.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["1", "--cpus", "0"], "cpus must be at least 1"),
        (["1", "--gpus", "-1"], "--gpus must not be negative"),
        (["1", "--mem", "nothing"], "--mem takes a size"),
        (["1", "--time", "0"], "--time must be more than 0"),
        (["1", "--gpus", "0"], "--device cuda"),
        (["2", "--gpus", "1"], "--device cpu"),
        (["1", "--backend", "slurm"], "no SLURM client"),
        (["1", "--sbatch", "array=1-3"], "--seeds or --grid"),
        (["1", "--mem", "1G", "--sbatch", "mem=2G"], "ask for the same"),
        (["9", "--mem", "1G"], "there is no job 9"),
        (["3", "--mem", "1G"], "is cancelled: 'orch retry' takes the same options"),
        (["1"], "say what to change"),
        (["--mem", "1G"], "name the jobs to set"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence_and_changes_nothing(
    refusing: Orch, words: list[str], named: str
) -> None:
    before = refusing.jobs()
    done = refusing.call("set", *words)
    assert done.returncode == 2 and named in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
    assert refusing.jobs() == before


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Orch:
    """Jobs that wait for a supervisor which nobody starts: 1 wants a GPU, 2 takes none, 3 is cancelled."""
    orch = Orch(tmp_path_factory.mktemp("refusing"), {"PATH": "/usr/bin:/bin"})
    for seed, device in (("0", "cuda"), ("1", "cpu"), ("2", "auto")):
        words = ("--seed-list", seed, "--device", device, "--no-start")
        orch("submit", "command", *words, "--", sys.executable, "gate.py", "{seed}")
    cancel(orch.store, Selection(ids=[3]))
    return orch
