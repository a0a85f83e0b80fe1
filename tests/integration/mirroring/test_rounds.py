"""Rounds and rebuilds with a real rsync and a mirror in a folder: what the last complete round held is there again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from db import attempts, jobs, results
from db.entries import Retry
from db.identity import identity
from db.store import Store
from jobs import files
from jobs.files import read_json
from jobs.records import Manifest, Task
from jobs.resources import Resources
from jobs.words import JobState
from orchestrator.cli.main import run
from orchestrator.mirroring.control import Complete
from orchestrator.settings import load
from tests.helpers.filled import Filled

Orch = Callable[..., tuple[int, str, str]]


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Filled:
    """A store whose mirror is the folder 'the mirror' beside its project."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    for name in ("ORCH_STORE", "ORCH_STUDY", "ORCH_PRESET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ORCH_LOCK_DIR", str(tmp_path / "locks"))
    (project / "orch.toml").write_text('[store]\nmirror = "../the mirror/"\n')
    return Filled.make(project / ".orch")


@pytest.fixture
def orch(capfd: pytest.CaptureFixture[str]) -> Orch:
    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            run(arguments)
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def mirror_of(filled: Filled) -> Path:
    return filled.store.root.parent.parent / "the mirror"


def marker(filled: Filled) -> Complete:
    found = read_json(mirror_of(filled) / "complete.json", Complete)
    assert found is not None
    return found


def ok(orch: Orch, *arguments: str) -> str:
    code, out, err = orch(*arguments)
    assert code == 0, err
    return out


def refused(orch: Orch, *arguments: str) -> str:
    code, out, err = orch(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1), (code, out, err)
    return err


def accuracies(store: Store) -> dict[int, float | None]:
    with store.read() as connection:
        rows = connection.exec_driver_sql("SELECT job_id, test_accuracy FROM result ORDER BY job_id")
        return {row[0]: row[1] for row in rows}


def rebuilt(orch: Orch, filled: Filled, where: str = "new") -> Store:
    """The store that is made of the mirror."""
    folder = filled.store.root.parent.parent / where
    folder.mkdir()
    ok(orch, "rebuild", "--from", str(mirror_of(filled)), "--store", str(folder / ".orch"))
    return Store(folder / ".orch")


def running(filled: Filled, job: int, step: int = 3) -> Path:
    """A job that runs, with two checkpoints of which the newer one is cut off."""
    filled.dispatch(job)
    folder = filled.start(job)
    for one in (step, step + 1):
        payload = b"w" * 1000
        (folder / "checkpoints").mkdir(exist_ok=True)
        record = {"step": one, "bytes": 1000, "sha256": "0" * 64, "history": []}
        files.write_json(folder / "checkpoints" / f"step-{one:08d}.json", record)
        (folder / "checkpoints" / f"step-{one:08d}.pt").write_bytes(payload if one == step else payload[:-1])
    return folder


def test_a_store_is_made_of_its_mirror_and_goes_on(filled: Filled, orch: Orch) -> None:
    first, second, third, fourth = filled.submit(seeds=range(4))
    done = filled.succeed(first, {"test_accuracy": 81.25})
    filled.epochs(done, [{"loss": 2.0}, {"loss": 1.0}])
    going = running(filled, second)
    ok(orch, "mirror", "--now")
    before = accuracies(filled.store)
    filled.succeed(third, {"test_accuracy": 99.0})  # after the round: it is lost, and runs again
    late = filled.submit(seeds=[9])
    assert "3 entries behind" in ok(orch, "mirror") and '"behind": 3' in ok(orch, "mirror", "--json")
    shutil.rmtree(filled.store.root)

    store = rebuilt(orch, filled)
    assert accuracies(store) == before == {first: 81.25}
    with store.read() as connection:
        assert [job.state for job in jobs.select(connection)] == [JobState.SUCCEEDED, *[JobState.QUEUED] * 3]
        (attempt,) = attempts.of_job(connection, second)
        assert attempt.cause == "node_failure" and "was rebuilt from" in attempt.evidence[0]
        assert results.curves(connection, "default")[0].job == first
        who = identity(connection)
    kept = store.layout.attempt(second, 1) / going.name / "checkpoints"
    assert files.names(kept) == ["step-00000003.json", "step-00000003.pt"]
    assert who.id != who.before[0] and "complete to entry" in who.origin
    assert late == [fourth + 1] and not store.layout.job(late[0]).exists()
    ok(orch, "rebuild", "--store", str(store.root))  # and a plain rebuild agrees with it
    assert accuracies(Store(store.root)) == before


