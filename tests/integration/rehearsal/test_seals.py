"""The seal: kept by an entry, shown, asked when a job is sent. A program that is wrong after resuming begins anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from db import jobs, sealing
from db.creation import Ensured
from db.seals import ANYWAY, WRONG, Seal
from db.store import Store
from jobs.files import now
from jobs.layout import Layout
from jobs.node.recorder import earlier_checkpoints
from jobs.records import Started, Task
from jobs.resources import Resources
from orchestrator.rehearsal import sealing as keeping
from orchestrator.rehearsal.judgement import Overall, Verdict
from orchestrator.settings import Settings
from orchestrator.submitting import enqueueing
from orchestrator.submitting.request import Request
from orchestrator.upkeep.rebuilding import rebuild
from orchestrator.views import seals


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in a folder of its own."""
    (tmp_path / "train.py").write_text("print(1)\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def request(**more: object) -> Request:
    return Request(
        kind="command",
        seeds=[0],
        study="default",
        preset="report",
        backend="local",
        values={"argv": ["python3", "./train.py", "--seed", "{seed}"]},
        options=dict(more),
    )


def submitted(project: Path, **more: object) -> Ensured:
    return enqueueing.submit(project / ".orch", Settings(), request(**more)).ensured


def seal(project: Path, verdict: Verdict) -> None:
    code = keeping.code_of(project / ".orch", Settings(), request())
    assert code is not None
    store = Store(project / ".orch", create=True)
    keeping.keep(store, code, Overall(verdict=verdict, reason="the order starts anew"))


def of(project: Path, job: int) -> tuple[Seal | None, bool]:
    with Store(project / ".orch").read() as connection:
        found = jobs.get(connection, job)
        return sealing.seal_of(connection, found), sealing.begins_anew(connection, found)


def test_a_seal_is_found_again_by_the_code_that_a_submit_keeps(project: Path) -> None:
    seal(project, Verdict.BIT_IDENTICAL)
    (job,) = submitted(project).ids
    found, anew = of(project, job)
    assert found is not None and found.verdict == "bit-identical" and found.program == "train.py" and not anew
    (project / "train.py").write_text("print(2)\n")
    (other,) = enqueueing.submit(
        project / ".orch", Settings(), Request(**{**vars_of(request()), "study": "later"})
    ).ensured.ids
    assert of(project, other) == (None, False)
    with Store(project / ".orch").read() as connection:
        assert sealing.of_study(connection, "default") == {"bit-identical": 1}
        assert sealing.of_study(connection, "later") == {"not rehearsed": 1}


def vars_of(asked: Request) -> dict[str, object]:
    return {name: getattr(asked, name) for name in asked.__dataclass_fields__}


def test_a_program_that_is_wrong_after_resuming_begins_anew_unless_it_is_asked_for(project: Path) -> None:
    seal(project, Verdict.WRONG)
    (job,) = submitted(project).ids
    found, anew = of(project, job)
    assert found is not None and found.verdict == WRONG and anew
    assert seals.of_job(found, None).endswith("the order starts anew; each execution begins anew")
    submitted(project, resume=ANYWAY)
    assert of(project, job) == (found, False)
    seal(project, Verdict.BIT_IDENTICAL)  # the newest verdict counts
    assert of(project, job)[0] == Seal(
        code=found.code, program="train.py", verdict="bit-identical", reason="the order starts anew", at=of_now(project)
    )


def of_now(project: Path) -> object:
    with Store(project / ".orch").read() as connection:
        from db.text import parse_time

        return parse_time(connection.exec_driver_sql("SELECT at FROM seal").scalar_one())


def test_a_rebuild_keeps_seals(project: Path) -> None:
    seal(project, Verdict.WRONG)
    (job,) = submitted(project).ids
    before = of(project, job)
    rebuild(project / ".orch")
    assert of(project, job) == before


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
