"""A study as a file: what a person types, from the first look to the table."""

import sys
from pathlib import Path

from tests.helpers.cli import Orch

TRAIN = r"""
import argparse, json, os, pathlib, sys
parser = argparse.ArgumentParser()
for name in ("--lr", "--momentum"):
    parser.add_argument(name, type=float)
parser.add_argument("--seed", type=int)
parser.add_argument("--output", type=pathlib.Path)
given = parser.parse_args()
if given.lr == 0.5 and not pathlib.Path(os.environ["ORCH_WORKDIR"], "mended").exists():
    sys.exit("lr 0.5 diverges")
print(f"Accuracy: {90 + given.seed}.5 %", flush=True)
(given.output / "log.csv").write_text("epoch,val_loss\n1,0.5\n2,0.25\n")
(given.output / "model.txt").write_text(f"{given.lr} {given.seed}")
json.dump({"best": given.lr + given.seed, "momentum_seen": given.momentum}, open(os.environ["ORCH_RESULT"], "w"))
"""
TEST = """
import json, os, pathlib, sys
lr, seed = pathlib.Path(sys.argv[1], "model.txt").read_text().split()
assert sys.argv[1] == os.environ["ORCH_AFTER_OUT"]
json.dump({"score": 10 * float(sys.argv[2]), "lr_seen": float(lr)}, open(os.environ["ORCH_RESULT"], "w"))
"""
STUDY = r"""
[study]
name = "mine"

[[experiment]]
name = "test"
after = "train"
command = ["PYTHON", "test.py", "{train.out}", "{train.result.best}"]

[[experiment]]
name = "train"
command = ["PYTHON", "train.py", "--lr", "{lr}", "--momentum", "{momentum}", "--seed", "{seed}", "--output", "{out}"]
seeds = 2
mem = "500M"
result_file = "{out}/log.csv"
[experiment.metrics.test_acc]
pattern = 'Accuracy: ([\d.]+)'
unit = "%"
digits = 1
[experiment.metrics.val_loss]
better = "lower"
[experiment.params]
momentum = 0.90
[experiment.grid]
lr = [0.25, 0.5]
"""


def write(orch: Orch, text: str = STUDY) -> Path:
    folder = orch.folder / "project"
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(TRAIN)
    (folder / "test.py").write_text(TEST)
    (folder / "study.toml").write_text(text.replace("PYTHON", sys.executable))
    return folder / "study.toml"


def test_a_study_with_two_stages_from_the_first_look_to_the_end(orch: Orch) -> None:
    file = write(orch)
    told = orch("submit", str(file), "--dry-run")
    assert "train: 4 jobs, 4 new" in told and "test: 4 jobs, 4 new" in told and "would create 8 jobs" in told
    assert "--lr 0.25 --momentum 0.90 --seed 0 --output" in told
    assert not orch.layout.root.exists(), "a dry run writes nothing"

    told = orch("submit", str(file), "--wait", code=1)
    jobs = orch.json("status", "--study", "mine")["jobs"]
    assert orch.json("status")["jobs"] == jobs, "the only study there is"
    states = {job["id"]: job["state"] for job in jobs}
    assert [states[number] for number in range(1, 5)] == ["succeeded", "succeeded", "failed", "failed"]
    assert [states[number] for number in range(5, 9)] == ["succeeded", "succeeded", "waiting", "waiting"]
    assert [job["blocked"] for job in jobs if job["id"] > 6] == [True, True]
    shown = orch.json("show", "6")
    assert shown["result"]["metrics"] == {"score": 12.5, "lr_seen": 0.25}
    metrics = {"best": 1.25, "momentum_seen": 0.9, "test_acc": 91.5, "val_loss": 0.25}
    assert orch.json("show", "2")["result"]["metrics"] == metrics

    # A repeat, from anywhere, creates nothing; a mended run lets the stage behind it go on.
    again = orch.json("submit", "project/study.toml", "--no-start")
    assert again == {"created": [], "existing": [1, 2, 3, 4, 5, 6, 7, 8]}
    again = orch.json("submit", "study.toml", "--no-start", cwd=file.parent)
    assert again == {"created": [], "existing": [1, 2, 3, 4, 5, 6, 7, 8]}
    (file.parent / "mended").touch()
    orch("retry", "3-4", "--no-start")
    orch.finish()
    assert {job["state"] for job in orch.json("status", "--study", "mine")["jobs"]} == {"succeeded"}
    assert orch.json("show", "8")["result"]["metrics"] == {"score": 15.0, "lr_seen": 0.5}

    # What is taken out of the file is said, and stays; more seeds add the new ones alone.
    write(orch, STUDY.replace("lr = [0.25, 0.5]", "lr = [0.25]").replace("seeds = 2", "seeds = 3"))
    told = orch("submit", str(file), "--no-start")
    assert "2 jobs of experiment 'train' (3-4) are no longer in" in told and "7-8" in told
    assert "created 2 jobs" in told and "orch cancel" not in told
    states = {job["id"]: job["state"] for job in orch.json("status", "--study", "mine")["jobs"]}
    assert states[3] == states[7] == "succeeded" and states[9] == "queued" and states[10] == "waiting"
    write(orch, STUDY.replace("lr = [0.25, 0.5]", "lr = [0.25]"))
    assert "'orch cancel 9' ends what is not finished" in orch("submit", str(file), "--no-start")
    assert orch.json("cancel", "--all")["cancelled"] == [9, 10], "of the only study there is, as in status"


