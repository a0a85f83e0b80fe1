"""The commands that look, as a person calls them, on small stores."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from db import attempts, health, jobs
from jobs.discretise import discretise, keep_alpha
from jobs.files import now
from jobs.words import Cause, JobState
from orchestrator.cli.main import COMMANDS, run
from tests.helpers.filled import Filled
from tests.helpers.plausible import published_rows

LOOKING = (
    "status",
    "show",
    "explain",
    "logs",
    "nodes",
    "doctor",
    "import",
    "export",
    "clean",
    "plot",
    "report",
    "table",
)
GOOD = {"test_accuracy": 91.25, "params": 20_500_000.0, "shortcuts": 1.0}


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    def refused(self) -> str:
        """The one sentence of a refusal."""
        assert self.code == 2 and self.out == "", (self.code, self.out)
        assert self.err.count("\n") == 1 and self.err.startswith("Error: "), self.err
        return self.err.removeprefix("Error: ").rstrip("\n")


Orch = Callable[..., Said]


@pytest.fixture
def orch(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Orch:
    """Call a command in this process, in a folder of its own."""
    for name in [name for name in os.environ if name.startswith("ORCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Said:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    return call


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return Filled.make(tmp_path / ".orch")


def process(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, its output in a pipe."""
    code = "from orchestrator.cli.main import run; run()"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ORCH_", "NO_COLOR"))}
    inherited |= {"PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, env=inherited, capture_output=True, text=True, timeout=60
    )


# ---- help


@pytest.mark.parametrize("name", LOOKING)
def test_help_ends_with_an_example(orch: Orch, name: str) -> None:
    said = orch(name, "--help")
    assert said.code == 0 and f"orch {name}" in said.out.partition("Example:")[2].splitlines()[1]
    assert name in COMMANDS


# ---- status


def test_no_store_is_no_fault(orch: Orch, tmp_path: Path) -> None:
    empty = orch("status", "--json").json()
    assert empty == {"study": "default", "counts": dict.fromkeys(JobState, 0), "supervisor": None, "jobs": []}
    assert "orch submit" in orch("status").out
    assert not (tmp_path / ".orch").exists(), "looking makes nothing"


def test_status_json(orch: Orch, filled: Filled) -> None:
    done, failed = filled.submit(seeds=range(2))
    filled.succeed(done, GOOD)
    filled.dispatch(failed)
    filled.start(failed, node="n7")
    filled.end(failed, Cause.ERROR, JobState.FAILED, error="ValueError: x", node="n7")
    (behind,) = filled.submit("evaluate", values={"architecture": "vgg19"}, needs=[failed])
    found = orch("status", "--json").json()
    assert found["counts"] == {**dict.fromkeys(JobState, 0), "succeeded": 1, "failed": 1, "waiting": 1}
    assert found["supervisor"] is None
    one, two, three = found["jobs"]
    assert one["metrics"] == GOOD and one["architecture"] and one["state"] == "succeeded"
    assert (two["cause"], two["error"], two["node"], two["attempts"]) == ("error", "ValueError: x", "n7", 1)
    assert three["id"] == behind and three["blocked"] is True and two["blocked"] is False


def test_status_names_what_waits_and_for_what(orch: Orch, filled: Filled) -> None:
    filled.submit(seeds=range(3))
    said = orch("status")
    assert said.code == 0
    assert "no supervisor runs: 3 jobs wait for one" in said.out and "orch supervise" in said.out
    assert "random-baseline" in said.out and "queued (3)" in said.out


def test_a_pipe_gets_no_colours_and_every_line(filled: Filled, tmp_path: Path) -> None:
    for job in filled.submit(seeds=range(3))[:2]:
        filled.dispatch(job)
        filled.start(job)
        filled.end(job, Cause.ERROR, JobState.FAILED, error="ValueError: \x1b[31mred " + "x" * 200)
    said = process(tmp_path, "status", COLUMNS="80")
    assert said.returncode == 0 and "\x1b" not in said.stdout
    assert all(len(line) <= 80 for line in said.stdout.splitlines() if not line.startswith("! "))
    assert "\x1b" in process(tmp_path, "status", FORCE_COLOR="1").stdout
    assert "\x1b[3" not in process(tmp_path, "status", FORCE_COLOR="1", NO_COLOR="1").stdout


