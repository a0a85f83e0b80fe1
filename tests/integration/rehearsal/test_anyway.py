"""`--resume anyway` as typed: submit, set, retry and study files let a program go on that was found wrong."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from db import jobs, sealing
from db.seals import Verdict
from db.store import Store
from jobs.errors import BadInput
from orchestrator.cli import cancel, retry, submit
from orchestrator.cli import set as set_
from orchestrator.rehearsal import sealing as keeping
from orchestrator.rehearsal.judgement import Overall
from orchestrator.settings import Settings
from orchestrator.submitting.request import Request

ARGV = ["python3", "train.py", "{seed}"]
STUDY = """
[[experiment]]
name = "main"
command = ["python3", "train.py", "{seed}"]
"""


def typed(command: click.Command, *words: str) -> None:
    """As typed after `orch`; raises what the command line would say."""
    command.main(list(words), standalone_mode=False)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Of a program that was found wrong after resuming."""
    (tmp_path / "train.py").write_text("print(1)\n")
    (tmp_path / "study.toml").write_text(STUDY)  # a file of the program's folder like any other: part of its code
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / ".orch", create=True)
    request = Request(
        kind="command", seeds=[0], study="s", preset="report", backend="local", values={"argv": ARGV}, cwd=tmp_path
    )
    named = keeping.named_of(store.root, Settings(), request)
    assert named is not None
    keeping.keep(store, named, Overall(verdict=Verdict.WRONG, reason=""), {"kill": 1}, ())
    return store


def anew(store: Store, job: int = 1) -> bool:
    with store.read() as connection:
        return sealing.begins_anew(connection, jobs.get(connection, job))


def test_set_lets_jobs_go_on_and_takes_it_back(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    typed(submit.command, "command", "--no-start", "--", *ARGV)
    assert anew(store)
    typed(set_.command, "1", "--resume", "anyway", "--no-start")
    assert not anew(store) and "changed 1 job" in capsys.readouterr().out
    typed(set_.command, "1", "--resume", "verified", "--no-start")
    assert anew(store)
    with pytest.raises(click.BadParameter, match=r"'always' is not one of 'anyway', 'verified'"):
        typed(set_.command, "1", "--resume", "always", "--no-start")


def test_retry_says_what_begins_anew_all_the_same(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    typed(submit.command, "command", "--seeds", "2", "--no-start", "--", *ARGV)
    typed(cancel.command, "1", "2")
    typed(retry.command, "--resume", "1", "--no-start")  # the word after it is a job
    assert anew(store, 1) and "note: job 1 begins from the start all the same" in capsys.readouterr().err
    typed(retry.command, "--resume", "anyway", "2", "--no-start")
    assert not anew(store, 2) and capsys.readouterr().err == ""
    with store.read() as connection:
        assert [jobs.get(connection, job).resume for job in (1, 2)] == [True, True]
    with pytest.raises(click.BadParameter, match="'always' is not one of"):
        typed(retry.command, "--resume=always", "1", "--no-start")


def test_a_study_file_says_it_of_an_experiment(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    typed(submit.command, str(path), "--no-start")
    assert anew(store)
    path.write_text(STUDY + 'resume = "anyway"\n')
    typed(submit.command, str(path), "--no-start")
    assert not anew(store)
    path.write_text(STUDY + 'resume = "always"\n')
    with pytest.raises(BadInput, match=r"'main': resume must be \"anyway\" or \"verified\" \(got 'always'\)"):
        typed(submit.command, str(path), "--no-start")
    assert not anew(store)
