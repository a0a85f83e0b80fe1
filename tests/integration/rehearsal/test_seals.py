"""The seal: kept by an entry, shown, asked when a job is sent. A program that is wrong after resuming begins anew."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from alembic import command
from sqlalchemy import create_engine

from db import jobs, migrate, sealing
from db.seals import ANYWAY, WRONG, Seal, Standing, Verdict
from db.store import Store
from jobs.files import now
from jobs.layout import Layout
from jobs.node.recorder import earlier_checkpoints
from jobs.records import Started, Task
from jobs.resources import Resources
from orchestrator import resuming
from orchestrator.rehearsal import sealing as keeping
from orchestrator.rehearsal.disturbances import NAMES
from orchestrator.rehearsal.judgement import Overall
from orchestrator.settings import Settings
from orchestrator.submitting import enqueueing
from orchestrator.submitting.request import Request
from orchestrator.upkeep.rebuilding import rebuild


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in a folder of its own."""
    (tmp_path / "train.py").write_text("print(1)\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


ARGUMENTS = '["--seed", "{seed}"]'
WHOLE = dict.fromkeys(NAMES, 1) | {"kill": 5}


def request(*words: str, study: str = "default", **more: object) -> Request:
    return Request(
        kind="command",
        seeds=[0],
        study=study,
        preset="report",
        backend="local",
        values={"argv": ["python3", "./train.py", "--seed", "{seed}", *words]},
        options=dict(more),
    )


def submitted(project: Path, *words: str, study: str = "default", **more: object) -> int:
    asked = request(*words, study=study, **more)
    (job,) = enqueueing.submit(project / ".orch", Settings(), asked).ensured.ids
    return job


def seal(project: Path, verdict: Verdict, *words: str, tried: dict[str, int] = WHOLE) -> Seal:
    named = keeping.named_of(project / ".orch", Settings(), request(*words))
    assert named is not None
    store = Store(project / ".orch", create=True)
    untried = tuple(name for name in NAMES if name not in tried)
    return keeping.keep(store, named, Overall(verdict=verdict, reason="the order starts anew"), tried, untried)


def of(project: Path, job: int) -> tuple[Standing | None, bool]:
    with Store(project / ".orch").read() as connection:
        found = jobs.get(connection, job)
        return sealing.known_of(connection, found), sealing.begins_anew(connection, found)


def counts(project: Path, study: str) -> dict[str, int]:
    with Store(project / ".orch").read() as connection:
        return resuming.counted(sealing.of_study(connection, study))


def test_a_seal_is_found_again_by_the_code_and_the_arguments_that_a_submit_keeps(project: Path) -> None:
    seal(project, Verdict.BIT_IDENTICAL)
    found, anew = of(project, submitted(project))
    assert found is not None and found.own and not anew and found.seal.whole
    assert (found.seal.verdict, found.seal.program, found.seal.arguments) == ("bit-identical", "train.py", ARGUMENTS)
    assert of(project, submitted(project, "--adam", study="other")) == (None, False)  # other words: another program
    (project / "train.py").write_text("print(2)\n")
    assert of(project, submitted(project, study="later")) == (None, False)
    assert [counts(project, study) for study in ("default", "other", "later")] == [
        {"bit-identical": 1},
        {"not rehearsed": 1},
        {"not rehearsed": 1},
    ]


def test_a_program_that_is_wrong_after_resuming_begins_anew_unless_it_is_asked_for(project: Path) -> None:
    kept = seal(project, Verdict.WRONG)
    job = submitted(project)
    found, anew = of(project, job)
    assert found == Standing(seal=kept, own=True) and kept.verdict == WRONG and anew
    assert resuming.of_job(found, None).endswith("the order starts anew; each execution begins anew")
    submitted(project, resume=ANYWAY)
    assert of(project, job) == (found, False)
    newest = seal(project, Verdict.BIT_IDENTICAL)  # the newest verdict counts
    assert newest.verdict == "bit-identical" and of(project, job)[0] == Standing(seal=newest, own=True)


def test_what_was_wrong_with_other_arguments_begins_anew_until_its_own_are_rehearsed(project: Path) -> None:
    seal(project, Verdict.WRONG, "--adam")
    job = submitted(project, "--momentum")
    assert of(project, job)[1] and counts(project, "default") == {"wrong after resuming, with other arguments": 1}
    seal(project, Verdict.BIT_IDENTICAL, "--momentum")
    assert not of(project, job)[1] and counts(project, "default") == {"bit-identical": 1}


def test_half_a_rehearsal_takes_nothing_back(project: Path) -> None:
    whole = seal(project, Verdict.WRONG)
    assert seal(project, Verdict.BIT_IDENTICAL, tried={"kill": 1}) == whole
    job = submitted(project)
    assert of(project, job) == (Standing(seal=whole, own=True), True)
    better = seal(project, Verdict.BIT_IDENTICAL, tried=WHOLE | {"kill": 6})
    assert of(project, job) == (Standing(seal=better, own=True), False)
    worse = seal(project, Verdict.NOT_RESUMABLE, tried={"torn": 1})  # what is bad needs no more than one run
    assert of(project, job)[0] == Standing(seal=worse, own=True)


def test_a_seal_says_what_it_stands_on(project: Path) -> None:
    seal(project, Verdict.BIT_IDENTICAL, tried={"kill": 2, "term": 1})
    found, _ = of(project, submitted(project))
    assert found is not None and not found.seal.whole and counts(project, "default") == {"bit-identical, in part": 1}
    untried = ", ".join(name for name in NAMES if name not in ("kill", "term"))
    basis = f"tried: kill (2), term; not tried: {untried}"
    assert resuming.footnote(found) == f"resume verified: bit-identical, in part ({basis})"
    assert f"{found.seal.at:%Y-%m-%d}; {basis})" in resuming.of_job(found, None)


def test_a_seal_of_before_verifies_nothing_and_still_warns(project: Path) -> None:
    job = submitted(project)
    named = keeping.named_of(project / ".orch", Settings(), request())
    assert named is not None
    code, program, _ = named
    for verdict, expected in (("bit-identical", (None, False)), (WRONG, (..., True))):
        with Store(project / ".orch").write() as writer:
            writer.decide([Seal(code=code, program=program, verdict=verdict, at=now())])
        found, anew = of(project, job)
        assert (found if expected[0] is None else ..., anew) == expected


def test_a_rebuild_keeps_seals(project: Path) -> None:
    seal(project, Verdict.WRONG)
    seal(project, Verdict.BIT_IDENTICAL, tried={"kill": 1})
    job = submitted(project)
    before = of(project, job)
    rebuild(project / ".orch")
    assert of(project, job) == before and before[0] is not None and before[0].seal.whole


def test_a_store_of_before_keeps_its_seals() -> None:
    """Version 0012 had no arguments: what it knew is of none, and a rebuild from its journal says the same."""
    row = ("c0de", "train.py", WRONG, "why", "2026-11-26T10:00:00.000000Z")
    with create_engine("sqlite://").connect() as connection:
        command.upgrade(migrate.config(connection), "0012")
        connection.exec_driver_sql("INSERT INTO seal VALUES (?, ?, ?, ?, ?)", row)
        command.upgrade(migrate.config(connection), "0013")
        kept = sealing.of(connection, ("c0de", "train.py", ""))
        known = sealing.Seals(connection).of(("c0de", "train.py", ARGUMENTS))
    entry = dict(zip(("code", "program", "verdict", "reason", "at"), row, strict=True))
    assert kept == msgspec.json.decode(msgspec.json.encode({"type": "seal", **entry}), type=Seal)
    assert kept is not None and known == Standing(seal=kept, own=False)


def test_an_execution_that_begins_anew_sees_no_earlier_checkpoint(tmp_path: Path) -> None:
    from jobs.files import write_json

    layout = Layout(tmp_path)
    earlier, own = layout.new_execution(1, 1, 0), layout.new_execution(1, 1, 1)
    started = Started(
        job=1,
        attempt=1,
        generation=0,
        token="t",
        index=0,
        restart=0,
        node="n",
        host="h",
        pid=1,
        process_start=0.0,
        boot_id="b",
        at=now(),
    )
    write_json(earlier / "started.json", started)
    task = Task(job=1, attempt=1, generation=0, resources=Resources())
    assert earlier_checkpoints(layout, task, own) == [earlier / "checkpoints"]
    anew = Task(job=1, attempt=1, generation=0, resources=Resources(), anew=True)
    assert earlier_checkpoints(layout, anew, own) == []