def test_a_fault_anywhere_in_the_file_writes_nothing(orch: Orch) -> None:
    """The first experiment is right, the second is not: neither is enqueued."""
    right = "[[experiment]]\nname = 'a'\ncommand = ['true', '{x}']\ngrid = {x = [1]}\n"
    for wrong, why in {
        "command = ['true', '{lrr}']\ngrid = {lr = [1]}": "the command uses {lrr}, which is not defined: did you mean",
        "command = ['true']\ngrid = {lr = [1]}": "the command never uses {lr}: put it into the arguments, or say",
        "command = ['true', '{seed}']\ngrid = {seed = [1]}": "cannot name a parameter 'seed'",
        "command = ['true', '{a-b}{a.b}']\ngrid = {a-b = [1], 'a.b' = [1]}": "are both ORCH_PARAM_A_B",
        "command = ['true']\nmem = 'much'": "mem takes a size such as 8G or 500M (got 'much')",
        "command = ['true']\ngpus = 'a:b'": "gpus takes a number",
        "command = ['true']\ncpus = '2'": "cpus must be a whole number (got '2')",
        "command = ['true']\ncpus = 0": "cpus must be at least 1",
        "command = ['true']\ntime = '1:2:3:4:5'": "time takes minutes",
        "command = ['true']\nsbatch = ['array=1']": "array",
        "command = ['true']\nbackend = 'sun'": "sun",
        "command = ['true']\nstop_signal = 'KILL'": "stop_signal takes one of",
        "command = ['true']\nenv = {API_KEY = 'x'}": "looks like a secret",
        "command = ['true', '{a.result}']\nafter = 'a'": "the command uses {a.result}, which is not defined",
        "command = ['true', '{b.out}']\nafter = 'a'": "the command uses {b.out}, which is not defined",
        "command = ['true']\nafter = 'aa'": "after names 'aa', which is no other experiment: did you mean 'a'?",
        "command = ['true']\nafter = 'b'": "after names 'b', which is no other experiment",
        "command = ['true']\nafter = 'a'\nseeds = 3": "seeds has 1, which 'a' before it has not",
        "command = ['true', '{x}']\nafter = 'a'\ngrid = {x = [2]}": "'x' is a parameter of the stage before already",
        "command = ['true']\nmetrics = {acc = {patern = 'x'}}": "has no setting 'patern': did you mean 'pattern'?",
        "command = ['true']\nmetrics = {acc = {pattern = '('}}": "acc",
        "command = ['true']\nmetrics = {acc = {pattern = 'x'}}": "acc",
        "command = ['true']\nmetrics = {acc = {pattern = '(x)', digits = 1.5}}": "digits is a whole number",
        "command = ['true']\nmetrics = {acc = {better = 'up'}}": "better is 'higher' or 'lower'",
        "command = ['true']\nmetrics = {seed = {pattern = '(x)'}}": "'seed' means something else in tables",
        "command = ['true']\nresult_file = '{outt}/m.json'": "uses {outt}, which is not defined: did you mean {out}?",
        "kind = 'search'\nmetrics = {acc = {unit = '%'}}": "metrics is for a command",
        "kind = 'serch'": "unknown job kind 'serch': did you mean 'search'?",
        "kind = 'search'\nparams = {metod = 'A'}": "search has no setting 'metod': did you mean 'method'?",
        "kind = 'search'\nparams = {method = 'Z'}\npreset = 'demo'": "method",
        "kind = 'search'\npreset = 'tiny'": "unknown preset 'tiny'",
        "kind = 'search'\nafter = 'a'": "after is for a command",
        "command = ['true']\nafter = 'c'\n[[experiment]]\nname = 'c'\ncommand = ['true']\nafter = 'b'": "circle",
    }.items():
        (orch.folder / "study.toml").write_text(f"{right}[[experiment]]\nname = 'b'\n{wrong}\n")
        done = orch.call("submit", "study.toml", "--no-start")
        assert done.returncode == 2, (wrong, done)
        said = done.stderr.strip()
        assert why in said and said.count("\n") == 0 and said.startswith("Error: study.toml, [[experiment]] '"), said
        assert not orch.layout.root.exists(), wrong