def test_limit_and_all(orch: Orch, filled: Filled) -> None:
    filled.submit(seeds=range(300))
    assert "… and 290 more" in orch("status", "--limit", 10).out
    assert "more" not in orch("status", "--all").out
    assert orch("status", "--limit", 0).code == 2


def test_an_unknown_study_is_refused(orch: Orch, filled: Filled) -> None:
    filled.submit(study="table2")
    assert orch("status", "--study", "tabel2").refused() == "there is no study 'tabel2': did you mean 'table2'?"
    assert orch("table", "--study", "nope").refused().startswith("there is no study 'nope'")
    said = orch("status")
    assert said.code == 0 and "other studies here: table2 (1)" in said.out


def test_watch_ends_when_nothing_moves(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit()
    threading.Timer(1.0, lambda: filled.succeed(job, GOOD)).start()
    said = orch("status", "--watch")
    assert said.code == 0 and "queued (1)" in said.out and "1 of 1 succeeded" in said.out
    assert "do not go together" in orch("status", "--watch", "--json").err


def test_a_damaged_store_is_told_with_the_mend(orch: Orch, filled: Filled) -> None:
    filled.store.layout.database.write_bytes(b"no database at all" * 100)
    for name in Path(filled.store.root).glob("orch.db-*"):
        name.unlink()
    assert "orch rebuild" in orch("status").refused()


# ---- show, explain, logs


def test_show_a_job_in_full(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit(seeds=[3])
    filled.dispatch(job)
    filled.start(job, node="bad")
    filled.end(job, Cause.NODE_FAILURE, JobState.QUEUED, node="bad", decision="node_failure: resubmitted (1 of 8)")
    filled.succeed(job, GOOD, edges=[(0, 2), (3, 7)])
    said = orch("show", job).out
    for text in ("succeeded", "seed 3", "resubmitted (1 of 8)", "bad", "accepted", "0-2,3-7", "20,500,000"):
        assert text in said
    found = orch("show", job, "--json").json()
    assert [one["cause"] for one in found["attempts"]] == ["node_failure", "success"]
    assert found["result"]["metrics"] == GOOD and found["result"]["edges"] == [[0, 2], [3, 7]]
    assert [event["after"] for event in found["events"]] == ["queued", "submitted", "running"] * 2 + ["succeeded"]
    assert "there is no job 99" in orch("show", 99).refused()
    assert orch("show", "abc").code == 2


def test_show_reads_an_architecture_out_of_a_search(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit("search", values={"method": "A"})
    filled.dispatch(job)
    folder = filled.start(job)
    alpha = [[0.0] * 16 for _ in range(16)]
    keep_alpha(folder, 0, alpha, "A")
    alpha[0][5], alpha[2][9] = 2.0, 0.5
    keep_alpha(folder, 1, alpha, "A")
    found = orch("show", job, "--epoch", 1, "--json").json()
    assert found["edges"] == [[0, 5]] and found["tau"] == 0.7 and found["shortcuts"] == 1
    wider = orch("show", job, "--epoch", 1, "--tau", 0.6, "--json").json()
    assert tuple(map(tuple, wider["edges"])) == discretise(alpha, "A", 0.6).edges and wider["shortcuts"] == 2
    assert "0-5" in orch("show", job, "--epoch", 1).out
    assert "epochs 0 to 1" in orch("show", job, "--epoch", 9).refused()
    assert "tau must lie between" in orch("show", job, "--tau", 1.5).refused()
    (other,) = filled.submit()
    assert "random-baseline" in orch("show", other, "--epoch", 1).refused()


def test_explain_says_why_it_waits(orch: Orch, filled: Filled) -> None:
    failed, again, sent = filled.submit(seeds=range(3))
    filled.dispatch(failed)
    filled.start(failed)
    filled.end(failed, Cause.ERROR, JobState.FAILED, error="ValueError: x", evidence=["line of proof"], decision="x")
    (behind,) = filled.submit("evaluate", values={"architecture": "vgg19"}, needs=[failed])
    (after,) = filled.submit("evaluate", seeds=[1], values={"architecture": "vgg19"}, needs=[again])
    filled.dispatch(again)
    filled.start(again)
    filled.end(again, Cause.KILLED, JobState.QUEUED, not_before=now() + timedelta(hours=1), decision="killed: again")
    filled.dispatch(sent, backend="slurm", native_id="77", slot=None)
    with filled.store.write() as writer:
        number = attempts.of_job(writer.connection, sent)[-1].id
        attempts.observed(writer.connection, [(number, "pending", "jobs of higher priority come first", None, 0)])
    said = orch("explain", failed).out
    assert (
        "raised an error" in said and "line of proof" in said and f"orch retry {failed}" in said and str(behind) in said
    )
    assert f"job {failed} (random-baseline, seed 0) failed: ValueError: x" in orch("explain", behind).out
    assert f"it waits for 1 job: {again} (random-baseline, queued)" in orch("explain", after).out
    held = orch("explain", again).out
    assert "held back until" in held and "killed: again" in held and "no supervisor runs" in held
    assert "SLURM has it as job 77" in orch("explain", sent).out
    assert "jobs of higher priority come first" in orch("explain", sent).out
    found = orch("explain", failed, "--json").json()
    assert found["state"] == "failed" and found["evidence"] == ["line of proof"] and len(found["history"]) == 1


def test_explain_says_what_was_accepted_and_what_was_cancelled(orch: Orch, filled: Filled) -> None:
    done, gone = filled.submit(seeds=range(2))
    filled.succeed(done, GOOD)
    filled.cancel(gone)
    assert "on node1 succeeded" in orch("explain", done).out
    assert f"orch retry {gone}" in orch("explain", gone).out


def test_logs_join_what_was_printed_before_and_after(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit()
    filled.dispatch(job)
    token = f"orch-{job:08x}{1:08x}"
    early = filled.store.layout.submission(token) / "submitit"
    early.mkdir(parents=True)
    (early / f"{token}_0_log.err").write_text("before the worker\n")
    folder = filled.start(job, node="n3")
    (folder / "stdout").write_text("from stdout\n")
    (folder / "stderr").write_bytes(b"from stderr \xff\n")
    trace = 'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: bad\n'
    filled.end(job, Cause.ERROR, JobState.FAILED, error="ValueError: bad", traceback=trace)
    code = "from orchestrator.cli.main import run; run()"
    raw = subprocess.run([sys.executable, "-c", code, "logs", str(job)], capture_output=True, timeout=60).stdout
    assert raw.index(b"before the worker") < raw.index(b"from stdout") < raw.index(b"from stderr \xff")
    assert b"ValueError: bad" in raw and b"on n3" in raw
    assert "from stderr" not in orch("logs", job, "--stdout").out
    only = orch("logs", job, "--stderr").out
    assert "before the worker" in only and "from stdout" not in only
    assert "it has only attempt 1" in orch("logs", job, "--attempt", 2).refused()


def test_logs_of_a_slurm_task_are_those_of_its_index(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit()
    filled.dispatch(job, backend="slurm", native_id="8", slot=None)
    folder = filled.store.layout.submission(f"orch-{job:08x}{1:08x}") / "submitit"
    folder.mkdir(parents=True)
    (folder / "8_0_log.out").write_text("mine\n")
    (folder / "88_0_log.out").write_text("another's\n")
    said = orch("logs", job).out
    assert "mine" in said and "another's" not in said


def test_logs_follow_until_the_job_ends(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit()
    filled.dispatch(job)
    folder = filled.start(job)
    (folder / "stdout").write_text("first\n")

    def go_on() -> None:
        time.sleep(0.8)
        with (folder / "stdout").open("a") as handle:
            handle.write("second\n")
        time.sleep(0.4)
        filled.end(job, Cause.ERROR, JobState.FAILED, error="ValueError: over")

    writer = threading.Thread(target=go_on)
    writer.start()
    said = orch("logs", job, "-f")
    writer.join()
    assert said.code == 0 and said.out.count("first\n") == 1 and said.out.count("second\n") == 1
    assert f"job {job} is failed: ValueError: over" in said.err


def test_a_job_that_printed_nothing_says_so(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit()
    said = orch("logs", job)
    assert said.code == 0 and said.out == "" and f"orch explain {job}" in said.err


# ---- table, plot, report


def import_published(orch: Orch, folder: Path, n: int = 10) -> None:
    with (folder / "published.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["kind", "method", "search_epoch", "seed", "dataset", "test_accuracy", "params", "shortcuts"])
        for row in published_rows(n):
            cell = [row.config.get("method", ""), row.config.get("search_epoch", "")]
            numbers = [repr(row.metrics[name]) for name in ("test_accuracy", "params", "shortcuts")]
            writer.writerow([row.kind, *cell, row.seed, "CIFAR-10", *numbers])
    assert orch("import", folder / "published.csv").code == 0


def test_the_published_numbers_come_out_to_the_digit(orch: Orch, tmp_path: Path) -> None:
    import_published(orch, tmp_path)
    assert orch("table", "--out", "table2.md").code == 0
    said = (tmp_path / "table2.md").read_text()
    for text in ("93.70 ± 0.22", "94.02 ± 0.12", "21.57 ± 0.25", "18.9 ± 0.6", "20.04", "pending", "CIFAR-10"):
        assert text in said
    assert "93.70 ± 0.22" in orch("table").out
    rows = orch("table", "--json").json()["rows"]
    assert [row["architecture"] for row in rows] == ["A"] * 3 + ["B"] * 3 + ["vgg19"]
    assert all(
        abs(entry["difference"] or 0) < 0.01
        for entry in orch("table", "--diff", "report", "--json").json()["differences"]
    )
    for name in ("t.tex", "t.html", "t.csv", "t.json"):
        assert orch("table", "--out", name).code == 0 and (tmp_path / name).stat().st_size > 200
    assert "95 % interval" in orch("table", "--stats").out
    assert "テスト精度" in orch("table", "--lang", "ja").out
    assert "A" in orch("table", "--by", "method,search_epoch", "--metric", "test_accuracy,params_m").out


def test_tables_refuse_with_one_sentence(orch: Orch, filled: Filled, tmp_path: Path) -> None:
    (job,) = filled.submit()
    filled.succeed(job, GOOD)
    assert "cannot write" in orch("table", "--out", tmp_path / "nowhere" / "t.md").refused()
    assert "'t.xyz'" in orch("table", "--out", "t.xyz").refused()
    assert "unknown language 'fr'" in orch("table", "--lang", "fr").refused()
    assert "did you mean 'test_accuracy'" in orch("table", "--by", "kind", "--metric", "test_acuracy").refused()
    assert "--by" in orch("table", "--wide").refused()
    assert "--diff" in orch("table", "--stats", "--diff", "report").refused()
    assert "cannot read 'nope.json'" in orch("table", "--diff", "nope.json").refused()
    assert "key=value" in orch("table", "--filter", "method").refused()
    assert not list(tmp_path.glob("*.md"))


def test_a_table_without_rows_of_table_2_points_to_by(orch: Orch, filled: Filled) -> None:
    (job,) = filled.submit("command", values={"argv": ["true"]}, preset="report")
    filled.succeed(job, {"loss": 0.5}, edges=[])
    said = orch("table")
    assert said.code == 0 and "--by kind,seed" in said.err
    assert "0.5" in orch("table", "--by", "kind", "--metric", "loss").out


def test_plot_and_report(orch: Orch, filled: Filled, tmp_path: Path) -> None:
    for job in filled.submit(seeds=range(3)):
        filled.dispatch(job)
        folder = filled.start(job)
        filled.epochs(folder, [{"test_accuracy": 50.0 + 5 * epoch + job} for epoch in range(4)], of=4)
    assert orch("plot", "curves", "--out", "curves.svg").code == 0
    assert "<svg" in (tmp_path / "curves.svg").read_text()
    assert orch("plot", "gantt", "--out", "gantt.png").code == 0
    assert (tmp_path / "gantt.png").read_bytes().startswith(b"\x89PNG")
    assert "did you mean 'fig1'" in orch("plot", "fig11").refused()
    assert "end it in" in orch("plot", "gantt", "--out", "gantt.doc").refused()
    assert "no job 99" in orch("plot", "graph", "--job", 99).refused()
    assert orch("report", "--out", "page").code == 0
    page = (tmp_path / "page" / "index.html").read_text()
    assert page.startswith("<!") and "random-baseline" in page and "<svg" in page
    (tmp_path / "file").write_text("x")
    assert "cannot write the report" in orch("report", "--out", tmp_path / "file" / "page").refused()


# ---- import, export


def test_import_twice_changes_nothing(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(
        '{"kind": "evaluate", "method": "A", "search_epoch": 50, "seed": 1, "dataset": "cifar10", '
        '"test_accuracy": 93.5, "params": 21000000, "architecture": "0-2,3-7", "latency_ms": 1.5}\n\n'
        '{"kind": "evaluate", "seed": 0, "dataset": "CIFAR-10", "test_accuracy": 93, "architecture": "vgg19"}\n'
    )
    first = orch("import", "r.jsonl", "--json").json()
    assert first == {"created": [1, 2], "existing": []}
    assert orch("import", "r.jsonl", "--json").json() == {"created": [], "existing": [1, 2]}
    found = orch("status", "--json").json()["jobs"]
    assert found[0]["metrics"] == {"latency_ms": 1.5, "params": 21e6, "shortcuts": 2.0, "test_accuracy": 93.5}
    assert found[0]["state"] == "succeeded" and found[0]["executions"] == 0
    assert "imported" in orch("show", 1).out
    assert "was imported" in orch("logs", 1).refused()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("evaluate,x,,,cifar10,93", "seed must be a number (got 'x')"),
        ("evaluate,-1,,,cifar10,93", "seed must be a whole number"),
        ("evaluate,1,C,50,cifar10,93", "unknown method 'C'"),
        ("evaluate,1,A,,cifar10,93", "no search_epoch"),
        ("evaluate,1,,50,cifar10,93", "no method"),
        ("evaluate,1,,,,93", "no dataset"),
        ("evaluate,1,,,cifar10,nan", "must be finite"),
        ("evaluate,1,,,cifar10,0.93", "must be percent"),
        ("evaluate,1,,,cifar10,", "has no number"),
        (",1,,,cifar10,93", "has no kind"),
        ("evaluate,1,,,cifar10", "has 5 values for 6 columns"),
        ("evaluate,0,,,CIFAR-10,93", "is the same job as line 2"),
    ],
)
def test_one_bad_row_and_nothing_is_imported(orch: Orch, tmp_path: Path, line: str, told: str) -> None:
    heading = "kind,seed,method,search_epoch,dataset,test_accuracy\n"
    (tmp_path / "r.csv").write_text(f"{heading}evaluate,0,,,cifar10,93\n{line}\n")
    sentence = orch("import", "r.csv").refused()
    assert "line 3: " in sentence and told in sentence
    assert not (tmp_path / ".orch").exists()


def test_files_that_are_no_results(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("seed,test_accuracy\n0,93\n")
    assert "no column 'kind'" in orch("import", "a.csv").refused()
    (tmp_path / "a.jsonl").write_text("[1, 2]\n")
    assert "line 1: is no JSON object" in orch("import", "a.jsonl").refused()
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    assert "no UTF-8" in orch("import", "b.csv").refused()
    (tmp_path / "c.csv").write_text("kind,seed\n")
    assert "holds no rows" in orch("import", "c.csv").refused()
    assert "No such file" in orch("import", "nope.csv").refused()
    assert ".csv or .jsonl" in orch("import", "a.txt").refused()


def test_results_never_change(orch: Orch, tmp_path: Path) -> None:
    heading = "kind,seed,dataset,test_accuracy,shortcuts\n"
    (tmp_path / "r.csv").write_text(f"{heading}random-baseline,0,digits,93,4\n")
    assert orch("import", "r.csv").code == 0
    (tmp_path / "r.csv").write_text(f"{heading}random-baseline,1,digits,92,4\nrandom-baseline,0,digits,94,4\n")
    assert "test_accuracy 93, not 94" in orch("import", "r.csv").refused()
    assert len(orch("status", "--json").json()["jobs"]) == 1, "nothing half-written"
    assert orch("import", "r.csv", "--study", "second").code == 0


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_export_comes_back_the_same(orch: Orch, filled: Filled, tmp_path: Path, suffix: str) -> None:
    for number, job in enumerate(filled.submit(seeds=range(3))):
        filled.succeed(job, {**GOOD, "test_accuracy": 90 + number / 3, "odd": 0.1}, edges=[(0, 2 + number)])
    for method in ("A", "B"):
        values = {"architecture": "1-4", "method": method, "search_epoch": 100, "lr": 0.05}
        (job,) = filled.submit("evaluate", values=values, preset="report")
        filled.succeed(job, GOOD, edges=[(1, 4)])
    (job,) = filled.submit("evaluate", values={"architecture": "vgg19", "repeat": 2}, preset="report")
    filled.succeed(job, {**GOOD, "shortcuts": 0.0}, edges=[])
    filled.submit(seeds=[9])
    assert orch("export", "--out", f"r.{suffix}").code == 0
    assert orch("import", f"r.{suffix}", "--store", tmp_path / "other").code == 0
    before, after = orch("export"), orch("export", "--store", tmp_path / "other")
    assert before.out == after.out and before.out.count("\n") == 7
    keys = ("architecture", "epoch", "n", "test_accuracy", "params_m", "shortcuts")

    def table(*store: Any) -> list[dict[str, Any]]:
        made = orch("table", "--json", "--filter", "state=succeeded", *store).json()
        return [{key: row[key] for key in keys} for one in made for row in one["rows"]]

    assert table() == table("--store", tmp_path / "other")
    assert "cannot write" in orch("export", "--out", tmp_path / "nowhere" / "r.csv").refused()


# ---- nodes, doctor, clean


def started_by(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    from orchestrator import starting

    found: list[Path] = []
    monkeypatch.setattr(starting, "ensure_supervisor", lambda store: found.append(store.root))
    return found


def test_nodes_are_shown_and_cleared(orch: Orch, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no strikes" in orch("nodes").out
    started = started_by(monkeypatch)
    (job,) = filled.submit()
    filled.strike("n1", Cause.LAUNCH_FAILURE, job)
    filled.strike("n1", Cause.NODE_FAILURE, job)
    filled.strike("n2")
    said = orch("nodes").out
    assert "n1" in said and "2 of 3" in said and "node_failure" in said
    assert [one["node"] for one in orch("nodes", "--json").json()["nodes"]] == ["n1", "n2"]
    assert [one["node"] for one in orch("nodes", "n2", "--json").json()["nodes"]] == ["n2"]
    assert "node 'n9' has no strikes" in orch("nodes", "--clear", "n9").refused()
    assert "names of nodes" in orch("nodes", "--clear").refused()
    assert "takes no names" in orch("nodes", "--clear-all", "n1").refused()
    assert not started
    assert orch("nodes", "--clear", "n1").code == 0
    with filled.store.read() as connection:
        assert {one.node for one in health.strikes(connection, now() - timedelta(hours=6))} == {"n2"}
    assert started == [filled.store.root], "a queued job may go now"
    assert orch("nodes", "--clear-all").code == 0 and "no strikes" in orch("nodes").out


def findings(said: Said) -> dict[str, tuple[str, str]]:
    return {one["subject"]: (one["level"], one["text"]) for one in json.loads(said.out)["findings"]}


def test_a_healthy_store(orch: Orch, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_CONF", raising=False)
    (job,) = filled.submit()
    filled.succeed(job, GOOD)
    said = orch("doctor", "--json")
    found = findings(said)
    for subject in ("database", "journal", "results", "supervisor", "clocks", "settings", "file system"):
        assert found[subject][0] == "ok", found[subject]
    assert said.code == int(any(level == "failure" for level, _ in found.values()))
    assert "supervisor" in orch("doctor").out


def test_doctor_finds_what_is_wrong(orch: Orch, filled: Filled, tmp_path: Path) -> None:
    job, skewed = filled.submit(seeds=range(2))
    folder = filled.succeed(job, GOOD)
    (folder / "outcome.json").unlink()
    filled.dispatch(skewed)
    filled.at -= timedelta(minutes=10)  # the node's clock is behind
    filled.start(skewed, node="late")
    filled.at += timedelta(minutes=10)
    for _ in range(3):
        filled.strike("n1")
    (tmp_path / "orch.toml").write_text("[local]\njobs_per_gpus = 2\n")
    said = orch("doctor", "--json")
    found = findings(said)
    assert said.code == 1 and found["settings"][0] == "failure" and "jobs_per_gpus" in found["settings"][1]
    assert found["results"][0] == "warning" and f"job {job}" in found["results"][1]
    assert found["clocks"][0] == "warning" and "late is at least 9 min 59 s behind" in found["clocks"][1]
    assert found["nodes"][0] == "warning" and "n1" in found["nodes"][1]
    assert found["supervisor"][0] == "warning" and "1 job waits" in found["supervisor"][1]


def test_doctor_on_a_damaged_database(orch: Orch, filled: Filled) -> None:
    filled.submit(seeds=range(50))
    path = filled.store.layout.database
    with filled.store.write() as writer:
        writer.connection.exec_driver_sql("UPDATE job_count SET n = n + 1")
    assert findings(orch("doctor", "--json"))["database"][0] == "failure"
    for name in Path(filled.store.root).glob("orch.db-*"):
        name.unlink()
    path.write_bytes(b"x" * 5000)
    said = orch("doctor", "--json")
    assert said.code == 1 and findings(said)["store"][0] == "failure" and "orch rebuild" in findings(said)["store"][1]


def checkpoints(folder: Path, steps: Sequence[int]) -> None:
    (folder / "checkpoints").mkdir()
    for step in steps:
        (folder / "checkpoints" / f"step-{step:08d}.json").write_text("{}")
        (folder / "checkpoints" / f"step-{step:08d}.pt").write_bytes(b"x" * 1000)


def test_clean_removes_what_nothing_needs(orch: Orch, filled: Filled) -> None:
    done, running, failed = filled.submit(seeds=range(3))
    filled.dispatch(done)
    lost = filled.start(done)
    filled.end(done, Cause.LOST, JobState.QUEUED)
    accepted = filled.succeed(done, GOOD)
    filled.dispatch(running)
    alive = filled.start(running)
    filled.dispatch(failed)
    broken = filled.start(failed)
    filled.end(failed, Cause.ERROR, JobState.FAILED, error="x")
    for folder in (lost, accepted, alive, broken):
        checkpoints(folder, [1, 2])
    stray = filled.store.layout.submission("orch-stray")
    stray.mkdir()
    os.utime(stray, (1, 1))
    young = filled.store.layout.submission("orch-young")
    young.mkdir()
    before = sorted(filled.store.layout.journal.rglob("*.json"))
    assert orch("clean", "--dry-run").code == 0 and (lost / "checkpoints").exists() and stray.exists()
    assert "--yes" in orch("clean").err and stray.exists()
    assert orch("clean", "--yes").code == 0
    assert not (lost / "checkpoints").exists() and not stray.exists() and young.exists()
    assert sorted(path.name for path in (accepted / "checkpoints").iterdir()) == [
        "step-00000002.json",
        "step-00000002.pt",
    ]
    for folder in (alive, broken):
        assert len(list((folder / "checkpoints").iterdir())) == 4, "they may be resumed"
    assert (accepted / "outcome.json").exists() and sorted(filled.store.layout.journal.rglob("*.json")) == before
    assert "nothing to remove" in orch("clean").out
    assert orch("clean", "--yes", "--weights").code == 0 and not (accepted / "checkpoints").exists()


def test_looking_starts_nothing(orch: Orch, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    started = started_by(monkeypatch)
    (job,) = filled.submit()
    for command in (["status"], ["show", job], ["explain", job], ["logs", job], ["table"], ["export"], ["nodes"]):
        assert orch(*command).code == 0
    assert not started
    with filled.store.read() as connection:
        assert jobs.get(connection, job).state is JobState.QUEUED
