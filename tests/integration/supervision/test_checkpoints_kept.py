"""`[clean] keep`: which checkpoints go once nothing needs them, and which never do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.launching import Launching
from jobs import files
from jobs.files import names
from jobs.node.checkpoints import CheckpointRecord
from jobs.records import MetricLine
from jobs.reported import Declared, Reported
from jobs.resources import Resources
from jobs.words import Cause, JobState
from orchestrator.room import TIDIED, Tidied
from orchestrator.settings import Settings
from orchestrator.submitting import changing
from orchestrator.submitting.changing import Again, Selection
from orchestrator.supervision import tidying
from orchestrator.supervision.surplus import best, of_program
from orchestrator.supervision.tidying import Tidying
from tests.helpers.filled import Filled

SAVED = ["model-1.pt", "model-2.pt", "model-10.pt", "best.pt", "notes.txt"]


def saved(folder: Path, found: Sequence[str] = SAVED) -> Path:
    place = folder / "checkpoints"
    place.mkdir(exist_ok=True)
    for name in found:
        (place / name).write_bytes(b"x" * 100)
    return place


def steps(folder: Path, values: Sequence[float]) -> Path:
    """Checkpoints of orch's own form at steps 1, 2, …"""
    place = folder / "checkpoints"
    place.mkdir()
    for step, value in enumerate(values, 1):
        line = MetricLine(epoch=step, at=files.now(), values={"test_accuracy": value})
        record = CheckpointRecord(step=step, bytes=1, sha256="", history=(line,))
        (place / f"step-{step:08d}.pt").write_bytes(b"x")
        files.write_json(place / f"step-{step:08d}.json", record)
    return place


def command(filled: Filled, better: str = "", **more: object) -> int:
    told = Reported(metrics={"loss": Declared(better=better)})  # type: ignore[arg-type]
    how = Launching(backend="local", resources=Resources(cpus=1), options=told.options())
    values = {"argv": ("true",), "name": str(len(names(filled.store.layout.runs / "0")))}
    return filled.submit("command", values=values, launching=how, **more)[0]  # type: ignore[arg-type]


def tidy(filled: Filled, keep: str | None) -> None:
    assert Tidying(filled.store, keep).look(changed=True, idle=True) is False


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return Filled.make(tmp_path / ".orch")


def test_the_last_one_stays_or_the_best_or_none(filled: Filled) -> None:
    job = command(filled, "lower")
    folder = filled.succeed(job, {"loss": 0.5})
    filled.epochs(folder, [{"loss": 3.0}, {"loss": 0.1}, {"loss": 0.5}])
    (folder / "out").mkdir()
    (folder / "out" / "model-1.pt").write_bytes(b"product")
    place = saved(folder)
    tidy(filled, None)
    assert names(place) == sorted(SAVED)
    tidy(filled, "last")
    assert names(place) == ["best.pt", "model-10.pt", "notes.txt"]
    saved(folder)
    tidy(filled, "best")
    assert names(place) == ["best.pt", "model-2.pt", "notes.txt"]
    tidy(filled, "none")
    assert not place.exists()
    assert (folder / "out" / "model-1.pt").read_bytes() == b"product" and (folder / "outcome.json").exists()
    counted = files.read_json(filled.store.root / TIDIED, Tidied)
    assert counted == Tidied(files=2 + 2 + 3, bytes=700)


def test_the_best_is_the_last_where_nobody_says_which_way_is_better(filled: Filled) -> None:
    folder = filled.succeed(command(filled), {"loss": 0.5})
    filled.epochs(folder, [{"loss": 3.0}, {"loss": 0.1}])
    place = saved(folder)
    tidy(filled, "best")
    assert names(place) == ["best.pt", "model-10.pt", "notes.txt"]


@pytest.mark.parametrize(("keep", "left"), [("last", 3), ("best", 2)])
def test_checkpoints_of_a_kind(filled: Filled, keep: str, left: int) -> None:
    (job,) = filled.submit("evaluate", values={"method": "A", "search_epoch": 1, "search": 1})
    place = steps(filled.succeed(job, {"test_accuracy": 90.0}), [80.0, 95.0, 90.0])
    tidy(filled, keep)
    assert names(place) == [f"step-{left:08d}.json", f"step-{left:08d}.pt"]


def test_what_somebody_needs_stays_until_it_has_what_it_needs(filled: Filled) -> None:
    train = command(filled)
    folder = filled.succeed(train, {"loss": 1.0})
    place = saved(folder)
    stage = command(filled, needs=(train,))
    watching = Tidying(filled.store, "none")
    for state in (None, "running", "failed"):
        if state == "running":
            filled.dispatch(stage)
            filled.start(stage)
        if state == "failed":
            filled.end(stage, Cause.ERROR, JobState.FAILED, error="x")
        watching.look(changed=True, idle=True)
        assert names(place) == sorted(SAVED), f"the stage is {state or 'queued'}"
    changing.retry(filled.store, Settings(), Selection(ids=(stage,)), Again())
    filled.succeed(stage, {"loss": 2.0})
    (warm,) = filled.submit("command", values={"argv": ("resume", f"{place}/model-10.pt")})
    watching.look(changed=True, idle=True)
    assert names(place) == sorted(SAVED), "a job that waits names a file in it"
    filled.succeed(warm, {"loss": 2.0})
    watching.look(changed=True, idle=True)
    assert not place.exists()


