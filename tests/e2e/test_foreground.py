"""`orch run` and `orch submit --debug`: the same job in the foreground, and nothing of it in the store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.helpers.cli import ORCH, Orch, script, until

PROGRAM = """
import json, os, sys
print("VERSION", os.path.basename(os.getcwd()), sys.argv[1:], os.environ["ORCH_SEED"], os.environ["ORCH_JOB"],
      os.environ["OMP_NUM_THREADS"], os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ["ORCH_PARAM_LR"])
open("model.pt", "w").write("x")
open(os.path.join(sys.argv[2], "kept.txt"), "w").write("x")
open(os.path.join(os.environ["ORCH_CHECKPOINT_DIR"], "c"), "w").write("x")
print(json.dumps({"epoch": 1, "loss": 0.5}), file=open(os.environ["ORCH_METRICS"], "w"))
json.dump({"accuracy": 90 + int(sys.argv[1])}, open(os.environ["ORCH_RESULT"], "w"))
"""


def snapshot_of(orch: Orch) -> list[tuple[str, bytes]]:
    """Everything that the store holds, but for SQLite's own files."""
    paths = sorted(path for path in orch.layout.root.rglob("*") if path.is_file() and "orch.db" not in path.name)
    return [(str(path), path.read_bytes()) for path in paths]


def left(orch: Orch) -> list[Path]:
    """Temporary folders of runs in the foreground."""
    return sorted((orch.folder / "tmp").glob("orch-run-*"))


def typed(orch: Orch, *words: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**orch.environment, **more}
    return subprocess.run(
        [*ORCH, *words], input=stdin, capture_output=True, text=True, cwd=orch.folder, env=environment, timeout=240
    )


def submit(orch: Orch, *more: str) -> tuple[str, ...]:
    words = ("--grid", "lr=0.10", "--seeds", "2", "--cpus", "2", *more)
    return ("submit", "command", *words, "--", sys.executable, "train.py", "{seed}", "{out}", "{lr}")


def test_a_job_runs_in_the_foreground_as_it_was_submitted_and_nothing_is_recorded(orch: Orch) -> None:
    script(orch, "train.py", PROGRAM.replace("VERSION", "old"))
    debug = typed(orch, *submit(orch, "--debug"))
    assert debug.returncode == 0 and "old work ['0'," in debug.stdout and not orch.layout.root.exists()
    (folder,) = left(orch)
    folder.rename(orch.folder / "first")
    orch(*submit(orch, "--no-start"))
    before, jobs = snapshot_of(orch), orch.jobs()
    script(orch, "train.py", PROGRAM.replace("VERSION", "new"))
    ran = typed(orch, "run", "2", CUDA_VISIBLE_DEVICES="7")
    assert ran.returncode == 0, ran.stderr
    (folder,) = left(orch)
    assert ran.stdout == f"old work ['1', '{folder}/out', '0.10'] 1 2 2 7 0.10\n"
    assert "CUDA_VISIBLE_DEVICES=7, as in this shell" in ran.stderr and "code snapshot " in ran.stderr
    assert "its result: loss=0.5 accuracy=91" in ran.stderr
    assert f"what it wrote is in {folder}: work/model.pt, checkpoints/c, out/kept.txt" in ran.stderr
    wrote = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert wrote == ["checkpoints/c", "out/kept.txt", "work/model.pt"]
    assert snapshot_of(orch) == before and orch.jobs() == jobs and not (orch.folder / "model.pt").exists()
    again = typed(orch, *submit(orch, "--debug"))
    assert "new work ['0'," in again.stdout and snapshot_of(orch) == before and orch.jobs() == jobs
    orch.finish()  # a real run takes up none of it
    assert orch.json("show", "2")["result"]["metrics"] == {"loss": 0.5, "accuracy": 91.0}
    assert orch.json("show", "2")["program"]["wrote"] == ["out/kept.txt", "work/model.pt"]


