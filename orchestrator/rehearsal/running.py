"""The rehearsal itself: undisturbed runs, then disturbed ones, each a real job of a store of the rehearsal's own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from db.jobs import StoredJob
from db.seals import Verdict
from jobs.errors import OrchError
from jobs.words import FINAL, JobState
from orchestrator.rehearsal.cramped import Cramped
from orchestrator.rehearsal.disturbances import OF_ITS_HOST, Disturbance, Trial, plan, possible, sooner
from orchestrator.rehearsal.hands import Hand, Here, OnSlurm, pretend_cluster
from orchestrator.rehearsal.histories import Baseline, Observed, baseline, pace
from orchestrator.rehearsal.judgement import Judged, overall
from orchestrator.rehearsal.looking import Executions
from orchestrator.rehearsal.report import Report, Wanted, tried_of
from orchestrator.rehearsal.scratch import Scratch
from orchestrator.rehearsal.smalldisk import NoSmallDisk
from orchestrator.rehearsal.striking import Pace, Striker
from orchestrator.rehearsal.verdicts import judge, of_other_seed
from orchestrator.rehearsal.watching import wait
from orchestrator.submitting.request import Request

FIRST = "undisturbed"
LOOK_SECONDS = 0.02
"""How often runs are looked at; what happens to their checkpoints is heard of at once."""
STATES_SECONDS = 0.15
SUPERVISED_SECONDS = 2.0
PATIENCE_SECONDS = 120.0
"""What a run may take besides many times as long as the undisturbed one."""
PATIENCE = 10
MOST_AT_ONCE = 4
TRIES = 5
"""Of a run that ended before it was struck: on a loaded host moments come late."""


class RehearsalFailed(OrchError):
    """The program does not even run undisturbed: there is nothing to compare with."""


@dataclass
class Run:
    """One run on its way."""

    trial: Trial
    job: int
    zero: float
    executions: Executions
    striker: Striker
    scratch: Scratch
    since: float
    """From when on it is waited for."""
    ended: float = 0.0
    given_up: str = ""


@dataclass
class Rehearsal:
    """Drives the runs of one program in a scratch store. `tell` is called with each run that is begun or judged."""

    scratch: Scratch
    request: Request
    wanted: Wanted
    tell: Callable[[str, Judged | None], None] = lambda name, judged: None
    cramped: Callable[[Path], Cramped] | None = None
    """A store with small disks, for runs like the one with that folder. Raises NoSmallDisk."""
    _hand: Hand = field(default_factory=Here)
    _here: bool = True
    _small: Cramped | None = None
    _undisturbed: Path = Path()
    _begun: int = 0
    _began: float = field(default_factory=time.monotonic)
    _looked_at: float = 0.0
    _supervised_at: float = 0.0
    _longest: float = 0.0
    _pace: Pace = field(default_factory=lambda: Pace(epoch=0.0, whole=0.0, renames=False))

    def run(self) -> Report:
        """All of it. Raises RehearsalFailed, BadInput, DataError, StoreError."""
        try:
            return self._report()
        finally:
            if self._small is not None:
                self._small.end(keep=False)

    def _report(self) -> Report:
        seed = self.wanted.seed
        (first,) = self._runs([Trial(name=FIRST, seed=seed)])
        _check(first)
        saves = any(one.saves for one in first.stretches)
        others = [Trial(name="undisturbed again", seed=seed), Trial(name="another seed", seed=seed + 1)]
        again, other = self._runs(others)
        base = baseline([first])
        judged = [of_other_seed(base, other, seed), of_other_seed(base, again, seed)]
        for one in judged:
            self.tell(one.trial, one)
        left_out: dict[str, str] = {}
        epochs = len(first.stretches[-1].lines)
        if all(one.verdict is Verdict.BIT_IDENTICAL for one in judged):
            base = baseline([first, again])
            there = possible(slurm=self.on_slurm)
            only = [one for one in self.wanted.only if one in there]
            where = "there is that on slots of this host only" if self.on_slurm else "--backend slurm has that"
            if not only:
                raise RehearsalFailed(f"--only {', '.join(self.wanted.only)} disturbs nothing here: {where}")
            trials = plan(seed, self.wanted.kills, epochs, only=only, chance=self.wanted.chance)
            disturbed, left_out = self._disturbed(trials, base, saves)
            if len(self.wanted.only) < len(Disturbance):
                left_out |= {str(one): where for one in self.wanted.only if one not in there}
            judged += disturbed
            if not any(one.verdict is not None for one in disturbed):
                raise RehearsalFailed(
                    "no run could be disturbed in time, so nothing is known of resuming: give it more epochs "
                    "(--epochs-flag), longer ones, a larger --budget, or a host with less to do"
                )
            left_out |= {one.trial: one.told[0] for one in disturbed if one.verdict is None}
        return Report(
            overall=overall(judged),
            judged=tuple(judged),
            baseline=base,
            epochs=epochs,
            left_out=left_out,
            seconds=time.monotonic() - self._began,
            tried=tried_of(judged),
            on_slurm=self.on_slurm,
        )

    @property
    def on_slurm(self) -> bool:
        """Whether its runs are SLURM's."""
        return isinstance(self._hand, OnSlurm)

    def _disturbed(self, trials: Sequence[Trial], base: Baseline, saves: bool) -> tuple[list[Judged], dict[str, str]]:
        left_out: dict[str, str] = {}
        found: dict[str, Judged] = {}
        trying = list(trials)
        for number in range(TRIES):
            by_name = {one.name: one for one in trying}
            missed = []
            for seen in self._each(trying, left_out):
                one = judge(by_name[seen.name], seen, base, saves=saves)
                found[seen.name] = one
                if one.verdict is None and number < TRIES - 1:
                    missed.append(sooner(by_name[seen.name]))
                else:
                    self.tell(seen.name, one)
            trying = missed
        return [found[one.name] for one in trials if one.name in found], left_out

    def _runs(self, trials: Sequence[Trial]) -> list[Observed]:
        found = {seen.name: seen for seen in self._each(trials, {})}
        return [found[one.name] for one in trials]

    def _each(self, trials: Sequence[Trial], left_out: dict[str, str]) -> list[Observed]:
        """All these runs, several at once; those that the budget has no room for are left out."""
        waiting, going, done = list(trials), list[Run](), list[Observed]()
        here = MOST_AT_ONCE if self.on_slurm else os.cpu_count() or 1
        most = self.wanted.at_once or max(1, min(MOST_AT_ONCE, here))
        try:
            while waiting or going:
                while waiting and len(going) < most:
                    trial = waiting.pop(0)
                    if why := self._left_out(trial):
                        left_out[trial.name] = why
                        continue
                    self.tell(trial.name, None)
                    going.append(self._begin(trial))
                self._look(going)
                for run in [one for one in going if one.ended or one.given_up]:
                    going.remove(run)
                    done.append(self._observed(run))
                wait([run.executions.eyes for run in going], LOOK_SECONDS)
        finally:
            for run in going:
                self._leave(run)
        return done

    def _left_out(self, trial: Trial) -> str:
        """Why that run is not begun; empty where it is."""
        spent = time.monotonic() - self._began
        if trial.disturbance is not None and spent + 1.5 * self._longest > self.wanted.budget_seconds:
            return "no time left in the budget"
        if trial.disturbance in OF_ITS_HOST and not self._here:
            return "it runs on another host, where nothing can be done within milliseconds"
        if trial.disturbance is Disturbance.NODE and pretend_cluster() is None:
            return "nodes are killed on a pretend cluster only, docs/testcluster.md"
        if trial.disturbance is Disturbance.DISK and self._small is None:
            try:
                if self.cramped is None:
                    raise NoSmallDisk("it was not asked for")
                self._small = self.cramped(self._undisturbed)
            except NoSmallDisk as error:
                return f"no small file system can be mounted here: {error}"
        return ""

    def _begin(self, trial: Trial) -> Run:
        zero = time.time()
        self._begun += 1
        small = self._small if trial.disturbance is Disturbance.DISK else None
        scratch = small or self.scratch
        job = scratch.submit(self.request, f"{self._begun} {trial.name}", trial.seed)
        striker = Striker(trial, self._pace, zero, self._hand, small.disk(job) if small is not None else None)
        executions = Executions(scratch.seen, job)
        return Run(trial=trial, job=job, zero=zero, executions=executions, striker=striker, scratch=scratch, since=zero)

    def _look(self, going: Sequence[Run]) -> None:
        for run in going:
            news = run.executions.look()
            run.striker.look(run.executions.in_order(), news)
        now = time.monotonic()
        if now - self._looked_at < STATES_SECONDS:
            return
        self._looked_at = now
        for run in going:
            self._judge_state(run, run.scratch.jobs([run.job])[run.job])
        if now - self._supervised_at > SUPERVISED_SECONDS:
            self._supervised_at = now
            for scratch in {id(run.scratch): run.scratch for run in going}.values():
                scratch.supervised()

    def _judge_state(self, run: Run, job: StoredJob) -> None:
        if job.state in FINAL:
            run.executions.look(again=True)
            run.ended = time.time()
        elif self.on_slurm and job.state is not JobState.RUNNING:
            run.since = time.time()  # a queue may be long
        elif time.time() - run.since > PATIENCE_SECONDS + PATIENCE * self._pace.whole and run.trial.disturbance:
            run.given_up = f"it did not end within {time.time() - run.since:.0f} s"

    def _leave(self, run: Run) -> None:
        run.striker.end()
        for one in run.executions.in_order():
            one.kill()
        run.executions.close()

    def _observed(self, run: Run) -> Observed:
        job = run.scratch.jobs([run.job])[run.job]
        in_order = run.executions.in_order()
        stretches = tuple(one.stretch(run.zero) for one in in_order)
        if run.trial.name == FIRST and in_order:
            self._undisturbed = run.scratch.seen.job(run.job)
            self._learn(run, stretches[-1].lines[-1].at if stretches[-1].lines else 0.0)
        self._leave(run)
        succeeded = job.state is JobState.SUCCEEDED
        self._longest = max(self._longest, time.time() - run.zero)
        return Observed(
            name=run.trial.name,
            seed=run.trial.seed,
            state=str(job.state),
            error=run.given_up or (job.error or "" if not succeeded else ""),
            stretches=stretches,
            result=run.scratch.result(run.job) if succeeded else {},
            hit=run.striker.hit,
            seconds=time.time() - run.zero,
        )

    def _learn(self, run: Run, last: float) -> None:
        """The pace of an undisturbed run, by which moments of disturbed ones are told."""
        one = run.executions.in_order()[-1]
        self._here = one.here
        if one.started is not None and one.started.slurm_job is not None:
            self._hand = OnSlurm()
        lines = one.stretch(run.zero).lines
        began = one.began - run.zero
        self._pace = Pace(
            epoch=pace(lines),
            whole=max(0.1, (last or time.time() - run.zero) - began),
            renames=any(event.moved_here for event in one.events),
        )


def _check(first: Observed) -> None:
    if first.state != JobState.SUCCEEDED:
        raise RehearsalFailed(
            f"the program ends undisturbed with '{first.error or first.state}': mend that first, then rehearse"
        )