def test_the_old_store_is_over_and_a_mirror_is_no_store(filled: Filled, orch: Orch) -> None:
    (job,) = filled.submit()
    ok(orch, "mirror", "--now")
    new = rebuilt(orch, filled)
    (filled.store.root / "mirrored.json").unlink()  # as if the mirror had not been asked for long
    for command in (("cancel", str(job)), ("submit", "random-baseline", "--seeds", "1"), ("mirror", "--now")):
        assert f"{new.root} on " in refused(orch, *command)
    assert "this store was overtaken" in " ".join(ok(orch, "status").split())
    (new.root.parent / "orch.toml").write_text('[store]\nmirror = "../the mirror"\n')
    ok(orch, "mirror", "--now", "--store", str(new.root))  # the new one takes the mirror over
    ok(orch, "mirror", "--check", "--store", str(new.root))
    for command in (("submit", "random-baseline"), ("rebuild",), ("status",), ("mirror",)):
        assert "is a mirror of a store, and no store" in refused(orch, *command, "--store", str(mirror_of(filled)))
    assert "was rebuilt from" not in refused(
        orch, "rebuild", "--from", str(mirror_of(filled)), "--store", str(new.root)
    )


def test_a_second_store_of_one_mirror_needs_a_person_to_say_so(filled: Filled, orch: Orch) -> None:
    filled.submit()
    ok(orch, "mirror", "--now")
    first = rebuilt(orch, filled, "first")
    again = ("rebuild", "--from", str(mirror_of(filled)), "--store", str(first.root.parent / "second"))
    assert f"{first.root} on " in refused(orch, *again)
    ok(orch, *again, "--really")
    (first.root.parent / "orch.toml").write_text('[store]\nmirror = "../the mirror"\n')
    assert "this store was overtaken" in refused(orch, "cancel", "1", "--store", str(first.root))


def test_what_came_after_the_round_is_set_aside_and_numbers_go_on_above_it(filled: Filled, orch: Orch) -> None:
    first, second = filled.submit(seeds=range(2))
    filled.dispatch(first)
    ok(orch, "mirror", "--now")
    mirror = mirror_of(filled)
    # A round that was cut off before its journal: a later attempt, a later job, and submissions of both.
    for path in ("runs/0/1/4/e0-aaaaaa", "runs/0/5/1/e0-bbbbbb", "runs/submissions/orch-later"):
        (mirror / path).mkdir(parents=True)
        (mirror / path / "started.json").write_text("{}")
    tasks = (Task(job=second, attempt=6, generation=1, resources=Resources(cpus=1)),)
    manifest = Manifest(token="orch-later", backend="slurm", tasks=tasks, created_at=files.now())
    files.write_json(mirror / "runs/submissions/orch-later/manifest.json", manifest)
    store = rebuilt(orch, filled)
    with store.read() as connection:
        assert [job.attempts for job in jobs.select(connection)] == [4, 6]
    there = {path.name.partition(".aside-")[0] for path in store.layout.runs.rglob("*.aside-*")}
    assert there == {"4", "5", "orch-later"}
    assert store.layout.given_up("orch-later").exists()
    assert Filled(store).submit(seeds=[8]) == [6]
    assert Filled(store).dispatch(first) == 5


def test_a_job_that_had_written_its_success_is_accepted_and_does_not_run_again(filled: Filled, orch: Orch) -> None:
    (job,) = filled.submit()
    folder = filled.succeed(job, {"test_accuracy": 70.0})
    with filled.store.write() as writer:
        writer.decide([Retry(jobs=(job,), succeeded=True, at=filled.tick())])
    filled.dispatch(job)
    again = filled.start(job)
    shutil.copy(folder / "outcome.json", again / "outcome.json")
    ok(orch, "mirror", "--now")
    shutil.rmtree(filled.store.root)
    store = rebuilt(orch, filled)
    ok(orch, "status", "--store", str(store.root))  # looking takes it in
    with store.read() as connection:
        assert jobs.get(connection, job).state is JobState.SUCCEEDED
        assert len(attempts.of_job(connection, job)) == 2


