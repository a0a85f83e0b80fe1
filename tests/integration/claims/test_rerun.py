"""`orch verify --rerun`: which jobs run again, and what is said of their numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from db.rows import ResultRow
from jobs.words import JobState
from orchestrator.claims import records
from orchestrator.claims.rerunning import compared, drawn
from tests.integration.claims.conftest import Lab
from tests.integration.claims.test_commands import Typed, typed

__all__ = ["typed"]
PROGRAM = 'test {seed} != 2 && echo "{\\"acc\\": 9{seed}.5}" > "$ORCH_RESULT"'


def row(job: int, seed: int, acc: float, **more: Any) -> ResultRow:
    return ResultRow(
        job=job,
        study="s",
        kind="command",
        preset="",
        dataset="",
        seed=seed,
        state=JobState.SUCCEEDED,
        config={"argv": ["x"], **more},
        metrics={"acc": acc},
    )


ROWS = [row(1, 0, 90.0), row(2, 1, 92.0), row(3, 2, 91.0)]


@pytest.mark.parametrize(
    ("result", "how"),
    [
        ({"acc": 90.0}, "bit-equal"),
        ({"acc": 90.0 + 1e-13}, "within noise"),
        ({"acc": 91.9}, "within noise"),  # two standard deviations of the row's seeds are 2
        ({"acc": 92.1}, "different"),
        ({"acc": None}, "different"),
        ({}, "different"),
        ({"acc": 90.0, "more": 1.0}, "different"),
    ],
)
def test_a_number_is_compared_with_what_its_row_varies_by(result: dict[str, float | None], how: str) -> None:
    assert compared(ROWS[0], result, ROWS)[0] == how


def test_repeats_tell_the_noise_where_there_are_any() -> None:
    repeats = [row(10 + n, 0, 90.0 + n / 100, repeat=n) for n in range(1, 4)]
    first = row(1, 0, 90.0, repeat=0)
    rows = [first, row(2, 1, 95.0), *repeats]
    assert compared(first, {"acc": 90.015}, rows)[0] == "within noise"
    how, text = compared(first, {"acc": 90.05}, rows)
    assert how == "different" and "90 became 90.05 (± 0.01)" in text


def test_one_run_alone_has_no_noise_and_the_rows_of_other_settings_tell_none() -> None:
    assert compared(ROWS[0], {"acc": 90.1}, [ROWS[0], row(9, 1, 50.0, lr=1)])[0] == "different"


def test_the_claim_itself_says_which_jobs_run_again(lab: Lab) -> None:
    lab.run()
    claim, data = records.load(lab.claim())
    digest = records.digest_of(data)
    first = [one.job for one in drawn(claim, digest, 3)]
    assert first == [one.job for one in drawn(claim, digest, 3)] and len(set(first)) == 3
    others = {tuple(one.job for one in drawn(claim, f"{digest}{n}", 3)) for n in range(20)}
    assert len(others) > 5


def test_jobs_run_again_from_the_store_and_are_compared(lab: Lab, typed: Typed) -> None:
    ids = lab.filled.submit("command", range(3), values={"argv": ("sh", "-c", PROGRAM)})
    for job, accuracy in zip(ids, (90.5, 95.5, 92.5), strict=True):
        lab.filled.succeed(job, {"acc": accuracy}, edges=())
    assert typed("claim", "--out", "t.claim")[0] == 0
    code, out, err = typed("verify", "t.claim", "--rerun", "5", "--json")
    ran = {one["job"]: one["how"] for one in json.loads(out)["rerun"]}
    assert ran == {ids[0]: "bit-equal", ids[1]: "within noise", ids[2]: "failed"}, err
    assert code == 1 and "(3 of 3)" in err


def test_another_store_is_refused(lab: Lab, typed: Typed) -> None:
    lab.filled.submit("command", [0], values={"argv": ("true",)})
    lab.filled.succeed(1, {"acc": 1.0}, edges=())
    claim = lab.loaded()
    other = replace(records.rows_of(claim)[0], seed=7)
    forged = records.msgspec.structs.replace(claim, rows=(records.row_of(other),))
    (lab.folder / "t.claim").write_bytes(records.pack(records.encode(forged)))
    code, _, err = typed("verify", "t.claim", "--rerun", "1")
    assert code == 2 and "is not the one of this claim" in err