def test_the_exit_code_is_the_programs_and_pdb_opens_where_it_raised(orch: Orch) -> None:
    script(orch, "bad.py", "import sys\ndef f(secret):\n    raise ValueError('boom')\nf(sys.argv[1] + '!')\n")
    script(orch, "tool", f"#!{sys.executable}\nraise KeyError('tool')\n")
    (orch.folder / "tool").chmod(0o755)
    orch("submit", "command", "--no-start", "--", sys.executable, "-u", "bad.py", "seed-{seed}")
    orch("submit", "command", "--no-start", "--", "./tool")
    orch("submit", "command", "--no-start", "--", sys.executable, "-c", "1/0")
    orch("submit", "command", "--no-start", "--", "sh", "-c", "exit 7")
    found = typed(orch, "run", "1", "--pdb", stdin="p secret\nq\n")
    assert found.returncode == 1 and "'seed-0!'" in found.stdout and "ValueError: boom" in found.stderr
    assert "postmortem.py" not in found.stderr
    found = typed(orch, "run", "2", "--pdb", stdin="q\n")
    assert found.returncode == 1 and "KeyError: 'tool'" in found.stderr and "(Pdb)" in found.stdout
    found = typed(orch, "run", "3", "--pdb", stdin="p 40 + 2\nq\n")
    assert found.returncode == 1 and "42" in found.stdout
    assert typed(orch, "run", "4").returncode == 7
    refused = typed(orch, "run", "4", "--pdb")
    assert refused.returncode == 2 and "--pdb is for a Python program" in refused.stderr
    assert "breakpoint()" in refused.stderr and left(orch) == []
    killed = typed(orch, "submit", "command", "--debug", "--", "sh", "-c", "kill -9 $$")
    assert killed.returncode == 128 + signal.SIGKILL
    exits = ("--debug", "--pdb", "--", sys.executable, "-c", "raise SystemExit(5)")
    assert typed(orch, "submit", "command", *exits).returncode == 5


def test_ctrl_c_ends_the_program_and_its_folder_goes(orch: Orch) -> None:
    text = "import os, pathlib, time\npathlib.Path(os.environ['ORCH_WORKDIR'], 'up').touch()\ntime.sleep(600)\n"
    script(orch, "sleep.py", text)
    for signal_name, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        running = orch.popen("submit", "command", "--debug", "--", sys.executable, "sleep.py")
        until((orch.folder / "up").exists, "the program")
        os.kill(running.pid, signal_name)  # a terminal's own reaches the program without orch
        _, said = running.communicate(timeout=60)
        assert running.returncode == code, said
        assert left(orch) == [] and not orch.layout.root.exists()
        (orch.folder / "up").unlink()


def test_what_cannot_run_here_is_refused_with_the_reason(orch: Orch) -> None:
    assert typed(orch, "run", "1").returncode == 2  # there is no store
    script(orch, "train.py", "print('ran')\n")
    orch("submit", "command", "--no-start", "--", sys.executable, "train.py")
    (orch.folder / "in.csv").write_text("kind,method,search_epoch,seed,dataset,test_accuracy,params,shortcuts\n")
    with (orch.folder / "in.csv").open("a") as file:
        file.write("evaluate,A,50,0,cifar10,93,20000000,2\n")
    orch("import", "in.csv")
    orch("submit", "search", "--study", "s", "--method", "A", "--no-start")
    orch("submit", "evaluate", "--study", "s", "--from-search", "all", "--no-start")
    said = {
        ("run", "99"): "there is no job 99",
        ("run", "2"): "job 2 was imported",
        ("run", "4"): "job 4 reads the result of job 3, which is queued and has none",
        ("submit", "command", "--pdb", "--", "true"): "--pdb belongs to --debug",
        ("submit", "command", "--debug", "--wait", "--", "true"): "leave --wait out",
        ("submit", "command", "--debug", "--", "no-such-program"): "cannot start 'no-such-program'",
    }
    for words, sentence in said.items():
        done = typed(orch, *words)
        assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr, (words, done)
    snapshot = orch.json("show", "1")["program"]["snapshot"]
    kept = orch.layout.code / snapshot / "train.py"
    kept.chmod(0o644)
    kept.write_text("evil")
    done = typed(orch, "run", "1")
    assert done.returncode == 2 and f"train.py in the code snapshot {snapshot} was changed" in done.stderr
    assert left(orch) == []


def test_a_kind_of_the_house_runs_in_the_foreground(orch: Orch) -> None:
    orch("submit", "random-baseline", "--no-start")
    done = typed(orch, "run", "1", "--pdb")
    assert done.returncode == 0, done.stderr
    assert "epoch 1/" in done.stderr and "its result: " in done.stderr and "test_accuracy=" in done.stderr
    assert orch.attempts(1) == [] and orch.states() == ["queued"]