def test_a_round_copies_only_what_is_new_and_removes_checkpoints_that_newer_ones_follow(
    filled: Filled, orch: Orch
) -> None:
    (job,) = filled.submit()
    folder = running(filled, job)
    ok(orch, "mirror", "--now")
    there = mirror_of(filled) / folder.relative_to(filled.store.root) / "checkpoints"
    assert files.names(there) == ["step-00000003.json", "step-00000003.pt"]
    assert "0 new files" in ok(orch, "mirror", "--now")
    torn = folder / "checkpoints" / "step-00000004.pt"
    torn.write_bytes(b"w" * 1000)
    ok(orch, "mirror", "--now")
    assert files.names(there) == ["step-00000004.json", "step-00000004.pt"]
    shutil.rmtree(folder / "checkpoints")  # by hand: what the mirror has of a job that goes on stays
    ok(orch, "mirror", "--now")
    assert files.names(there) == ["step-00000004.json", "step-00000004.pt"]


def test_a_mirror_of_another_store_or_of_none_is_left_alone(filled: Filled, orch: Orch, tmp_path: Path) -> None:
    filled.submit()
    ok(orch, "mirror", "--now")
    other = tmp_path / "other"
    other.mkdir()
    (other / "orch.toml").write_text('[store]\nmirror = "../the mirror"\n')
    Filled.make(other / ".orch").submit()
    before = {path: path.read_bytes() for path in mirror_of(filled).rglob("*") if path.is_file()}
    assert "is the mirror of another store" in refused(orch, "mirror", "--now", "--store", str(other / ".orch"))
    assert "is the mirror of another store" in " ".join(ok(orch, "status", "--store", str(other / ".orch")).split())
    assert {path: path.read_bytes() for path in mirror_of(filled).rglob("*") if path.is_file()} == before
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("mine")
    (other / "orch.toml").write_text('[store]\nmirror = "../thesis"\n')
    assert "is no mirror and not empty" in refused(orch, "mirror", "--now", "--store", str(other / ".orch"))
    assert files.names(tmp_path / "thesis") == ["thesis.tex"]
    (other / "orch.toml").write_text('[store]\nmirror = "../not mounted/orch"\n')
    assert "mount its disk" in refused(orch, "mirror", "--now", "--store", str(other / ".orch"))


def test_an_older_copy_of_the_store_does_not_mirror_over_a_newer_one(filled: Filled, orch: Orch) -> None:
    filled.submit()
    ok(orch, "mirror", "--now")
    old = filled.store.root.parent / "older"
    shutil.copytree(filled.store.root, old)
    filled.submit(seeds=[1])
    ok(orch, "mirror", "--now")
    done = marker(filled)
    assert "older copy of the store" in refused(orch, "mirror", "--now", "--store", str(old))
    assert marker(filled) == done


@pytest.mark.parametrize("line", ['mirror = ".orch/backup"', 'mirror = ""', 'mirror = "tanuki:"', "mirror_minutes = 0"])
def test_bad_settings_are_one_sentence(filled: Filled, orch: Orch, line: str) -> None:
    more = "" if line.startswith("mirror =") else 'mirror = "../the mirror"\n'
    (filled.store.root.parent / "orch.toml").write_text(f"[store]\n{more}{line}\n")
    refused(orch, "mirror", "--now")
    assert not mirror_of(filled).exists()


def test_what_is_no_mirror_makes_no_store(filled: Filled, orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    where = ("--store", str(tmp_path / "new"))
    for source, said in (("empty", "is no mirror"), ("nowhere", "there is no folder"), ("", "is empty")):
        assert said in refused(orch, "rebuild", "--from", str(tmp_path / source) if source else "", *where)
    filled.submit()
    ok(orch, "mirror", "--now")
    assert "give one of them" in refused(orch, "rebuild", "--accept-loss", "--from", "x")
    assert "goes with --from" in refused(orch, "rebuild", "--really")
    assert "already" in refused(orch, "rebuild", "--from", str(mirror_of(filled)))
    number = marker(filled).number
    (mirror_of(filled) / "runs/journal/0" / f"{number:09d}.json").write_text("{}")
    code, _, err = orch("rebuild", "--from", str(mirror_of(filled)), *where)
    assert code == 2 and "is damaged" in err.splitlines()[-1]
    assert orch("mirror", "--check")[0] == 1
    (mirror_of(filled) / "complete.json").unlink()
    assert "no complete round" in refused(orch, "rebuild", "--from", str(mirror_of(filled)), *where)
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".orch-rebuild-*"))


