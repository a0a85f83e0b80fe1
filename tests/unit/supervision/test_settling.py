"""What one look leaves for the next: since when SLURM says that it ended, and how often nobody knew it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs.words import AttemptState, Cause
from orchestrator.supervision.judging import Nothing, Over
from orchestrator.supervision.observation import Ends, phase_changes
from orchestrator.supervision.reading import Look
from orchestrator.supervision.verdicts import Verdicts
from slurm.backend import Observation, Phase
from tests.helpers.cases import AT, attempt, execution

ENDED = Observation(phase=Phase.ENDED, cause=Cause.KILLED)
RUNNING = Observation(phase=Phase.RUNNING)


@dataclass
class Clock:
    seconds: float = 0.0

    def now(self) -> datetime:
        return AT

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Hold:
    """A tenure, as far as verdicts ask it."""

    clock: Clock


def verdicts(*looks: tuple[float, Observation], unread: bool = False) -> list[Any]:
    """The verdict over one running attempt at each look: when it was, and what SLURM said."""
    clock = Clock()
    ends = Ends(clock)
    judged = Verdicts(Hold(clock), ends)  # type: ignore[arg-type]
    mine = attempt(state=AttemptState.RUNNING)
    look = Look(live=[mine], late=[], seen={(7, 1): [execution()]}, unread=frozenset({1} if unread else ()))
    found = []
    for clock.seconds, said in looks:
        ends.note([mine], {(7, 1): said})
        found.append(judged.over(look, {(7, 1): said}, look.live).get(1))
    return found


def test_files_have_five_seconds_from_the_first_look_that_says_ended() -> None:
    assert [type(one) for one in verdicts((0, ENDED), (3, ENDED), (5, ENDED))] == [Nothing, Nothing, Over]


def test_what_runs_again_has_not_ended() -> None:
    assert [type(one) for one in verdicts((0, ENDED), (3, RUNNING), (6, ENDED), (11, ENDED))][2:] == [Nothing, Over]


def test_a_look_without_news_forgets_nothing_and_who_has_left_is_forgotten() -> None:
    clock, mine = Clock(), attempt()
    ends = Ends(clock)
    ends.note([mine], {(7, 1): ENDED})
    clock.seconds = 4.0
    ends.note([mine], {})
    assert ends.seconds((7, 1)) == 4.0
    ends.note([], {})
    assert ends.seconds((7, 1)) == 0.0


def test_of_a_folder_that_was_not_read_nothing_is_said() -> None:
    assert verdicts((0, ENDED), (60, ENDED), unread=True) == [None, None]


def test_looks_at_which_nobody_knew_it_count_in_a_row_only() -> None:
    absent, seen = Observation(phase=Phase.ABSENT), Observation(phase=Phase.RUNNING, node="n2")
    twice = attempt(absent=2, phase="absent")
    assert phase_changes([twice], {(7, 1): absent}) == [(1, "absent", "", None, 3)]
    assert phase_changes([twice], {(7, 1): seen}) == [(1, "running", "", "n2", 0)]
