"""`show --story`: what was decided and what happened to a job, in order of time, each with its cause."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from jobs.words import Cause, JobState
from tests.helpers.filled import Filled
from tests.helpers.look import Orch
from tests.helpers.story import told


def fall_and_rise(filled: Filled) -> int:
    """A job whose node fails, and which succeeds with its second attempt; beside it another one."""
    job, _ = filled.submit(seeds=range(2))
    filled.dispatch(job)
    filled.start(job, node="bad")
    filled.strike("bad", job=job)
    filled.end(job, Cause.NODE_FAILURE, JobState.QUEUED, node="bad")
    filled.succeed(job, {"test_accuracy": 91.5})
    return job


def test_a_story_is_told_in_order_with_its_causes(orch: Orch, filled: Filled) -> None:
    job = fall_and_rise(filled)
    story = orch("show", job, "--story", "--json").json()
    assert story["job"] == job
    lines = story["story"]
    times = [datetime.fromisoformat(line["at"]) for line in lines]
    assert times == sorted(times)
    assert [(line["what"].partition(":")[0], line["attempt"], line["cause"]) for line in lines[:4]] == [
        ("submit", None, "a person"),
        ("queued (generation 1)", None, "submit"),
        ("dispatch", 1, "supervisor"),
        ("queued → submitted (generation 1)", 1, "dispatch"),
    ]
    said = [(line["source"], line["cause"]) for line in lines]
    assert ("journal", "node_failure") in said and ("event", "node_failure") in said
    assert said.count(("journal", "success")) == 1 and ("event", "success") in said
    assert {line["file"] for line in lines if line["source"] == "journal"} == set(range(1, 7)), "each of its decisions"
    text = orch("show", job, "--story").out.splitlines()
    assert len(text) == len(lines) + 1
    assert any("strike: node bad [node_failure]" in line for line in text)
    assert any(" began on bad " in f"{line} " for line in text)


def test_only_its_own(orch: Orch, filled: Filled) -> None:
    job = fall_and_rise(filled)
    other = orch("show", job + 1, "--story", "--json").json()["story"]
    assert [line["source"] for line in other] == ["journal", "event"]


def test_a_damaged_file_is_a_line_of_the_story(orch: Orch, filled: Filled) -> None:
    job = fall_and_rise(filled)
    (filled.store.layout.journal / "0" / "000000002.json").write_bytes(b"{torn")
    text = orch("show", job, "--story").out
    assert "journal 2" in text and "this file cannot be read" in text and "[success]" in text


def test_a_job_that_is_not_there_and_two_questions_at_once(orch: Orch, filled: Filled) -> None:
    job = fall_and_rise(filled)
    assert "there is no job 99" in orch("show", 99, "--story").refused()
    assert "give one of them" in orch("show", job, "--story", "--epoch", 3).refused()


def test_a_broken_rule_is_told_with_the_story(filled: Filled, tmp_path: Path) -> None:
    job = fall_and_rise(filled)
    with pytest.raises(AssertionError) as broken, told(filled.store.layout):
        raise AssertionError(f"job {job} has two results")
    text = str(broken.value)
    assert text.startswith(f"job {job} has two results\nthe story of job {job} ") and "strike: node bad" in text
    assert f"the story of job {job + 1} " not in text
