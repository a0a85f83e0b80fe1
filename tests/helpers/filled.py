"""Small stores in every state, filled through the store's own decisions: no number here was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from db import attempts, creation, executions, jobs
from db.creation import Wanted
from db.entries import Accepted, Cancel, Dispatch, DispatchedTask, Ended, Strike
from db.launching import Launching, Template
from db.store import Store
from db.submissions import launched
from jobs import files, records
from jobs.kind import kind_named
from jobs.metrics import RULE
from jobs.records import Architecture, MetricLine, Outcome, Started
from jobs.resources import Resources
from jobs.words import Cause, JobState


@dataclass
class Filled:
    """A store with a clock of its own, an hour before now."""

    store: Store
    at: datetime = field(default_factory=lambda: files.now() - timedelta(hours=1))

    @classmethod
    def make(cls, root: Path) -> Filled:
        return cls(Store(root, create=True))

    def tick(self, seconds: float = 1.0) -> datetime:
        self.at += timedelta(seconds=seconds)
        return self.at

    def submit(
        self,
        kind: str = "random-baseline",
        seeds: Sequence[int] = (0,),
        *,
        study: str = "default",
        preset: str = "demo",
        values: Mapping[str, Any] | None = None,
        needs: Sequence[int] = (),
        backend: str = "local",
        tolerant: bool = False,
        launching: Launching | None = None,
    ) -> list[int]:
        """Jobs of a kind; their ids."""
        declared = kind_named(kind)
        config = declared.configure(values or {}, preset)
        import msgspec

        template = Template(
            kind=kind,
            kind_version=declared.version,
            preset=preset,
            config=msgspec.to_builtins(config),
            dataset=getattr(config, "dataset", ""),
            launching=launching or Launching(backend=backend, resources=Resources(cpus=1)),
        )
        keys = declared.keys(config, list(seeds))
        wanted = [
            Wanted(template=0, seed=seed, key=key, needs=tuple(needs), tolerant=tolerant)
            for seed, key in zip(seeds, keys, strict=True)
        ]
        with self.store.write() as writer:
            return list(creation.ensure(writer, study, [template], wanted, self.tick()).ids)

    def dispatch(self, job: int, *, backend: str = "local", native_id: str = "1", slot: str | None = "cpu:0") -> int:
        """A new attempt; its number."""
        with self.store.write() as writer:
            stored = jobs.get(writer.connection, job)
            number = stored.attempts + 1
            token = f"orch-{job:08x}{number:08x}"
            task = DispatchedTask(job, number, stored.generation)
            writer.decide([Dispatch(token=token, backend=backend, slot=slot, tasks=(task,), at=self.tick())])
            launched(writer.connection, token, native_id)
        self.store.layout.submission(token).mkdir(parents=True, exist_ok=True)
        return number

    def start(
        self, job: int, *, node: str = "node1", code_changed: bool = False, restart: int = 0, host: str = "elsewhere"
    ) -> Path:
        """An execution of the newest attempt, with its files; its folder."""
        with self.store.write() as writer:
            stored = jobs.get(writer.connection, job)
            attempt = attempts.of_job(writer.connection, job)[-1]
            folder = self.store.layout.new_execution(job, attempt.number, restart)
            started = Started(
                job=job,
                attempt=attempt.number,
                generation=stored.generation,
                token=attempt.token,
                index=0,
                restart=restart,
                node=node,
                host=host,
                pid=4_000_000,
                process_start=0.0,
                boot_id="another",
                code_changed=code_changed,
                at=self.tick(),
            )
            files.write_json(folder / "started.json", started, durable=False)
            row = executions.began(writer.connection, attempt.id, folder.name, started)
            ready = records.Ready(at=self.tick())
            files.write_json(folder / "ready.json", ready, durable=False)
            executions.is_ready(writer.connection, row, ready.at)
            attempts.set_running(writer.connection, attempt.id, self.at)
        return folder

    def epochs(self, folder: Path, numbers: Sequence[Mapping[str, float]], of: int = 10, seconds: float = 2.0) -> None:
        """Metric lines of an execution."""
        lines = [
            MetricLine(epoch=epoch, epochs=of, at=self.tick(seconds), values=dict(values))
            for epoch, values in enumerate(numbers, 1)
        ]
        for line in lines:
            files.append_json(folder / "metrics.jsonl", line)
        with self.store.write() as writer:
            executions.progressed(writer.connection, self.row(writer.connection, folder), lines)

    def row(self, connection: Any, folder: Path) -> int:
        """The row of an execution."""
        job = int(folder.parent.parent.name)
        return next(item.id for item in executions.of_job(connection, job) if item.name == folder.name)

    def succeed(self, job: int, metrics: Mapping[str, float], *, edges: Sequence[tuple[int, int]] = ((0, 2),)) -> Path:
        """Dispatch, run and accept a job; its execution's folder."""
        number = self.dispatch(job)
        folder = self.start(job)
        started = files.read_json(folder / "started.json", Started)
        assert started is not None
        outcome = Outcome(
            ending="success",
            cause=Cause.SUCCESS,
            result=dict(metrics),
            architecture=Architecture(edges=tuple(edges)),
            wall_seconds=12.0,
            at=self.tick(),
        )
        files.write_json(folder / "outcome.json", outcome, durable=False)
        with self.store.write() as writer:
            executions.ended(writer.connection, self.row(writer.connection, folder), outcome, Cause.SUCCESS)
            entry = Accepted(
                rule=RULE,
                job=job,
                attempt=number,
                execution=folder.name,
                generation=started.generation,
                started=started,
                metrics=dict(metrics),
                architecture=outcome.architecture,
                at=self.tick(),
            )
            writer.decide([entry])
            self._gone(writer.connection, job)
        return folder

    def end(
        self,
        job: int,
        cause: Cause,
        then: JobState,
        *,
        error: str | None = None,
        evidence: Sequence[str] = (),
        decision: str = "",
        node: str | None = "node1",
        not_before: datetime | None = None,
        traceback: str | None = None,
    ) -> None:
        """End the newest attempt without a success."""
        with self.store.write() as writer:
            attempt = attempts.of_job(writer.connection, job)[-1]
            folders = self.store.layout.executions(job, attempt.number)
            if folders and error is not None:
                outcome = Outcome(ending="failure", cause=cause, error=error, traceback=traceback, at=self.tick())
                files.write_json(folders[-1] / "outcome.json", outcome, durable=False)
                executions.ended(writer.connection, self.row(writer.connection, folders[-1]), outcome, cause)
            entry = Ended(
                job=job,
                attempt=attempt.number,
                cause=cause,
                then=then.value,
                error=error,
                evidence=tuple(evidence),
                decision=decision,
                node=node,
                not_before=not_before,
                at=self.tick(),
            )
            writer.decide([entry])
            self._gone(writer.connection, job)

    @staticmethod
    def _gone(connection: Any, job: int) -> None:
        """The machines were seen without it."""
        attempts.undoom(connection, [one.id for one in attempts.of_job(connection, job)])

    def cancel(self, *ids: int) -> None:
        with self.store.write() as writer:
            writer.decide([Cancel(jobs=ids, at=self.tick())])

    def strike(self, node: str, cause: Cause = Cause.NODE_FAILURE, job: int | None = None) -> None:
        with self.store.write() as writer:
            writer.decide([Strike(node=node, cause=cause, job=job, at=files.now())])


def change(filled: Filled, sql: str, *values: object) -> None:
    """A statement as some wrong program would run it."""
    with filled.store.write() as writer:
        writer.connection.exec_driver_sql(sql, values)