def test_the_file_that_init_writes_is_a_study(orch: Orch) -> None:
    assert "wrote study.toml" in orch("init")
    assert "is there already" in orch.call("init").stderr
    assert "would create 30 jobs in study 'mine'" in orch("submit", "study.toml", "--dry-run")
    text = (orch.folder / "study.toml").read_text().replace("# [[exp", "[[exp").replace("# name = ", "name = ")
    text = text.replace("# after = ", "after = ").replace('# command = ["python", "test', 'command = ["python", "test')
    (orch.folder / "study.toml").write_text(text)
    assert "would create 60 jobs in study 'mine'" in orch("submit", "study.toml", "--dry-run")


def test_bounds_and_canaries_of_a_study_file(orch: Orch) -> None:
    """One job of a program that never ran goes first, whichever experiments are made of it."""
    experiment = "[[experiment]]\nname = '{}'\ncommand = ['PYTHON', 'gate.py', '{{x}}']\ngrid = {{x = '{}'}}\n{}\n"
    text = "[study]\nname = 'mine'\nmax_running = 1\n" + experiment.format("a", "1..20", "")
    text += experiment.format("b", "101..103", "canary = true") + experiment.format("c", "201..230", "canary = false")
    (orch.folder / "study.toml").write_text(text.replace("PYTHON", sys.executable))
    assert "job 1 goes first" in orch("submit", "study.toml", "--no-start")
    for job in ("2", "21", "23"):  # b is of a's program, so its canary is a's
        assert "waits for canary job 1" in orch("explain", job)
    assert "canary" not in orch("explain", "24")
    for wrong, why in {
        "max_running = -1": "from 0 to",
        "max_fails = 'x'": "whole number",
        "max_run = 1": "max_running",
    }.items():
        (orch.folder / "bad.toml").write_text(f"[study]\n{wrong}\n")
        done = orch.call("submit", "bad.toml")
        assert done.returncode == 2 and why in done.stderr and "bad.toml, [study]" in done.stderr


def test_sweeps_on_the_command_line(orch: Orch) -> None:
    words = ("--grid", "n=1..3", "--zip", "lr=log:1e-3:1e-1:3", "--zip", "layers=[[64,64],[128],[]]")
    told = orch("submit", "command", *words, "--no-start", "--", "echo", "{n}", "{lr}", "{layers}")
    assert "created 9 jobs" in told
    config = orch.json("show", "5")["config"]
    assert config["parameters"] == {"n": "2", "lr": "0.01", "layers": "[128]"}
    first = orch.json("submit", "command", "--no-start", "--", "sh", "-c", "echo 7 > $ORCH_OUT/x")["created"]
    orch("submit", "command", "--after", str(first[0]), "--no-start", "--", "cat", "{after.out}/x")
    counts = orch.json("status")["counts"]
    assert (counts["waiting"], counts["queued"]) == (1, 10)
    for wrong, why in {
        ("--after", "99"): "99",
        ("--after", "x"): "no job id",
        ("--zip", "a=1,2", "--zip", "b=1"): "equally long",
        ("--grid", "a=[1,"): "JSON list",
        ("--grid", "a=5..1"): "names no number",
        ("--grid", "a=1", "--zip", "a=2"): "keep one of them",
    }.items():
        done = orch.call("submit", "command", *wrong, "--", "echo", "{a}{b}")
        assert done.returncode == 2 and why in done.stderr and done.stderr.count("\n") <= 4, done
