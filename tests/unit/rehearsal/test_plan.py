"""The plan of a rehearsal: what is done to which run, and when."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import pytest

from db.seals import is_whole
from jobs.errors import BadInput
from orchestrator.rehearsal import contents, tearing
from orchestrator.rehearsal.disturbances import Disturbance, plan, possible
from orchestrator.rehearsal.subjects import seconds, with_epochs


def test_the_seed_alone_decides_the_plan() -> None:
    assert plan(0, 5, 10, chance=3) == plan(0, 5, 10, chance=3)
    assert plan(0, 5, 10, chance=3) != plan(0, 5, 10, chance=4)


def test_every_disturbance_is_tried_and_kills_are_spread() -> None:
    trials = plan(0, 5, 11)
    assert {one.disturbance for one in trials} == set(Disturbance)
    kills = [one.moment.lines for one in trials if one.disturbance is Disturbance.KILL and one.moment]
    assert len(kills) == 5 and len(set(kills)) == 5
    assert all(one.moment is not None and 1 <= one.moment.lines <= 10 for one in trials)
    assert trials[0].disturbance is Disturbance.KILL  # a small budget learns of a kill before all else


def test_what_there_is_on_slurm_and_on_this_host() -> None:
    slurm, here = possible(slurm=True), possible(slurm=False)
    assert {*slurm} - {*here} == {Disturbance.REQUEUE, Disturbance.NODE}
    assert {*here} - {*slurm} == {Disturbance.TWICE, Disturbance.DISK}
    assert {*slurm} | {*here} == {*Disturbance}


def test_a_machine_that_allows_no_small_disk_still_gives_a_whole_seal() -> None:
    tried = {str(one): 1 for one in possible(slurm=False) if one is not Disturbance.DISK} | {"kill": 5}
    assert is_whole(tried, ["disk"]) and not is_whole(tried, ["twice"])
    assert not is_whole(tried | {"kill": 4}, [])


def test_only_what_is_asked_for_is_tried() -> None:
    assert [one.name for one in plan(0, 2, 5, only=[Disturbance.KILL])] == ["kill-1", "kill-2"]


def test_a_program_that_reports_one_line_is_struck_by_time() -> None:
    assert all(one.moment is not None and one.moment.lines == 0 and 0 < one.moment.part < 1 for one in plan(0, 3, 1))


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (["train.py", "--epochs", "200"], ["train.py", "--epochs", "5"]),
        (["train.py", "--epochs=200"], ["train.py", "--epochs=5"]),
    ],
)
def test_epochs_are_replaced(words: list[str], made: list[str]) -> None:
    assert with_epochs(words, "--epochs=5") == made


@pytest.mark.parametrize("flag", ["--epochs", "--epochs=0", "--epochs=x", "--steps=5"])
def test_an_epochs_flag_that_fits_nothing_is_refused(flag: str) -> None:
    with pytest.raises(BadInput, match="--epochs-flag"):
        with_epochs(["train.py", "--epochs", "200"], flag)


def test_a_budget_is_a_time() -> None:
    assert [seconds(text) for text in ("10m", "90s", "1h", "2")] == [600.0, 90.0, 3600.0, 120.0]
    with pytest.raises(BadInput, match="--budget takes a time like 10m"):
        seconds("soon")


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("harm"),))


def test_names_in_a_checkpoint_are_read_without_running_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": 1, "Optimizer": {"lr": 2}, "x": Harmful()}))
    assert {"model", "optimizer", "lr"} <= contents.words(tmp_path / "a.pkl")
    assert not (tmp_path / "harm").exists()
    (tmp_path / "b.json").write_text(json.dumps({"epoch": 1, "rng": {"state": [1]}}))
    assert contents.words(tmp_path / "b.json") == {"epoch", "rng", "state"}
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("weights.npy", b"")
    assert contents.words(tmp_path / "c.npz") == {"weights"}


def test_a_torn_or_foreign_checkpoint_names_nothing_wrong(tmp_path: Path) -> None:
    whole = pickle.dumps({"model": list(range(1000)), "late": 1})
    (tmp_path / "torn.pkl").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "foreign").write_bytes(b"\0\1\2")
    assert contents.words(tmp_path / "torn.pkl") == contents.words(tmp_path / "foreign") == frozenset()
    assert contents.words(tmp_path / "gone") == frozenset()


def test_tearing_leaves_half_of_the_newest_file(tmp_path: Path) -> None:
    import os

    for number, name in enumerate(["old.pt", "new.json", "new.pt"]):
        (tmp_path / name).write_bytes(b"x" * (10 if name.endswith("json") else 1000))
        os.utime(tmp_path / name, ns=(0, (number + 1) // 2 * 10**9))
    assert tearing.newest(tmp_path) == tmp_path / "new.pt"
    assert tearing.tear(tmp_path / "new.pt") == (1000, 500)
    assert (tmp_path / "new.pt").stat().st_size == 500


def test_times_are_turned_round(tmp_path: Path) -> None:
    import os

    for number in range(3):
        (tmp_path / f"{number}").write_bytes(b"x")
        os.utime(tmp_path / f"{number}", ns=(0, number * 10**9))
    assert tearing.turn_times(tmp_path) == 3
    assert [(tmp_path / f"{number}").stat().st_mtime_ns // 10**9 for number in range(3)] == [2, 1, 0]
