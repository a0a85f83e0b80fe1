"""`orch export --to`: what other tools' own readers find, and what becomes of it when a result goes or changes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from db.entries import Drop
from db.launching import Launching
from db.store import Store
from jobs.errors import BadInput
from jobs.reported import Declared, Reported
from jobs.resources import Resources
from orchestrator.report.gathering import all_rows
from orchestrator.settings import Settings
from orchestrator.submitting.changing import Again, Selection, retry
from orchestrator.tracking import eventfiles, mirror, mlflowstore
from orchestrator.tracking.elsewhere import Exported, export
from orchestrator.tracking.wording import path_names, safe
from tests.helpers.filled import Filled

ODD = {"val/acc": 91.5, "MAP@5": 0.25, "α β": 3.0, "loss": 1.0, "loss/sub": 2.0, "result/val/acc": 7.0}


def study(root: Path, seeds: int = 2) -> Filled:
    """Jobs 1..seeds with curves, and one that still waits."""
    filled = Filled.make(root)
    told = Reported(metrics={"val/acc": Declared(label="accuracy", unit="%", better="higher")})
    how = Launching(backend="local", resources=Resources(cpus=1), options=told.options())
    ids = filled.submit("random-baseline", range(seeds + 1), launching=how)
    for job in ids[:seeds]:
        folder = filled.succeed(job, {**ODD, "only": 1.5})
        filled.epochs(folder, [{**ODD, "val/acc": float("nan") if epoch == 2 else 50.0 + epoch} for epoch in (1, 2, 3)])
    return filled


def out(store: Store, folder: Path, study: str = "default") -> Exported:
    rows = all_rows(store, study)
    return export(store, study, rows, rows, "tensorboard", folder)


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag → points, as tensorboard's own reader has them."""
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    return {tag: [(one.step, one.value) for one in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_tensorboard_reads_all_that_was_accepted(tmp_path: Path) -> None:
    filled = study(tmp_path / ".orch")
    done = out(filled.store, tmp_path / "tb")
    assert done == Exported(written=(1, 2), without=1)
    found = read(tmp_path / "tb" / "default" / "job-2-seed-1")
    curve = found.pop("val/acc")
    assert curve[0] == (1, 51.0) and curve[2] == (3, 53.0) and curve[1][0] == 2 and math.isnan(curve[1][1])
    assert found.pop("orch.result/val/acc") == [(3, 91.5)]  # a metric has the other name already
    assert found.pop("only") == found.pop("result/only") == [(3, 1.5)]
    for name in ("MAP@5", "α β", "loss", "loss/sub", "result/val/acc"):
        assert found.pop(name) == [(epoch, ODD[name]) for epoch in (1, 2, 3)]
        assert found.pop(f"result/{name}") == [(3, ODD[name])]
    assert found == {}
    reader = EventAccumulator(str(tmp_path / "tb" / "default" / "job-2-seed-1"))
    reader.Reload()
    assert reader.SummaryMetadata("val/acc").summary_description == "accuracy, in %, higher is better"
    content = reader.SummaryMetadata(eventfiles.SESSION).plugin_data.content
    for word in (b"orch.study", b"orch.experiment", b"orch.cell", b"orch.generation", b"orch.unit.val/acc", b"seed"):
        assert word in content


def test_what_is_exported_twice_is_there_once_and_the_same_everywhere(tmp_path: Path) -> None:
    filled = study(tmp_path / ".orch")
    out(filled.store, tmp_path / "tb")
    before = files(tmp_path / "tb")
    assert out(filled.store, tmp_path / "tb") == Exported(unchanged=(1, 2), without=1)
    out(filled.store, tmp_path / "deep" / "other")
    assert files(tmp_path / "tb") == before == files(tmp_path / "deep" / "other")
    filled.succeed(3, {"only": 2.0})
    assert out(filled.store, tmp_path / "tb") == Exported(written=(3,), unchanged=(1, 2))
    assert read(tmp_path / "tb" / "default" / "job-3-seed-2") == {"only": [(0, 2.0)], "result/only": [(0, 2.0)]}


def test_a_result_that_was_dropped_or_superseded_goes(tmp_path: Path) -> None:
    filled = study(tmp_path / ".orch", 3)
    place = tmp_path / "tb" / "default"
    out(filled.store, tmp_path / "tb")
    with filled.store.write() as writer:
        writer.decide([Drop(jobs=(1,), because="odd", at=filled.tick())])
    retry(filled.store, Settings(), Selection(ids=(2,)), Again(succeeded=True))
    done = out(filled.store, tmp_path / "tb")
    assert done == Exported(unchanged=(3,), removed=2, without=2, dropped=1, superseded=1)
    assert [path.name for path in place.iterdir()] == ["job-3-seed-2"]
    filled.succeed(2, {"only": 9.0})
    assert out(filled.store, tmp_path / "tb").written == (2,)
    assert read(place / "job-2-seed-1")["only"] == [(0, 9.0)]


def test_a_filter_takes_nothing_away(tmp_path: Path) -> None:
    filled = study(tmp_path / ".orch")
    out(filled.store, tmp_path / "tb")
    rows = all_rows(filled.store, "default")
    done = export(filled.store, "default", rows[1:2], rows, "tensorboard", tmp_path / "tb")
    assert done == Exported(unchanged=(2,))
    assert len(list((tmp_path / "tb" / "default").iterdir())) == 2


def test_an_export_that_is_killed_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled = study(tmp_path / ".orch", 3)
    whole = eventfiles.EventFiles.write

    def dies(self: Any, run: Any, folder: Path) -> Path:
        if run.job == 2:
            (folder / "run").mkdir()
            (folder / "run" / "events.out.tfevents.1").write_bytes(b"half")
            raise KeyboardInterrupt
        return whole(self, run, folder)

    monkeypatch.setattr(eventfiles.EventFiles, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        out(filled.store, tmp_path / "tb")
    assert [path.name for path in (tmp_path / "tb" / "default").iterdir()] == ["job-1-seed-0"]
    (tmp_path / "tb" / f"{mirror.ASIDE}1234.tmp" / "run").mkdir(parents=True)  # of one that had no time to tidy
    monkeypatch.setattr(eventfiles.EventFiles, "write", whole)
    assert out(filled.store, tmp_path / "tb") == Exported(written=(2, 3), unchanged=(1,), without=1)
    out(filled.store, tmp_path / "fresh")
    assert files(tmp_path / "tb") == files(tmp_path / "fresh")
    assert not [path for path in (tmp_path / "tb").iterdir() if path.name.endswith(".tmp")]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    filled, other = study(tmp_path / "a" / ".orch"), study(tmp_path / "b" / ".orch", 1)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").touch()
    (tmp_path / "file").touch()
    for folder, said in (
        (foreign, "holds other things (thesis.tex)"),
        (tmp_path / "file", "Not a directory"),
        (tmp_path / "a" / ".orch" / "runs", "inside of the store"),
    ):
        with pytest.raises(BadInput) as error:
            out(filled.store, folder)
        assert said in str(error.value)
    assert [path.name for path in foreign.iterdir()] == ["thesis.tex"]
    out(filled.store, tmp_path / "tb")
    before = files(tmp_path / "tb")
    with pytest.raises(BadInput, match="another store"):
        out(other.store, tmp_path / "tb")
    with pytest.raises(BadInput, match="an export to tensorboard"):
        mirror.check(tmp_path / "tb", "mlflow-files", "0")
    note = tmp_path / "tb" / mirror.NOTE
    note.write_text(note.read_text().replace("default/job-1-seed-0", "../../foreign"))
    with pytest.raises(BadInput, match="leads out of it"):
        out(filled.store, tmp_path / "tb")
    note.write_text("{")
    with pytest.raises(BadInput, match="cannot be read"):
        out(filled.store, tmp_path / "tb")
    note.write_bytes(before[mirror.NOTE])
    assert files(tmp_path / "tb") == before


def test_an_empty_study_makes_no_folder(tmp_path: Path) -> None:
    filled = Filled.make(tmp_path / ".orch")
    filled.submit("random-baseline", [0])
    assert out(filled.store, tmp_path / "tb") == Exported(without=1)
    assert not (tmp_path / "tb").exists()


def test_thousands_of_points_come_back_each(tmp_path: Path) -> None:
    filled = study(tmp_path / ".orch", 1)
    folder = filled.store.layout.executions(1, 1)[0]
    filled.epochs(folder, [{"long": epoch / 2} for epoch in range(1, 5001)])
    out(filled.store, tmp_path / "tb")
    found = read(tmp_path / "tb" / "default" / "job-1-seed-0")["long"]
    assert found == [(epoch, epoch / 2) for epoch in range(1, 5001)]


def test_names_of_files_are_nobody_elses() -> None:
    odd = mlflowstore.ODD
    given = ["a", "a/b", "A", "x@5", "x_5", "..", "../../etc", "", " ", "α β", "n" * 300, "ok/fine"]
    found = path_names(given, odd, 200)
    assert found["ok/fine"] == "ok/fine" and found["α β"] == "α β" and found["a/b"] == "a/b" and found["x_5"] == "x_5"
    small = [name.casefold() for name in found.values()]
    assert len(set(small)) == len(given)
    assert not [one for one in small for two in small if two.startswith(f"{one}/")]
    assert all(".." not in Path(name).parts and not name.startswith("/") and 0 < len(name) <= 200 for name in small)
    names = ["mine", "a b", "a_b", "..", ".", "", "a/b", "ü", "x" * 200]
    assert safe("mine") == "mine" and len({safe(name) for name in names}) == len(names)
    assert all("/" not in safe(name) and safe(name).strip(".") for name in names)
