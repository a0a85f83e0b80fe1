"""What must hold after every step of a schedule, and at its end."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from sqlite3 import Connection
from typing import Any

import msgspec

from db import journal
from jobs.files import read_json
from jobs.layout import Layout
from jobs.records import Started
from jobs.words import JobState
from tests.helpers.story import tells
from tests.simulation.cluster import Cluster
from tests.simulation.workers import Ledger


class Broken(AssertionError):
    """An invariant does not hold."""


def require(holds: bool, sentence: str) -> None:
    """Raise Broken unless it holds."""
    if not holds:
        raise Broken(sentence)


def rows(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    """The answer of one query."""
    return connection.execute(sql).fetchall()


def essence(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """What a rebuild from the journal must bring back."""
    live = "CASE WHEN {0}.state = 'running' THEN 'submitted' ELSE {0}.state END"
    queries = {
        "jobs": f"SELECT job.id, {live.format('job')}, generation, attempts, resume, tolerant, cause, error, "
        "not_before, memory_mb, kind, seed, key, rank, dropped, l.text FROM job "
        "JOIN launch l ON l.id = launch_id ORDER BY 1",
        "needs": "SELECT job_id, needs_id FROM job_dependency ORDER BY 1, 2",
        "attempts": f"SELECT job_id, number, generation, token, position, {live.format('attempt')}, cause, decision, "
        "ended_at FROM attempt ORDER BY 1, 2",
        "submissions": "SELECT token, backend, size, pieces, slot, created_at FROM submission ORDER BY 1",
        "results": "SELECT r.job_id, r.generation, r.metrics, r.flags, r.accepted_at, e.name FROM result r "
        "LEFT JOIN execution e ON e.id = r.execution_id ORDER BY 1",
        "earlier results": "SELECT r.job_id, r.generation, r.metrics, r.flags, r.accepted_at, r.superseded_at, e.name "
        "FROM earlier_result r LEFT JOIN execution e ON e.id = r.execution_id ORDER BY 1, 2",
        "who waits for whom": "SELECT id, behind FROM job WHERE behind IS NOT NULL ORDER BY 1",
        "canaries": "SELECT job_id, began_at, over_at FROM canary ORDER BY 1",
        "limits": "SELECT name, max_running, max_fails FROM study ORDER BY 1",
        "journal": "SELECT name, value FROM setting WHERE name IN ('journal_seq', 'journal_hash') ORDER BY 1",
        "strikes": "SELECT node, at, cause, job_id, cleared_at FROM node_health ORDER BY id",
    }
    return {name: rows(connection, sql) for name, sql in queries.items()}


def executions(connection: Connection) -> list[tuple[Any, ...]]:
    """What the store knows of every execution, and of whether it is over."""
    return rows(
        connection,
        "SELECT e.job_id, a.number, e.name, e.ending, e.superseded, e.epoch, e.checkpoint_step, e.ended_at IS NULL "
        "FROM execution e JOIN attempt a ON a.id = e.attempt_id ORDER BY 1, 2, 3",
    )


def everything(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table: to see that nothing at all was written."""
    tables = [name for (name,) in rows(connection, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
    return {table: rows(connection, f"SELECT * FROM {table}") for table in tables}


class Invariants:
    """Checks one store against what was submitted and what really happened."""

    def __init__(self, layout: Layout, ledger: Ledger) -> None:
        self.layout = layout
        self.ledger = ledger
        self.submitted: set[int] = set()
        self.cancelled: set[int] = set()
        """Cancelled by the user, and not retried since."""
        self._results: dict[int, tuple[Any, ...]] = {}
        self._ended: set[tuple[int, int]] = set()

    def began_anew(self, jobs: Collection[int]) -> None:
        """A person began their next generation."""
        for job in jobs:
            self.cancelled.discard(job)
            self._results.pop(job, None)

    @tells
    def after_step(self, connection: Connection) -> None:
        """No job lost, no result counted twice or changed, one live attempt at most, a journal without gap."""
        states = dict(rows(connection, "SELECT id, state FROM job"))
        generations = dict(rows(connection, "SELECT id, generation FROM job"))
        live = [job for (job,) in rows(connection, "SELECT job_id FROM attempt WHERE state != 'ended'")]
        results = {
            row[0]: row
            for row in rows(
                connection,
                "SELECT r.job_id, r.generation, r.metrics, a.number, e.name FROM result r "
                "JOIN execution e ON e.id = r.execution_id JOIN attempt a ON a.id = e.attempt_id",
            )
        }
        counts = rows(connection, "SELECT state, sum(n) FROM job_count GROUP BY state HAVING sum(n) != 0")
        (sequence,) = rows(connection, "SELECT value FROM setting WHERE name = 'journal_seq'")[0]
        require(not self.ledger.wrong, "; ".join(self.ledger.wrong))
        lost = self.submitted - states.keys()
        require(not lost, f"jobs {sorted(lost)} are lost")
        require(len(live) == len(set(live)), f"a job has two live attempts: {sorted(live)}")
        moving = {job for job, state in states.items() if state in ("submitted", "running")}
        require(moving == set(live), f"jobs {sorted(moving ^ set(live))} move without a live attempt, or the reverse")
        succeeded = {job for job, state in states.items() if state == JobState.SUCCEEDED}
        require(succeeded == results.keys(), f"jobs {sorted(succeeded ^ results.keys())}: success without result")
        tally = {state: sum(s == state for s in states.values()) for state in set(states.values())}
        require(dict(counts) == tally, f"the kept counts {counts} are not the jobs' states {tally}")
        for job, row in self._results.items():
            require(results.get(job) == row, f"the result of job {job} changed from {row} to {results.get(job)}")
        for job in results.keys() - self._results.keys():
            self._check_result(results[job], generations[job])
        self._results = results
        revived = {job for job in self.cancelled if states[job] != JobState.CANCELLED}
        require(not revived, f"cancelled jobs {sorted(revived)} live again")
        ahead = journal.last_number(self.layout.journal) - int(sequence)  # raises where there is a gap
        require(ahead in (0, 1), f"the journal is {ahead} files ahead of the database")

    def _check_result(self, row: tuple[Any, ...], generation: int) -> None:
        job, of_generation, metrics, attempt, name = row
        path = self.layout.attempt(job, attempt) / name
        started, outcome = read_json(path / "started.json", Started), self.ledger.outcomes.get(path)
        require(started is not None and started.job == job, f"job {job} has the result of a foreign execution {path}")
        assert started is not None
        require(
            of_generation == generation == started.generation,
            f"job {job} of generation {generation} has a result of generation {started.generation}",
        )
        right = outcome is not None and outcome.ending == "success" and msgspec.json.decode(metrics) == outcome.result
        require(right, f"job {job} has the numbers {metrics}, its execution {name} ended with {outcome}")

    @tells
    def metrics(self, connection: Connection) -> None:
        """The epochs counted for a result are those of its one execution, all of them."""
        for job, row in self._results.items():
            path = self.layout.attempt(job, row[3]) / row[4]
            want = {line.epoch: line.values["test_accuracy"] for line in self.ledger.lines[path]}
            have = dict(
                rows(
                    connection,
                    "SELECT epoch, value FROM metric WHERE execution_id = "
                    f"(SELECT execution_id FROM result WHERE job_id = {job})",
                )
            )
            require(have == want, f"job {job}: epochs {have} are counted, its execution {row[4]} has {want}")

    @tells
    def endings(self, connection: Connection, cluster: Cluster) -> None:
        """No attempt is given up while it lives: only an outcome, a cancel or the machines end one."""
        ended = rows(
            connection,
            "SELECT job_id, number, token, position, cause, decision FROM attempt WHERE state = 'ended' "
            "AND cause NOT IN ('success', 'cancelled')",
        )
        new = [row for row in ended if row[:2] not in self._ended]
        self._ended.update(row[:2] for row in new)
        for job, number, token, position, cause, decision in new:
            folder = self.layout.attempt(job, number)
            if any(path.parent == folder for path in self.ledger.outcomes):
                continue
            tasks = [t for t in cluster.tasks if t.name == token and t.holds(position, job, number)]
            living = [task.id for task in tasks if task.live]
            require(not living, f"job {job} is given up ({cause}: {decision}), and SLURM has {living}")
            hearts = [worker for worker in cluster.workers if worker.alive and worker.path is not None]
            beating = [worker.path for worker in hearts if worker.path is not None and worker.path.parent == folder]
            require(cause != "lost" or not beating, f"job {job} is given up for lost, and {beating} run")

    @tells
    def side_by_side(self, connection: Connection, cluster: Cluster) -> None:
        """No attempt of a job is in the queue while another one is still there."""
        own: dict[str, list[tuple[int, int, int]]] = {}
        for token, *rest in rows(connection, "SELECT token, position, job_id, number FROM attempt"):
            own.setdefault(token, []).append((rest[0], rest[1], rest[2]))
        seen: dict[int, set[str]] = {}
        for task in cluster.tasks:
            if task.live and not task.again and task.name in own and not self.layout.given_up(task.name).exists():
                for position, job, number in own[task.name]:
                    if task.holds(position, job, number):
                        seen.setdefault(job, set()).add(task.name)
        twice = {job: sorted(names) for job, names in seen.items() if len(names) > 1}
        require(not twice, f"two attempts of one job at once: {twice}")

    @tells
    def launches(self, connection: Connection, launched: Mapping[str, int], *, stalled: bool) -> None:
        """Every submission was launched once at most, and what is said never to have been launched was not.

        `stalled`: a supervisor stalled, perhaps in sbatch itself; then its workers have found out.
        """
        require(stalled or not self.ledger.given_up, "a submission was given up too early: it started afterwards")
        twice = sorted(token for token, times in launched.items() if times > 1)
        require(not twice, f"launched twice: {twice}")
        never = {
            token
            for token, decision in rows(connection, "SELECT token, decision FROM attempt WHERE decision IS NOT NULL")
            if decision.startswith(("the launch never happened", "waits:"))
        }
        began = {started.token for started in self.ledger.started.values()}
        require(not never & began, f"launched after all: {sorted(never & began)}")

    def _behind_a_failure(self, connection: Connection, states: Mapping[int, str]) -> set[int]:
        """Queued jobs whose needed job has begun anew and failed since, or stands behind such a one."""
        dead = {job for job, state in states.items() if state in (JobState.FAILED, JobState.CANCELLED)}
        needs = rows(
            connection,
            "SELECT d.job_id, d.needs_id, j.tolerant AND n.state = 'failed' FROM job_dependency d "
            "JOIN job j ON j.id = d.job_id JOIN job n ON n.id = d.needs_id",
        )
        halted = {job for job, state in states.items() if state in (JobState.QUEUED, JobState.WAITING)}
        while more := {job for job, need, fine in needs if need in dead and not fine and job in halted - dead}:
            dead |= more
        return {job for job in dead if states[job] == JobState.QUEUED}

    @tells
    def at_end(self, connection: Connection, stopped: Mapping[str, str], living: Collection[str]) -> None:
        """Every job ended or says why not, no success was missed, nothing of ours is left on the cluster."""
        self.after_step(connection)
        self.metrics(connection)
        states = dict(rows(connection, "SELECT id, state FROM job"))
        generations = dict(rows(connection, "SELECT id, generation FROM job"))
        silent = rows(
            connection,
            "SELECT id FROM job WHERE state = 'failed' AND (error IS NULL OR error = '' OR cause IS NULL)",
        )
        children = rows(connection, "SELECT count(*) FROM job WHERE seed >= 1000000")[0][0]
        had = {job for (job,) in rows(connection, "SELECT job_id FROM result UNION SELECT job_id FROM earlier_result")}
        asked = sum(len(self.ledger.natures[job].spawn) for job in had if job in self.ledger.natures)
        require(children == asked, f"accepted results asked for {asked} jobs, and there are {children}")
        require(not silent, f"failed jobs {silent} do not say why")
        open_states = {JobState.SUBMITTED, JobState.RUNNING, *(() if stopped else (JobState.QUEUED,))}
        behind = self._behind_a_failure(connection, states)
        unended = {job: state for job, state in states.items() if state in open_states and job not in behind}
        require(not unended, f"jobs did not end: {unended}")
        for path, outcome in self.ledger.outcomes.items():
            started = read_json(path / "started.json", Started)
            if outcome.ending == "success" and started is not None and started.generation == generations[started.job]:
                state = states[started.job]
                closed = state in (JobState.SUCCEEDED, JobState.CANCELLED)
                require(closed, f"job {started.job} is {state}, and {path} holds its success")
        require(not living, f"nobody wants these, and the cluster still has them: {sorted(living)}")
