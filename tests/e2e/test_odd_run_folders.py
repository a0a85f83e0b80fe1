"""One odd file in a run folder: it is passed over and named, and the other jobs' results are taken in."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from db.store import Store
from jobs.layout import Layout
from tests.fuzz import runs
from tests.helpers.filled import Filled

GOOD, BAD, JOBS = 2, 4, runs.VICTIMS + runs.WITNESSES
"""Two jobs that succeeded unseen."""


def odd_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'":', b'\xff":', 1))


def deep(path: Path) -> None:
    path.write_bytes(path.read_bytes().rstrip()[:-1] + b',"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n")


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def number(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"epoch":3', b'"epoch":99999999999999999999'))


def of_another(path: Path) -> None:
    """The same file of job 6."""
    layout = Layout(next(parent for parent in path.parents if parent.name == ".orch"))
    (other,) = layout.job(6).rglob(path.name)
    shutil.copy(other, path)


CASES: list[tuple[str, Callable[[Path], None]]] = [
    ("started.json", odd_byte), ("started.json", deep), ("started.json", torn), ("started.json", fifo),
    ("started.json", dangling), ("started.json", of_another), ("ready.json", odd_byte), ("ready.json", folder),
    ("outcome.json", odd_byte), ("outcome.json", deep), ("outcome.json", number), ("outcome.json", fifo),
    ("heartbeat", fifo), ("heartbeat", folder), ("metrics.jsonl", fifo), ("metrics.jsonl", odd_byte),
    ("metrics.jsonl", number), ("stdout", fifo), ("stderr", folder), ("step-00000003.json", deep),
    ("progress.json", torn), ("job.json", odd_byte), ("manifest.json", deep), ("local.json", fifo),
]  # fmt: skip


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("original") / ".orch"
    runs.template(place)
    return place


@pytest.fixture
def store(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jobs that have all ended unseen, and no supervisor."""
    for name in [name for name in os.environ if name.startswith(("ORCH_", "SLURM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ORCH_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(original, tmp_path / ".orch")
    return tmp_path / ".orch"


def states() -> dict[int, str]:
    return {job["id"]: job["state"] for job in json.loads(runs.call("status", "--json").out)["jobs"]}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("name", "damage"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_an_odd_file_is_passed_over_and_named(store: Path, name: str, damage: Callable[[Path], None]) -> None:
    layout = Layout(store)
    token = f"orch-{BAD:08x}{1:08x}"
    (path,) = [*layout.job(BAD).rglob(name), *layout.submission(token).glob(name)]
    damage(path)
    for outcome in layout.job(BAD).rglob("outcome.json"):
        os.utime(outcome, (0, 0), follow_symlinks=False)  # long ago: nobody waits for the rest of its history
    with runs.quiet():
        looked = runs.call("status")
        assert looked.code == 0 and str(path) in looked.err and f"job {BAD}" in looked.err
        told = states()
        assert all(told[job] == "succeeded" for job in range(GOOD, JOBS + 1, 2) if job != BAD)
        assert (told[BAD] == "succeeded") == (name not in ("started.json", "outcome.json"))
        explained = " ".join(runs.call("explain", str(BAD)).out.split())
        assert f"{name} is passed over" in explained.replace(" ", "").replace("ispassedover", " is passed over")
        findings = json.loads(runs.call("doctor", "--json").out)["findings"]
        assert [one["level"] for one in findings if str(path) in one["text"]] == ["warning"]
        for words in (("show", str(BAD)), ("logs", str(BAD)), ("export",), ("clean", "--dry-run")):
            assert runs.call(*words).code == 0
        before = runs.essence(Store(store))
        rebuilt = runs.call("rebuild")
        assert rebuilt.code == 0 and str(path) in rebuilt.err
        assert runs.essence(Store(store)) == before


def test_a_file_that_is_mended_is_taken_in(store: Path) -> None:
    """As long as its attempt is live, every look reads it again."""
    (path,) = Layout(store).job(BAD).rglob("outcome.json")
    whole = path.read_bytes()
    torn(path)
    with runs.quiet():
        assert states()[BAD] != "succeeded"
        path.write_bytes(whole)
        assert states()[BAD] == "succeeded" and str(path) not in runs.call("status").err


def test_jobs_that_nobody_can_make_are_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outcome's wish for more jobs is data too: the result counts, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    filled = Filled.make(tmp_path / ".orch")
    for job, spawn in enumerate(
        (
            [{"kind": "no such kind", "seed": 0, "config": {}}],
            [{"kind": "command", "seed": 0, "config": {"argv": "x"}}],
            [{"kind": "command", "seed": 0, "config": {"argv": ["true"]}, "needs": ["#5"]}],
            [{"kind": "command", "seed": 0, "config": {"argv": ["true"]}, "needs": ["999"]}],
            [{"kind": "command", "seed": 0, "config": {"argv": ["true"]}, "needs": ["#"]}],
        ),
        start=1,
    ):
        assert filled.submit("command", seeds=[job], values={"argv": ("true",), "name": "fuzz"}) == [job]
        filled.dispatch(job)
        outcome = {"ending": "success", "cause": "success", "result": {"acc": 1.0}, "spawn": spawn, "rule": 1}
        outcome["at"] = "2026-01-01T00:00:00Z"
        (filled.start(job) / "outcome.json").write_text(json.dumps(outcome))
    with runs.quiet():
        assert states() == dict.fromkeys(range(1, 6), "succeeded")


@pytest.mark.parametrize("target", ["..", "checkpoints", "nowhere", "/"])
def test_clean_never_follows_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """A checkpoint folder that is a link to its execution: the execution's outcome is no old checkpoint."""
    monkeypatch.chdir(tmp_path)
    filled = Filled.make(tmp_path / ".orch")
    (job,) = filled.submit()
    folder = filled.succeed(job, {"test_accuracy": 90.0})
    (folder / "checkpoints").symlink_to(target)
    before = sorted(path.name for path in folder.iterdir())
    for more in ((), ("--weights",)):
        said = runs.call("clean", "--yes", *more)
        assert said.code == 0
        assert sorted(path.name for path in folder.iterdir()) == before
    assert (folder / "outcome.json").read_bytes()


def test_a_metric_whose_name_is_no_text(store: Path) -> None:
    """Half of a surrogate pair, which JSON may spell and UTF-8 cannot hold: the others are accepted meanwhile."""
    (path,) = Layout(store).job(BAD).rglob("result.json")
    path.write_text('{"\\ud800": 1.5, "acc": 84.0}')
    with runs.quiet():
        told = states()
    assert all(told[job] == "succeeded" for job in range(GOOD, JOBS + 1, 2))