def test_wherever_a_round_is_cut_off_the_one_before_is_still_there(
    filled: Filled, orch: Orch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rsync is killed at each of its calls in turn; a store is made of a copy of the mirror each time."""
    ids = filled.submit(seeds=range(20))
    filled.succeed(ids[0], {"test_accuracy": 50.0})
    running(filled, ids[-1])
    ok(orch, "mirror", "--now")
    real = shutil.which("rsync")
    fake = tmp_path / "bin" / "rsync"
    fake.parent.mkdir()
    path = f"{fake.parent}:{shutil.os.environ['PATH']}"
    calls, cut = 0, 0
    for call in range(1, 20):
        expected = accuracies(filled.store)
        (tmp_path / "calls").write_text("")
        fake.write_text(
            f'#!/bin/sh\necho >> "{tmp_path}/calls"\n'
            f'[ $(wc -l < "{tmp_path}/calls") = {call} ] && kill -9 $$\nexec {real} "$@"\n'
        )
        fake.chmod(0o755)
        filled.succeed(ids[call], {"test_accuracy": 50.0 + call})
        monkeypatch.setenv("PATH", path)
        code, _, err = orch("mirror", "--now")
        monkeypatch.setenv("PATH", path.partition(":")[2])
        calls = len((tmp_path / "calls").read_text())
        if code == 0:
            break
        cut += 1
        assert err.count("\n") <= 3 and "Traceback" not in err
        copy = tmp_path / f"copy {call}"
        shutil.copytree(mirror_of(filled), copy)
        ok(orch, "rebuild", "--from", str(copy), "--store", str(tmp_path / f"made {call}"))
        assert accuracies(Store(tmp_path / f"made {call}")) in (expected, accuracies(filled.store))
        ok(orch, "mirror", "--now")
        ok(orch, "mirror", "--check")
    assert cut >= 7 and calls == cut, "every call was cut off once"
    assert load(filled.store.root).store.mirror == "../the mirror/"


def of_doctor(orch: Orch) -> dict[str, str] | None:
    """What `orch doctor` finds of the mirror."""
    _, out, _ = orch("doctor", "--json")
    found = [one for one in json.loads(out)["findings"] if one["subject"] == "mirror"]
    assert len(found) <= 1
    return found[0] if found else None


def test_doctor_and_the_page_say_how_the_mirror_is(filled: Filled, orch: Orch, tmp_path: Path) -> None:
    def doctor(level: str, text: str, mend: str) -> None:
        found = of_doctor(orch)
        assert found is not None
        assert (found["level"], text in found["text"], mend in found["mend"]) == (level, True, True), found

    def page(text: str) -> None:
        ok(orch, "report", "--out", str(tmp_path / "page"))
        written = (tmp_path / "page" / "index.html").read_text()
        assert text in written, [line for line in written.splitlines() if "mirror" in line]

    there, toml = mirror_of(filled), filled.store.root.parent / "orch.toml"
    settings = toml.read_text()
    filled.succeed(filled.submit(seeds=(0, 1))[0], {"test_accuracy": 50.0})
    doctor("warning", "answers and holds no complete round yet", "'orch mirror --now'")
    ok(orch, "mirror", "--now")
    doctor("ok", f"{there} (complete ", "")
    page(f"mirror {there} (complete ")
    shutil.rmtree(there)
    there.mkdir()
    doctor("failure", "is empty, though rounds were complete there: mount its disk", "'orch mirror --now'")
    (there / "a letter").touch()
    doctor("failure", "is no mirror and not empty ('a letter' lies there)", "'orch mirror --now'")
    shutil.rmtree(there)
    other = Filled.make(tmp_path / "another" / ".orch")
    other.submit()
    (other.store.root.parent / "orch.toml").write_text(f'[store]\nmirror = "{there}"\n')
    ok(orch, "mirror", "--now", "--store", str(other.store.root))
    doctor("failure", "is the mirror of another store", "'orch mirror --now'")
    toml.write_text('[store]\nmirror = "/nowhere/at all"\n')
    doctor("failure", "/nowhere", "'orch mirror --now'")
    toml.write_text('[store]\nmirror = "."\n')
    doctor("failure", "", "'orch mirror --now'")
    toml.write_text(settings.replace("[store]", "[store]\n[tables]").replace('mirror = "../the mirror/"\n', ""))
    assert of_doctor(orch) is None
