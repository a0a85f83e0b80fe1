"""What is said twice, or said of what is not so: each in one sentence, and the tables tell it too."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.helpers.cli import Orch

SAYS = "import json, os, sys; json.dump({'acc': 90.0 + int(sys.argv[-1])}, open(os.environ['ORCH_RESULT'], 'w'))"


def table(orch: Orch, *more: str) -> str:
    return " ".join(orch("table", *more).split())


def test_drops_names_and_quoted_numbers_are_told_apart(tmp_path: Path) -> None:
    orch = Orch(tmp_path)
    (tmp_path / "say.py").write_text(SAYS)
    says = ("--", sys.executable, "say.py")
    orch("submit", "command", "--no-start", "--name", "one", "--seeds", "3", *says, "first", "{seed}")
    orch("submit", "command", "--no-start", "--after", "1", *says, "second", "{seed}")
    orch("submit", "command", "--no-start", "--grid", 'x=0.5,"0.5"', *says, "x", "{x}", "0")
    again = orch("submit", "command", "--no-start", "--name", "two", "--seeds", "3", *says, "first", "{seed}")
    assert "--name two changes nothing of jobs 1-3: 'one' is the name that they were made with" in again
    assert "changes nothing" not in orch("submit", "command", "--no-start", "--seeds", "3", *says, "first", "{seed}")
    orch.finish()

    assert 'x n acc 0.5 1 90 "0.5" 1 90 none' in table(orch, "--by", "x"), "the number, and the text in its quotes"
    assert 'acc, x 0.5 acc, x "0.5" acc, x none' in table(orch, "--by", "kind,x", "--wide")
    assert [row["by"]["x"] for row in orch.json("table", "--by", "x")["rows"]] == [0.5, "0.5", None]

    orch("drop", "1", "--because", "diverged")
    assert "job 4 rests on job 1, which was dropped by hand: diverged" in table(orch)
    again = orch("drop", "1-2", "--because", "too hot")
    assert "dropped 2 jobs" in again and "job 1 was dropped before: diverged, and has the new reason now" in again
    told = orch("drop", "2", "--because", "too hot")
    assert "job 2 was dropped before: too hot" in told and "new reason" not in told
    assert "too hot" in table(orch) and "diverged" not in table(orch)
    assert "rests on: job 1 of its store, which was dropped by hand: too hot" in exported(orch, "4")
    refused(orch, "jobs 3-4 were not dropped: they count already", "keep", "1-4")
    refused(orch, "job 3 was not dropped: it counts already", "keep", "3")
    assert orch.rows("SELECT id FROM job WHERE dropped IS NOT NULL") == [(1,), (2,)], "a refusal keeps none"

    assert orch.json("retry", "--succeeded", "1", "--with-dependents", "--no-start")["retried"] == [1, 4]
    assert orch.rows("SELECT id, state FROM job WHERE generation = 2") == [(1, "queued"), (4, "waiting")]
    orch.finish()
    assert "job 4 rests on job 1, which was dropped by hand: too hot" in table(orch), "what is dropped stays so"
    assert orch("keep", "1-2") == "kept 2 jobs\n"
    assert "rests on" not in table(orch), "it read what counts now"
    orch.check()


def exported(orch: Orch, job: str) -> str:
    """The remarks of a job that was exported and imported."""
    orch("export", "--filter", f"job={job}", "--out", "one.jsonl")
    orch("import", "--study", "again", "one.jsonl")
    return table(orch, "--study", "again", "--by", "kind")


def refused(orch: Orch, sentence: str, *words: str) -> None:
    done = orch.call(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == f"Error: {sentence}"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Orch:
    orch = Orch(tmp_path_factory.mktemp("asked"))
    orch.submit_gate(2, "--no-start")
    return orch


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("1-999999", "there is no job 3: 'orch status' lists the jobs"),
        ("7-3", "'7-3' is no range of job ids: the smaller id comes first, as in 3-17"),
        ("0", "there is no job 0: 'orch status' lists the jobs"),
        ("1,,2", "'' is no job id (nothing stands at a comma of '1,,2'): give ids like 3, or 3-17 for several"),
        ("", "'' is no job id: give ids like 3, or 3-17 for several"),
        ("1-", "'1-' is no job id: give ids like 3, or 3-17 for several"),
        ("-1", "'-1' is no job id: give ids like 3, or 3-17 for several"),
    ],
)
def test_ids_that_are_none(asked: Orch, word: str, sentence: str) -> None:
    refused(asked, sentence, "drop", "--because", "x", "--", word)


def test_what_cannot_run_is_refused_at_once(asked: Orch) -> None:
    gpus = "--gpus a100:0 asks for 0 GPUs of a type: give a100:1 or more, or --gpus 0"
    refused(asked, gpus, "submit", "command", "--gpus", "a100:0", "--no-start", "--", sys.executable, "gate.py")
    empty = "the command is empty: give a program after --"
    refused(asked, empty, "submit", "command", "--no-start", "--", " ")
    refused(asked, gpus, "set", "1", "--gpus", "a100:0", "--no-start")
    slip = f"there is no gaet.py in {asked.folder}: did you mean 'gate.py'?"
    refused(asked, slip, "submit", "command", "--no-start", "--", sys.executable, "-u", "gaet.py", "{seed}")
    both = [f"[[experiment]]\nname='{one}'\ncommand=['{sys.executable}', '{one}.py']\n" for one in ("gate", "gaet")]
    (asked.folder / "slip.toml").write_text("".join(both))
    done = asked.call("submit", "slip.toml", "--no-start")
    assert done.returncode == 2 and slip in done.stderr and "gaet" in done.stderr.partition(slip)[0]
    assert asked.rows("SELECT count(*) FROM job") == [(2,)]
    assert f"{slip} (a submit is refused until it is there)" in asked("submit", "slip.toml", "--dry-run")
    (asked.folder / "gate.py").unlink()
    assert "2 existed already" in asked.submit_gate(2, "--no-start"), "nothing new is to run"
    live = asked("submit", "command", "--code", "live", "--no-start", "--dry-run", "--", sys.executable, "gate.py")
    assert "the job fails unless it is there when it starts" in live


def test_a_refused_script_leaves_no_store(tmp_path: Path) -> None:
    orch = Orch(tmp_path)
    done = orch.call("submit", "command", "--no-start", "--", "python3", "nosuch.py")
    assert done.returncode == 2 and "there is no nosuch.py in" in done.stderr
    assert not (tmp_path / ".orch").exists()
