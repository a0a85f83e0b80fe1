"""The house's own kinds, killed at a seeded moment: what goes on is judged by the rehearsal's own judging, and is the
same to the last bit. Without orch around them, so that each costs seconds; `make zoo` rehearses them as typed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from db.seals import Verdict
from jobs.files import now, read_json, write_json
from jobs.kind import kind_named
from jobs.layout import Layout
from jobs.records import JobFile, Manifest, Outcome, Task, Terms
from jobs.resources import Resources
from orchestrator.rehearsal.disturbances import Disturbance, Moment, Trial
from orchestrator.rehearsal.histories import Hit, Observed, baseline
from orchestrator.rehearsal.looking import Executions
from orchestrator.rehearsal.verdicts import judge
from tests.helpers.forks import Forks

TINY = {"dataset": "digits", "epochs": 3, "width": 0.02, "train_images": 40}
KINDS = {
    "search": {"method": "A"},
    "random-baseline": {},
    "evaluate": {"architecture": "vgg19"},
    "individual": {"edges": [[1, 4], [2, 9]]},
}
TRIES = 3


class Stage:
    """One kind's runs: a store of its own without a database, as a node sees it."""

    def __init__(self, folder: Path, forks: Forks, kind: str) -> None:
        self.layout = Layout(folder / ".orch")
        self.layout.submissions.mkdir(parents=True)
        self.forks, self.kind, self.jobs = forks, kind, 0

    def run(self, seed: int, name: str, *, kill_after: int = 0) -> Observed:
        """To its end; killed once after so many lines and as many checkpoints, and begun again."""
        self.jobs += 1
        job, zero = self.jobs, time.time()
        self._job(job, seed)
        executions = Executions(self.layout, job)
        try:
            submission = self._submission(job)
            hit = self._watched(executions, submission, zero, kill_after)
            if hit is not None:
                self._watched(executions, submission, zero, 0)
            executions.look(again=True)
            outcome = self._outcome(executions)
            assert outcome is not None, "it wrote no outcome"
            return Observed(
                name=name,
                seed=seed,
                state="succeeded" if outcome.ending == "success" else str(outcome.ending),
                error=outcome.error or "",
                stretches=tuple(one.stretch(zero) for one in executions.in_order()),
                result={name: value for name, value in outcome.result.items() if value is not None},
                hit=hit,
            )
        finally:
            executions.close()

    def _watched(self, executions: Executions, submission: Path, zero: float, kill_after: int) -> Hit | None:
        """One execution to its end, its checkpoints watched; or to its kill."""
        pid, hit = self.forks.start(submission), None
        while hit is None and not self.forks.ended(pid):
            executions.look()
            for one in executions.in_order():
                if kill_after and one.lines >= kill_after and len(one.saves()) >= 2 * kill_after:  # payload and record
                    os.kill(pid, signal.SIGKILL)  # not reaped yet, so it is still this one
                    hit = Hit(at=time.time() - zero)
                    break
            time.sleep(0.005)
        while hit is not None and not self.forks.ended(pid):
            time.sleep(0.005)
        return hit

    def _outcome(self, executions: Executions) -> Outcome | None:
        found = [read_json(one.folder / "outcome.json", Outcome) for one in executions.in_order()]
        return found[-1] if found else None

    def _job(self, job: int, seed: int) -> None:
        kind = kind_named(self.kind)
        config = kind.configure({**TINY, **KINDS[self.kind]}, "demo")
        record = JobFile(
            id=job,
            study="default",
            kind=self.kind,
            kind_version=kind.version,
            seed=seed,
            config=msgspec.to_builtins(config),
            preset="demo",
            key="k",
            cwd=str(self.layout.root.parent),
            created_at=now(),
        )
        self.layout.job(job).mkdir(parents=True)
        write_json(self.layout.job(job) / "job.json", record)

    def _submission(self, job: int) -> Path:
        token = f"orch-{job:016x}"
        task = Task(job=job, attempt=1, generation=1, resources=Resources(), terms=0)
        terms = Terms(options={"checkpoint_every": 0.0})
        folder = self.layout.submission(token)
        folder.mkdir()
        manifest = Manifest(token=token, backend="local", tasks=(task,), terms=(terms,), created_at=now())
        write_json(folder / "manifest.json", manifest)
        return folder


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with Forks(tmp_path_factory.mktemp("forks")) as found:
        yield found


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_goes_on_to_the_same_bits(kind: str, forks: Forks, tmp_path: Path) -> None:
    stage = Stage(tmp_path, forks, kind)
    first = stage.run(0, "undisturbed")
    assert first.state == "succeeded", first.error
    base = baseline([first])
    assert base.exact and len(base.lines) == TINY["epochs"] and base.result
    trial = Trial(name="kill-1", seed=0, disturbance=Disturbance.KILL, moment=Moment(lines=1, part=0.0))
    for _ in range(TRIES):  # on a busy host a kill may come when all is done
        found = judge(trial, stage.run(0, trial.name, kill_after=1), base, saves=True)
        if found.verdict is not None:
            break
    assert (found.verdict, found.reason, found.remarks) == (Verdict.BIT_IDENTICAL, "", ()), found
    assert found.resumed_at is not None and found.resumed_at > 1, found
