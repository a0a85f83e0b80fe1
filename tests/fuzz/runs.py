"""A store whose run folders are made odd, a file at a time, beside jobs whose results must be taken in all the same."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec

from db import attempts, audit, checks, jobs
from db import news as facts
from db.launching import Launching
from db.store import Store
from jobs import files
from jobs.layout import Layout
from jobs.node.checkpoints import CheckpointRecord
from jobs.node.interpreter import Software
from jobs.node.preparation import ProgramRecord
from jobs.node.progress import FILE, Progress
from jobs.records import (
    Accepted,
    Code,
    Manifest,
    MetricLine,
    Outcome,
    QueueChange,
    Ready,
    Started,
    Surroundings,
    Task,
)
from jobs.resources import InQueue, Resources
from jobs.snapshots import KeptFile, KeptLink, Origin, Snapshot, tree_hash
from jobs.usage import FILE as USAGE
from jobs.usage import Curve, Sums, Usage, UsageFile
from jobs.words import Cause, JobState
from orchestrator.cli.main import run
from orchestrator.settings import Settings
from orchestrator.supervision import news, notifier
from orchestrator.supervision.handover import job_file
from orchestrator.upkeep.rebuilding import rebuild_all
from orchestrator.views.looking import look
from slurm.local.record import LocalRecord, record_path
from tests.fuzz.mutation import mutate
from tests.helpers.filled import Filled

VICTIMS, WITNESSES = 40, 2
SHARED = 0.1
"""So many of the mutations are of what all jobs share: the code that was kept, and what people were told."""
LOOKS: tuple[tuple[str, ...], ...] = (
    ("status",), ("status", "--json"), ("status", "--all"), ("show", "{}"), ("show", "{}", "--json"), ("explain", "{}"),
    ("explain", "{}", "--json"), ("logs", "{}"), ("export",), ("table", "--by", "kind", "--metric", "acc"), ("nodes",),
    ("usage",), ("usage", "--by", "lr", "--json"),
    ("clean", "--dry-run"), ("doctor",), ("diff", "{}", "now"), ("diff", "{}", "1", "--code"), ("run", "{}"),
    ("table", "--by", "code", "--metric", "acc"), ("show", "--filter", "seed<3"), ("explain", "--filter", "lr=0.1"),
)  # fmt: skip


class Found(AssertionError):
    """Something that the fuzzer found."""


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


def call(*arguments: str) -> Said:
    """The command in this process. Raises Found for a defect of ours."""
    out, err = (
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=errors, write_through=True)
        for errors in ("strict", "backslashreplace")  # as Python opens them
    )
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run(arguments)
        except SystemExit as ended:
            code = ended.code
    text = [stream.buffer.getvalue().decode(errors="replace") for stream in (out, err)]  # type: ignore[attr-defined]
    said = Said(int(code) if isinstance(code, int) else 1, *text)
    if said.code not in (0, 1, 2) or "Traceback" in said.err:
        raise Found(f"orch {arguments} ended with {said.code}: {said.out[-500:]}{said.err[-1500:]}")
    return said


def template(root: Path) -> None:
    """A store with victims and witnesses that all have ended unseen: half of the victims with a success."""
    filled = Filled.make(root)
    layout = filled.store.layout
    how = Launching(
        backend="local", resources=Resources(cpus=1), label="fuzz", code=kept_code(layout),
        surroundings=Surroundings(kept={"PATH": os.environ["PATH"], "LANG": "C"}, given={"A": "1"}),
    )  # fmt: skip
    values = {"argv": ("true", "train.py", "{lr}"), "parameters": {"lr": "0.1", "release": "1.10"}}
    with filled.store.read() as connection:
        told = news.now([], facts.studies(connection), {}, idle=False)
    files.write_json(layout.root / notifier.NAME, told, durable=False)
    wanted = range(VICTIMS + WITNESSES)
    for job in filled.submit("command", seeds=wanted, values={**values, "quoted": ("release",)}, launching=how):
        filled.dispatch(job)
        folder = filled.start(job)
        files.write_json(layout.job(job) / "job.json", job_file(_job(filled.store, job)), durable=False)
        started = files.read_json(folder / "started.json", Started)
        assert started is not None
        task = Task(job=job, attempt=1, generation=1, resources=Resources(cpus=1), terms=0)
        manifest = Manifest(
            token=started.token, backend="local", tasks=(task,), terms=(how.terms(),), created_at=filled.at
        )
        files.write_json(layout.manifest(started.token), manifest, durable=False)
        change = QueueChange(job=job, attempt=1, change=InQueue(minutes=9, cpus=2, nice=0), at=filled.at)
        files.append_json(layout.changes(started.token), change)
        program = ProgramRecord(argv=("true", "0.1"), cwd="work", code=how.code.snapshot if how.code else "")
        files.write_json(folder / "program.json", program, durable=False)
        record = LocalRecord(token=started.token, host="elsewhere", boot_id="b", pid=4_000_000, start=7, slot="cpu:0")
        files.write_json(record_path(layout.submission(started.token)), record, durable=False)
        logs = layout.submission(started.token) / "submitit"
        logs.mkdir()
        (logs / f"{started.token}_0_log.out").write_text("before it began\n")
        files.write_json(folder / "ready.json", Ready(at=filled.tick()), durable=False)
        (folder / "heartbeat").write_text("3\n")
        lines = [MetricLine(epoch=n, epochs=3, at=filled.tick(), values={"acc": 80.0 + n}) for n in (1, 2, 3)]
        (folder / "metrics.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        (folder / "user_metrics.jsonl").write_text('{"epoch": 1, "acc": 81.0}\n{"epoch": 2, "acc": 82.0}\n')
        (folder / "result.json").write_text(f'{{"acc": {80.0 + job}}}')
        (folder / "checkpoints").mkdir()
        record_ = CheckpointRecord(step=3, bytes=1, sha256="00", history=tuple(lines))
        files.write_json(folder / "checkpoints" / "step-00000003.json", record_, durable=False)
        files.write_json(folder / FILE, Progress(step=2, digest="x"), durable=False)
        half, whole = Sums(seconds=1.0, cpu_seconds=0.5), Sums(seconds=2.0, cpu_seconds=1.5)
        used = Usage(sums=whole, kept=half, saved_step=2, memory_mb=50.0, due=16.0, at=filled.at)
        curve = Curve(span=1.0, points=((0.5, 50.0, None, None, None), (1.0, 50.0, None, None, None)))
        files.write_json(folder / USAGE, UsageFile(usage=used, curve=curve), durable=False)
        (folder / "stdout").write_text("hello\n")
        (folder / "stderr").write_text("Traceback (most recent call last):\nValueError: no\n")
        good = job > VICTIMS or job % 2 == 0
        outcome = Outcome(
            ending="success" if good else "failure",
            cause=Cause.SUCCESS if good else Cause.ERROR,
            result={"acc": 80.0 + job} if good else {},
            error=None if good else "ValueError: no",
            traceback=None if good else "Traceback (most recent call last):\nValueError: no",
            epoch=3,
            at=filled.tick(),
        )
        files.write_json(folder / "outcome.json", outcome, durable=False)
        hint = Accepted(attempt=1, execution=folder.name, generation=1 if job % 2 else None, at=filled.at)
        if job <= VICTIMS and job % 3 == 0:
            files.write_json(layout.job(job) / "accepted.json", hint, durable=False)
            layout.given_up(started.token).touch()
    filled.store.close()


def kept_code(layout: Layout) -> Code:
    """A snapshot of two files and a link, as a submit keeps it, with all that lies beside it."""
    code = layout.code
    files.make_folder(code / "software")
    files.make_folder(code / "origins")
    texts = {"train.py": b"print('hello')\n", "lib/net.py": b"SIZE = 3\n"}
    kept = tuple(
        KeptFile(path=path, sha256=hashlib.sha256(text).hexdigest(), size=len(text)) for path, text in texts.items()
    )
    links = (KeptLink(path="latest", target="train.py"),)
    name = tree_hash(kept, links)
    for path, text in texts.items():
        files.make_folder((code / name / path).parent)
        (code / name / path).write_bytes(text)
    (code / name / "latest").symlink_to("train.py")
    origin, software, patch = "1" * 32, "2" * 32, "3" * 32
    record = Snapshot(hash=name, root=".", files=kept, links=links, outside=("data",), commit="4" * 40, dirty=True)
    files.write_json(code / f"{name}.json", record, durable=False)
    beside = Origin(outside=("data",), folders=("empty",), aliases={"/elsewhere": "."})
    files.write_json(code / "origins" / f"{origin}.json", beside, durable=False)
    installed = Software(python="CPython 3.11.2", packages=("numpy==1.0", "torch==2.0"), driver="550.1", lock="5" * 32)
    files.write_json(code / "software" / f"{software}.json", installed, durable=False)
    (code / "software" / f"{'5' * 32}.uv.lock").write_text("version = 1\n")
    (code / f"{patch}.patch").write_text("--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-a\n+b\n")
    return Code(
        snapshot=name, origin=origin, software=software, commit="4" * 40, dirty=True, patch=patch, root=".",
        paths=("lib",),
    )  # fmt: skip


def shared(layout: Layout) -> list[Path]:
    """Every file and folder of no one job; not those in whose place a link is refused (db/admission.py)."""
    refused = {layout.code / "software", layout.code / "origins"}
    below = {path for path in layout.code.rglob("*") if path.is_file() or path.is_dir()}
    return [*sorted(below - refused), layout.root / notifier.NAME]


def _job(store: Store, job: int) -> jobs.StoredJob:
    with store.read() as connection:
        return jobs.get(connection, job)


def ingested(layout: Layout, job: int) -> list[Path]:
    """Every file of a job that anything of orch reads."""
    with Store(layout.root).read() as connection:
        (attempt,) = attempts.of_job(connection, job)
    folders = [layout.job(job), layout.submission(attempt.token)]
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file() or path.is_dir())


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Warnings are what is wanted here, by the thousand."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def one_round(store: Path, original: Path, seed: int) -> int:
    """A mutated file for each victim in one store; how many. Raises Found, with the seed."""
    random = Random(f"files {seed}")
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(original, store)
    layout = Layout(store)
    tale = []
    common = shared(layout)
    everything = {job: ingested(layout, job) for job in range(1, VICTIMS + 1)}
    for job in range(1, VICTIMS + 1):
        path = random.choice([path for path in everything[job] if path.is_file() or random.random() < 0.1])
        if random.random() < SHARED and (left := [path for path in common if path.is_file() or path.is_dir()]):
            path = random.choice(left)
        others = [other for one, paths in everything.items() if one != job for other in paths]
        same = [other for other in others if other.name == path.name and other.is_file()]
        tale.append(mutate(path, same, random))
    try:
        with quiet():
            _check(Store(store), random)
    except Exception as error:
        story = "\n  ".join(tale)
        raise Found(f"seed {seed}: {type(error).__name__}: {error}\n  {story}\n  {replay(seed)}") from error
    return VICTIMS


def replay(seed: int) -> str:
    return f"replay: ORCH_FUZZ_SEED={seed} ORCH_FUZZ_FILES={VICTIMS} pytest tests/fuzz/test_files.py"


def _check(store: Store, random: Random) -> None:
    """What must hold after one look at it, and after a rebuild."""
    look(store, Settings())
    told = files.read_json(store.root / notifier.NAME, news.Told)
    with store.read() as connection:
        failures = facts.failures(connection)
        after = news.now(failures, facts.studies(connection), {}, idle=False)
    news.lines(told or after, after, failures)
    states = _results(store)
    for job in range(VICTIMS + 1, VICTIMS + WITNESSES + 1):
        if states.get(job) != (JobState.SUCCEEDED, 80.0 + job):
            raise Found(f"the result of job {job} was not taken in: {states.get(job)}")
    with store.read() as connection:
        wrong = [*checks.integrity(connection), *checks.miscounted(connection)]
    if wrong or audit.audit(store).faults:
        raise Found(f"the store is not sound: {wrong} {audit.audit(store)}")
    os.environ["ORCH_STORE"] = str(store.root)
    for words in random.sample(LOOKS, 4):
        call(*(word.format(random.randint(1, VICTIMS)) for word in words))
    if random.random() < 0.3:
        before = essence(store)
        rebuild_all(store.root, lambda done, total: None)
        if essence(Store(store.root)) != before:
            raise Found(f"the rebuilt store differs: {before} became {essence(Store(store.root))}")


def _results(store: Store) -> dict[int, tuple[JobState, float | None]]:
    sql = "SELECT j.id, j.state, r.metrics FROM job j LEFT JOIN result r ON r.job_id = j.id"
    with store.read() as connection:
        rows = connection.exec_driver_sql(sql).all()
    return {
        int(job): (JobState(state), json.loads(metrics).get("acc") if metrics else None) for job, state, metrics in rows
    }


def essence(store: Store) -> Sequence[tuple[object, ...]]:
    """What counts: states (running or not is only seen live), results, attempts."""
    with store.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT j.id, replace(j.state, 'running', 'submitted'), j.generation, j.attempts, j.cause, j.error, "
            "r.metrics, a.number, replace(a.state, 'running', 'submitted'), a.cause FROM job j "
            "LEFT JOIN result r ON r.job_id = j.id LEFT JOIN attempt a ON a.job_id = j.id ORDER BY 1, 8"
        )
        return [tuple(row) for row in found]
