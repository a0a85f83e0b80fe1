"""The report's experiments from one command each, really trained (preset demo): all of Table 2, and an evolution."""

from __future__ import annotations

import json

import pytest

from tests.helpers.cli import Orch

READOUTS = 3


@pytest.mark.timeout(900)  # 45 jobs, most of them trainings: on a busy machine five minutes do not do
def test_table2_is_filled_from_jobs_that_really_ran(orch: Orch) -> None:
    dry = orch("submit", "table2", "--seeds", "2", "--dry-run")
    assert "would create 30 jobs" in dry
    assert not orch.layout.root.exists(), "a dry run creates nothing"
    orch("submit", "table2", "--seeds", "2", "--wait", timeout=800)
    assert set(orch.states()) == {"succeeded"}
    table = orch.json("table")
    rows = {(row["architecture"], row["epoch"]): row for row in table["rows"]}
    assert table["dataset"] == "digits"
    assert table["preset"] == "demo"
    assert len([key for key in rows if key[0] == "A"]) == READOUTS
    assert len([key for key in rows if key[0] == "B"]) == READOUTS
    for (name, _), row in rows.items():
        assert (row["n"], row["expected"]) == (2, 2)
        assert row["test_accuracy"]["mean"] > 50, "well above chance"
        assert row["test_accuracy"]["std"] is not None
        assert row["params_m"]["mean"] > 0
        if name in ("A", "B"):
            assert row["random_accuracy"]["mean"] > 50
            assert row["random_accuracy"]["n"] == 2
    grown = [row["shortcuts"]["mean"] for (name, _), row in sorted(rows.items(), key=str) if name == "A"]
    assert grown[-1] > grown[0], "A finds more edges at its last read-out than at its first"
    again = orch.json("submit", "table2", "--seeds", "2")
    assert again["created"] == []
    assert len(again["existing"]) == 30
    more = json.loads(orch("submit", "table2", "--seeds", "3", "--json", "--no-start"))
    assert len(more["created"]) == 15, "with more seeds only the missing jobs are added"


def test_a_gpu_study_can_be_looked_at_on_a_host_without_a_gpu_but_not_begun(orch: Orch) -> None:
    study = ("submit", "table2", "--seeds", "10", "--preset", "report", "--backend", "local")
    orch.environment["CUDA_VISIBLE_DEVICES"] = ""
    assert "would create 150 jobs" in orch(*study, "--dry-run")
    orch(*study, code=2)
    assert not orch.layout.root.exists()


def test_an_evolution_goes_on_by_jobs_that_jobs_spawn_even_with_one_slot(orch: Orch) -> None:
    orch.environment["ORCH_CPU_SLOTS"] = "1"
    orch("submit", "evolve", "--set", "generations=2", "--set", "population=4", "--wait", timeout=400)
    kinds = [job.kind for job in orch.jobs()]
    assert kinds.count("evolve-step") >= 2
    assert kinds.count("individual") >= 4
    assert set(orch.states()) == {"succeeded"}
    created = len(kinds)
    orch("supervise", "--until-idle")
    assert len(orch.jobs()) == created, "what was spawned is not spawned again"

    # its front, by Table 1's settings: an evaluation for each architecture on it and each seed
    last = next(job for job in reversed(orch.jobs()) if job.kind == "evolve-step")
    front = int(orch.json("show", str(last.id))["result"]["metrics"]["front"])
    made = orch.json("submit", "evaluate", "--from-evolve", "1", "--seeds", "2", "--no-start")
    assert len(made["created"]) == 2 * front > 0
    shown = orch.json("show", str(made["created"][0]))
    assert shown["launching"]["label"] == "evolve 1"
    assert shown["resolved"]["lr"] == 0.0090131 and shown["resolved"]["batch_size"] == 64
    assert "Optim(w): SGD(lr=0.0090131" in orch("show", str(made["created"][0]))
    assert orch.json("submit", "evaluate", "--from-evolve", "all", "--seeds", "2", "--no-start")["created"] == []
    refused = orch.call("submit", "evaluate", "--from-evolve", str(last.id))
    assert refused.returncode == 2 and f"job {last.id} is of the kind evolve-step, not evolve" in refused.stderr


def test_an_evolution_tells_what_it_costs_and_has_no_front_before_its_end(orch: Orch) -> None:
    told = orch("submit", "evolve", "--preset", "report", "--device", "cpu", "--dry-run")
    assert "at most 200 individuals (population 20 × 10 generations" in told
    assert "about 0.4 GPU hours" in told and "6.7 trainings of 150 epochs" in told  # 200 · 10 / 2 epochs, 1.6 s each
    assert "asks for 8000 MB, at most 2500 MB of a GPU's memory" in told
    assert "orch submit evolve --population 200 --generations 1" in told
    assert "hours: not known" in orch("submit", "evolve", "--no-start")
    refused = orch.call("submit", "evaluate", "--from-evolve", "1")
    assert refused.returncode == 2
    assert "evolution 1 has no front yet: its newest step, job 1, is queued" in refused.stderr


def test_a_waiting_job_behind_a_failed_one_says_so_and_goes_on_after_a_retry(orch: Orch) -> None:
    orch(
        "submit",
        "search",
        "--method",
        "A",
        "--set",
        "epochs=1",
        "--set",
        "readouts=1",
        "--set",
        "lr=1e30",
        "--no-start",
    )
    orch("submit", "evaluate", "--from-search", "all", "--set", "epochs=1", "--no-start")
    orch("supervise", "--until-idle", code=1)
    assert orch.states() == ["failed", "waiting"]
    status = orch.json("status")
    assert [job["blocked"] for job in status["jobs"]] == [False, True]
    assert "job 1" in orch("explain", "2")
    assert "nan" in (orch.job(1).error or "").lower() or "finite" in (orch.job(1).error or "").lower()
    orch("retry", "1")
    orch("supervise", "--until-idle", code=1)
    assert orch.job(1).generation == 2
    assert orch.states() == ["failed", "waiting"]
