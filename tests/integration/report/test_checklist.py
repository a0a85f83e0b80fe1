"""The NAS checklist: every item is answered from the rows, and what they do not tell is "not known"."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import torch

from db.rows import ResultRow
from jobs.node import device
from orchestrator.report import checklist, page, sections, watched
from orchestrator.report.data import ReportData
from tests.helpers import plausible


def data(rows: list[ResultRow], **more: object) -> ReportData:
    return ReportData(study="s", made_at=datetime(2026, 1, 6, tzinfo=UTC), rows=rows, **more)  # type: ignore[arg-type]


def answers(given: ReportData) -> dict[str, str]:
    return {row[1].split(":")[0]: row[2] for row in checklist.grid(given).rows}


def test_a_study_answers_what_it_can() -> None:
    rows = [replace(row, code="0.1.0 abc", device_name="NVIDIA H100") for row in plausible.study_rows(3)]
    found = answers(data(rows, curves=plausible.curves(rows[:6]), versions={"torch": "2.14.1"}))
    assert len(found) == 16
    assert found["code of the NAS method"] == "kept in the store: 0.1.0 abc; published: not known"
    assert "SGD(lr=0.0090131, momentum=0.9" in found["hyperparameters and seeds of the final evaluation"]
    assert "alpha_lr: 0.0003" in found["hyperparameters and seeds of the NAS method"]
    assert found["hyperparameters and seeds of the NAS method"].endswith("seeds: 0 1 2")
    assert found["confounding factors"] == "one device: NVIDIA H100; versions agree"
    sampled = found["compared to random sampling and to random search"]
    assert sampled == "random sampling: 18 architectures; random search: no", "one draw for each is no search"
    assert found["several runs of the method, with their seeds"].startswith("yes: 6 searches; seeds: 0 1 2; final")
    assert found["performance as a function of compute"].startswith("yes: final accuracy of read-outs after search epo")
    assert (
        found["same data set, split, search space and training code for all methods"]
        == "yes: data set CIFAR-10; one code"
    )
    assert (
        found["tabular or surrogate benchmarks"] == found["how hyperparameters were tuned, and its cost"] == "not known"
    )


def test_differences_are_told_and_nothing_is_made_up() -> None:
    rows = plausible.study_rows(2)
    mixed = [replace(row, device_name=f"GPU {row.job % 2}", code_changed=True, code="c") for row in rows]
    found = answers(data(mixed, versions={"torch": "2.13, 2.14"}))
    assert found["confounding factors"] == "2 devices: GPU 0 / GPU 1; versions differ: torch"
    assert "code: not known" in found["same data set, split, search space and training code for all methods"]
    empty = answers(data([plausible.row(1, kind="command", dataset="", accuracy=None)]))
    assert set(empty.values()) == {"not known", "random sampling: no; random search: no",
                                   "settings, failures and every job are on the page of 'orch report'; "
                                   "versions: not known"}  # fmt: skip


def test_a_study_of_programs_has_no_checklist_on_its_page() -> None:
    assert 'id="checklist"' in page.build(data(plausible.study_rows(2)))
    assert 'id="checklist"' not in page.build(data([plausible.row(1, kind="command", dataset="")]))


def test_old_searches_are_watched_with_a_dash() -> None:
    rows = plausible.study_rows(2)
    (signs,) = watched.grids(rows, [])
    assert {cell for row in signs.rows for cell in row[4:6]} == {"-"}
    told = {"target_share": 0.75, "shortcuts": 8.0, "val_accuracy": 90.0, "discretised_accuracy": 60.0}
    (signs,) = watched.grids(
        [replace(rows[0], metrics={**told, "alpha_eigenvalue": 0.02, "eigenvalue_ratio": 2.0})], []
    )
    assert signs.rows[0][3:] == ["90.00", "60.00", "−30.00", "8", "75", "0.0200", "2.00"]
    assert signs.notes[-1].startswith("search 1 may be collapsing: the largest eigenvalue over α grew 2.00-fold")


def test_the_hardware_comes_first_and_every_version_is_told() -> None:
    rows = [replace(plausible.row(1), device_name="x86_64 CPU")]
    versions = {"torch": "2.14.1", "cpu": "Some CPU (2 threads)", "memory": "4 GiB", "numpy": "2.4", "system": "Linux"}
    told = [line.name for line in sections.versions(data(rows, versions=versions))]
    assert told == ["device", "cpu", "memory", "system", "numpy", "torch"]
    found, name = device.versions(torch.device("cpu"))
    assert (
        name.endswith("CPU") and {"python", "torch", "numpy", "scipy", "torchvision", "orch", "system"} <= found.keys()
    )
    assert all(found.values())