def test_a_running_copy_and_a_retry_keep_all(filled: Filled) -> None:
    running = command(filled)
    filled.dispatch(running)
    place = saved(filled.start(running))
    again = command(filled)
    lost = saved(filled.succeed(again, {"loss": 1.0}))
    with filled.store.write() as writer:
        writer.connection.exec_driver_sql("UPDATE attempt SET doomed = 1 WHERE job_id = ?", (again,))
    tidy(filled, "none")
    assert names(place) == names(lost) == sorted(SAVED)


def test_a_copy_that_was_given_up_and_still_breathes_keeps_its_own(filled: Filled) -> None:
    job = command(filled)
    filled.dispatch(job)
    zombie = filled.start(job)
    filled.end(job, Cause.LOST, JobState.QUEUED)
    filled.succeed(job, {"loss": 1.0})
    place = saved(zombie)
    (zombie / "heartbeat").touch()
    watching = Tidying(filled.store, "last")
    watching.look(changed=True, idle=True)
    assert names(place) == sorted(SAVED)
    os.utime(zombie / "heartbeat", (1, 1))
    watching.look(changed=True, idle=True)
    assert not place.exists()


def test_no_link_is_followed(filled: Filled, tmp_path: Path) -> None:
    outside = tmp_path / "mine"
    saved(tmp_path, [])
    outside.mkdir()
    (outside / "model-1.pt").write_bytes(b"mine")
    linked, inside = (filled.succeed(command(filled), {"loss": 1.0}) for _ in range(2))
    (linked / "checkpoints").symlink_to(outside)
    place = saved(inside)
    (place / "data-1").symlink_to(outside)
    (place / "data-2").symlink_to(outside)
    for keep in ("last", "none"):
        tidy(filled, keep)
        assert (outside / "model-1.pt").read_bytes() == b"mine"
    moved = filled.succeed(command(filled), {"loss": 1.0})
    saved(moved)
    moved.rename(outside / "execution")
    moved.symlink_to(outside / "execution")
    tidy(filled, "none")
    assert names(outside / "execution" / "checkpoints") == sorted(SAVED)


def test_a_kill_in_the_middle_is_made_good(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = filled.succeed(command(filled), {"loss": 1.0})
    place = saved(folder)
    whole = tidying.remove

    def dies(path: Path) -> tuple[int, int]:
        whole(path)
        raise KeyboardInterrupt

    monkeypatch.setattr(tidying, "remove", dies)
    with pytest.raises(KeyboardInterrupt):
        tidy(filled, "last")
    assert len(names(place)) == len(SAVED) - 1
    monkeypatch.setattr(tidying, "remove", whole)
    tidy(filled, "last")
    assert names(place) == ["best.pt", "model-10.pt", "notes.txt"]


def test_parts_of_one_checkpoint_stay_together() -> None:
    parts = [f"model-{step}-0000{part}-of-00002.pt" for step in (1, 2) for part in (1, 2)]
    ranks = [f"rank{rank}_{step}.pt" for step in (3, 4) for rank in (0, 1)]
    assert of_program([*parts, *ranks], None) == sorted([*parts[:2], *ranks[:2]])
    assert of_program(["epoch=1-step=90.ckpt", "epoch=2-step=180.ckpt", "last.ckpt"], None) == ["epoch=1-step=90.ckpt"]
    assert of_program(["checkpoint-9", "checkpoint-10"], None) == ["checkpoint-9"]
    assert of_program(["a.pt", "b.pt"], None) == []
    assert of_program(["m1", "m2", "m3"], 2) == ["m1", "m3"]
    assert of_program(["m1", "m3"], 2) == ["m1"]


@given(st.sets(st.from_regex(r"[a-c]{0,2}[0-9]{0,3}(-of-[0-9])?(\.pt)?", fullmatch=True).filter(bool), min_size=1))
def test_something_of_each_kind_of_file_always_stays(found: set[str]) -> None:
    gone = of_program(found, None)
    assert set(gone) < found and of_program(found - set(gone), None) == []


@given(st.dictionaries(st.integers(0, 50), st.floats(-10, 10), min_size=1))
def test_the_best_value_is_the_best(values: dict[int, float]) -> None:
    for higher, extreme in ((True, max), (False, min)):
        at = best(values, higher)
        assert at is not None and values[at] == extreme(values.values())
        assert at == max(one for one in values if values[one] == values[at])
    assert best({}, True) is None
