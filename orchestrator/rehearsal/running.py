"""The rehearsal itself: undisturbed runs, then disturbed ones, each a real job of a store of the rehearsal's own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from db.jobs import StoredJob
from db.seals import Verdict, is_whole
from jobs.errors import OrchError
from jobs.words import FINAL, JobState
from orchestrator.rehearsal.disturbances import NAMES, Disturbance, Trial, of_trial, plan, sooner
from orchestrator.rehearsal.histories import Baseline, Observed, baseline, pace
from orchestrator.rehearsal.judgement import Judged, Overall, overall
from orchestrator.rehearsal.looking import Executions
from orchestrator.rehearsal.scratch import Scratch
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
TRIES = 3
"""Of a run that ended before it was struck: on a loaded host moments come late."""


class RehearsalFailed(OrchError):
    """The program does not even run undisturbed: there is nothing to compare with."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks of a rehearsal."""

    kills: int = 5
    seed: int = 0
    budget_seconds: float = float("inf")
    only: tuple[Disturbance, ...] = tuple(Disturbance)
    chance: int = 0
    at_once: int = 0
    """Runs at the same time; 0: as many as there are CPUs, up to MOST_AT_ONCE."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a rehearsal found."""

    overall: Overall
    judged: tuple[Judged, ...]
    baseline: Baseline
    epochs: int
    left_out: dict[str, str]
    """Disturbed run → why it was not tried."""
    seconds: float
    tried: dict[str, int]
    """Disturbance → runs that were judged."""

    @property
    def untried(self) -> tuple[str, ...]:
        """Disturbances of which no run was judged."""
        return tuple(name for name in NAMES if name not in self.tried)

    @property
    def whole(self) -> bool:
        """Whether every disturbance was tried, with as many kills as there are by default."""
        return is_whole(self.tried, self.untried)

    @property
    def tells(self) -> bool:
        """Whether anything was learnt of resuming: a run that was killed was judged, or one was wrong."""
        return Disturbance.KILL in self.tried or self.overall.verdict is Verdict.WRONG


@dataclass
class Run:
    """One run on its way."""

    trial: Trial
    job: int
    zero: float
    executions: Executions
    striker: Striker
    ended: float = 0.0
    given_up: str = ""


@dataclass
class Rehearsal:
    """Drives the runs of one program in a scratch store. `tell` is called with each run that is begun or judged."""

    scratch: Scratch
    request: Request
    wanted: Wanted
    tell: Callable[[str, Judged | None], None] = lambda name, judged: None
    _begun: int = 0
    _began: float = field(default_factory=time.monotonic)
    _looked_at: float = 0.0
    _supervised_at: float = 0.0
    _longest: float = 0.0
    _pace: Pace = field(default_factory=lambda: Pace(epoch=0.0, whole=0.0, renames=False))

    def run(self) -> Report:
        """All of it. Raises RehearsalFailed, BadInput, DataError, StoreError."""
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
            trials = plan(seed, self.wanted.kills, epochs, only=self.wanted.only, chance=self.wanted.chance)
            disturbed, left_out = self._disturbed(trials, base, saves)
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
            tried=_tried(judged),
        )

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
        most = self.wanted.at_once or max(1, min(MOST_AT_ONCE, os.cpu_count() or 1))
        try:
            while waiting or going:
                while waiting and len(going) < most:
                    trial = waiting.pop(0)
                    if (
                        trial.disturbance is not None
                        and self._spent() + 1.5 * self._longest > self.wanted.budget_seconds
                    ):
                        left_out[trial.name] = "no time left in the budget"
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

    def _spent(self) -> float:
        return time.monotonic() - self._began

    def _begin(self, trial: Trial) -> Run:
        zero = time.time()
        self._begun += 1
        job = self.scratch.submit(self.request, f"{self._begun} {trial.name}", trial.seed)
        executions = Executions(self.scratch.layout, job)
        return Run(trial=trial, job=job, zero=zero, executions=executions, striker=Striker(trial, self._pace, zero))

    def _look(self, going: Sequence[Run]) -> None:
        for run in going:
            news = run.executions.look()
            run.striker.look(run.executions.in_order(), news)
        now = time.monotonic()
        if now - self._looked_at < STATES_SECONDS:
            return
        self._looked_at = now
        states = self.scratch.jobs([run.job for run in going])
        for run in going:
            self._judge_state(run, states[run.job])
        if now - self._supervised_at > SUPERVISED_SECONDS:
            self._supervised_at = now
            self.scratch.supervised()

    def _judge_state(self, run: Run, job: StoredJob) -> None:
        if job.state in FINAL:
            run.executions.look(again=True)
            run.ended = time.time()
        elif time.time() - run.zero > PATIENCE_SECONDS + PATIENCE * self._pace.whole and run.trial.disturbance:
            run.given_up = f"it did not end within {time.time() - run.zero:.0f} s"

    def _leave(self, run: Run) -> None:
        for one in run.executions.in_order():
            one.kill()
        run.striker.end()
        run.executions.close()

    def _observed(self, run: Run) -> Observed:
        job = self.scratch.jobs([run.job])[run.job]
        in_order = run.executions.in_order()
        stretches = tuple(one.stretch(run.zero) for one in in_order)
        if run.trial.name == FIRST and in_order:
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
            result=self.scratch.result(run.job) if succeeded else {},
            hit=run.striker.hit,
            seconds=time.time() - run.zero,
        )

    def _learn(self, run: Run, last: float) -> None:
        """The pace of an undisturbed run, by which moments of disturbed ones are told."""
        one = run.executions.in_order()[-1]
        lines = one.stretch(run.zero).lines
        began = one.began - run.zero
        self._pace = Pace(
            epoch=pace(lines),
            whole=max(0.1, (last or time.time() - run.zero) - began),
            renames=any(event.moved_here for event in one.events),
        )


def _tried(judged: Sequence[Judged]) -> dict[str, int]:
    found = [of_trial(one.trial) for one in judged if one.verdict is not None]
    return {name: many for name in NAMES if (many := sum(one == name for one in found))}


def _check(first: Observed) -> None:
    if first.state != JobState.SUCCEEDED:
        raise RehearsalFailed(
            f"the program ends undisturbed with '{first.error or first.state}': mend that first, then rehearse"
        )
