"""People who change their minds, as they type it, and what the store must say once everything has ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

Typed = Callable[..., tuple[int, str]]
"""The words of a command → its exit code and what it printed."""
Rows = Callable[[str], list[tuple[Any, ...]]]
PROGRAM = 'echo "{\\"acc\\": $ORCH_SEED}" > "$ORCH_RESULT"'
"""What each job's program does in the end, in sh."""
ENOUGH = (8, 9, 10, 11, 12)
"""Minutes that any of the jobs may have."""
DIVERGED = "diverged"


class People:
    """`act` types one change of mind about one of these jobs; only what a command said that it did is remembered."""

    def __init__(self, typed: Typed, rows: Rows, dice: Random, jobs: dict[int, int]) -> None:
        """`jobs`: id → seed."""
        self._typed, self._rows, self._dice = typed, rows, dice
        self.seeds = jobs
        self.generations = dict.fromkeys(jobs, 1)
        self.priorities = dict.fromkeys(jobs, 0)
        self.minutes: dict[int, int] = {}
        self.dropped: set[int] = set()
        self.done: list[str] = []

    def act(self) -> str:
        """What they did, in one word."""
        move = self._dice.choice(
            [self.terms, self.terms_now, self.priority, self.drop, self.keep, self.anew, self.anew, self.cancel]
        )
        job = self._dice.choice(list(self.seeds))
        self.done.append(move.__name__)
        move(job)
        return move.__name__

    def _said(self, name: str, *words: str) -> list[int]:
        """The jobs that the command changed; none where it refused, with its sentence."""
        code, text = self._typed(*words, "--json")
        if code == 2:
            assert "Traceback" not in text and text.strip(), (words, text)
            return []
        assert code == 0, (words, code, text)
        return list(_document(text)[name])

    def terms(self, job: int, *more: str) -> None:
        """Another time limit; one that has ended is not run again."""
        minutes = self._dice.choice(ENOUGH)
        for one in self._said("set", "set", str(job), "--time", str(minutes), *more):
            self.minutes[one] = minutes

    def terms_now(self, job: int) -> None:
        self.terms(job, "--now")

    def priority(self, job: int) -> None:
        priority = self._dice.choice((-3, 0, 7))
        for one in self._said("set", "set", str(job), "--priority", str(priority)):
            self.priorities[one] = priority

    def drop(self, job: int) -> None:
        self.dropped.update(self._said("dropped", "drop", str(job), "--because", DIVERGED))

    def keep(self, job: int) -> None:
        self.dropped.difference_update(self._said("kept", "keep", str(job)))

    def anew(self, job: int) -> None:
        self._again("retry", str(job), "--succeeded")

    def cancel(self, job: int) -> None:
        """And at once they want it after all."""
        if self._said("cancelled", "cancel", str(job)):
            self._again("retry", str(job))

    def _again(self, *words: str) -> None:
        for one in self._said("retried", *words):
            self.generations[one] += 1

    def check(self) -> None:
        """Nothing is lost and nothing counted twice, and every decision stands as it was made last."""
        found = self._rows(
            "SELECT j.id, j.state, j.generation, j.dropped, -j.rank, l.text FROM job j "
            "JOIN launch l ON l.id = j.launch_id"
        )
        assert {row[0]: row[1] for row in found} == dict.fromkeys(self.seeds, "succeeded"), self.done
        assert {row[0]: row[2] for row in found} == self.generations, self.done
        assert {row[0] for row in found if row[3] is not None} == self.dropped, self.done
        assert {row[0]: row[4] for row in found} == self.priorities, self.done
        minutes = {row[0]: msgspec.json.decode(row[5])["resources"]["minutes"] for row in found}
        assert {job: minutes[job] for job in self.minutes} == self.minutes, self.done
        results = self._rows(
            "SELECT r.job_id, r.generation, json_extract(r.metrics, '$.acc'), e.superseded FROM result r "
            "JOIN execution e ON e.id = r.execution_id ORDER BY 1"
        )
        assert results == [(job, self.generations[job], self.seeds[job], 0) for job in sorted(self.seeds)], self.done
        assert self._rows("SELECT count(*) FROM attempt WHERE state != 'ended'") == [(0,)]
        accepted = self._rows("SELECT job_id, count(*) FROM event WHERE after = 'succeeded' GROUP BY 1")
        assert all(number <= self.generations[job] for job, number in accepted), (accepted, self.done)
        self._counted()

    def _counted(self) -> None:
        """The table counts all that nobody dropped; the dropped ones are shown, and named beneath it."""
        counting = [seed for job, seed in self.seeds.items() if job not in self.dropped]
        code, text = self._typed("table", "--json")
        assert code == 0, text
        table = _document(text)
        (row,) = table["rows"]
        acc = row["metrics"]["acc"]
        assert (row["n"], row["expected"], acc["n"]) == (len(counting),) * 3, (table, self.done)
        assert abs(acc["mean"] - sum(counting) / len(counting)) < 1e-9, (table, self.done)
        said = f"{len(self.dropped)} of {len(self.seeds)} dropped by hand: {DIVERGED}"
        assert not self.dropped or any(said in note for note in table["notes"]), (table, said)
        code, text = self._typed("status", "--json")
        shown = _document(text)
        assert code == 0 and {job["id"] for job in shown["jobs"]} == self.seeds.keys(), shown


def _document(text: str) -> dict[str, Any]:
    """The JSON in what a command printed, notes before and after it left out."""
    return dict(json.loads(text[text.index("{") : text.rindex("}") + 1]))
