"""The SLURM backend on a real cluster: launch, life cycles, dying nodes, cancelling, adoption, limits."""

from __future__ import annotations

import getpass
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.files import now, read_json, write_json
from jobs.kind import Resources
from jobs.layout import Layout
from jobs.records import JobFile, Manifest, Outcome, Started, Task
from jobs.words import Cause
from slurm.backend import (
    Batch,
    LaunchRefused,
    LaunchUncertain,
    LimitReached,
    LiveAttempt,
    Observation,
    Phase,
    QueuedJob,
    Submission,
)
from slurm.commands import Commands
from slurm.probe import probe
from slurm.sbatch import LaunchSettings
from slurm.slurm_backend import SlurmBackend
from slurm.testcluster import Cluster

SMALL = Resources(cpus=1, memory_mb=400, gpus=0, minutes=5)


class Bench:
    """A store's folder with `command` jobs, and the backend that runs them."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.backend = SlurmBackend(self.layout, settings=LaunchSettings(sbatch_timeout_s=30))
        self.jobs = 0
        self.tokens = 0

    def submission(
        self, count: int, script: str, resources: Resources = SMALL, checkpoints: bool = True, **options: Any
    ) -> Submission:
        self.tokens += 1
        token = f"o-{os.getpid()}-{self.tokens}-{time.monotonic_ns()}"
        tasks = []
        for _ in range(count):
            self.jobs += 1
            folder = self.layout.job(self.jobs)
            folder.mkdir(parents=True)
            job = JobFile(
                id=self.jobs,
                study="default",
                kind="command",
                kind_version=1,
                seed=self.jobs,
                config={"argv": ["sh", "-c", script]},
                preset="demo",
                key=str(self.jobs),
                resources=resources,
                created_at=now(),
            )
            write_json(folder / "job.json", job)
            tasks.append(Task(job=self.jobs, attempt=1, generation=1, resources=resources))
        manifest = Manifest(token=token, backend="slurm", tasks=tuple(tasks), created_at=now())
        folder = self.layout.submission(token)
        folder.mkdir(parents=True)
        write_json(folder / "manifest.json", manifest)
        queued = tuple(
            QueuedJob(job=task.job, resources=resources, checkpoints=checkpoints, options=options) for task in tasks
        )
        return Submission(token=token, folder=folder, manifest=manifest, batch=Batch(jobs=queued))

    def live(self, submission: Submission, native: str | None, **more: Any) -> list[LiveAttempt]:
        tasks = submission.manifest.tasks
        values: dict[str, Any] = {
            "running": False,
            "slot": None,
            "submitted_at": submission.manifest.created_at,
            **more,
        }
        return [
            LiveAttempt(
                job=task.job,
                attempt=1,
                token=submission.token,
                index=index,
                size=len(tasks),
                native_id=native,
                **values,
            )
            for index, task in enumerate(tasks)
        ]

    def start(self, count: int, script: str, **more: Any) -> list[LiveAttempt]:
        submission = self.submission(count, script, **more)
        return self.live(submission, self.backend.launch(submission))

    def watch(
        self, live: list[LiveAttempt], until: Callable[[list[Observation]], bool], timeout: float = 60
    ) -> list[Observation]:
        """Observe until it is so; the observations of that moment, in the order of `live`."""
        deadline = time.monotonic() + timeout
        while True:
            found = self.backend.observe(live)
            seen = [found[attempt.key] for attempt in live if attempt.key in found]
            if len(seen) == len(live) and until(seen):
                return seen
            assert time.monotonic() < deadline, f"not within {timeout} s; at last: {seen}"
            time.sleep(0.2)

    def outcome(self, job: int) -> Outcome:
        for folder in self.layout.executions(job, 1)[::-1]:
            if outcome := read_json(folder / "outcome.json", Outcome):
                return outcome
        raise AssertionError(f"job {job} has no outcome")

    def wait_started(self, live: list[LiveAttempt], executions: int = 1) -> None:
        """Until the worker of each has begun, so often."""
        deadline = time.monotonic() + 60
        while any(
            len([path for path in self.layout.executions(item.job, 1) if (path / "started.json").exists()]) < executions
            for item in live
        ):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def all_in(*phases: Phase) -> Callable[[list[Observation]], bool]:
    return lambda seen: all(item.phase in phases for item in seen)


ENDED, RUNNING, PENDING = all_in(Phase.ENDED), all_in(Phase.RUNNING), all_in(Phase.PENDING)


@pytest.fixture
def bench(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """With a hostile environment: formats and filters of the user's own, and a surrounding allocation."""
    monkeypatch.setenv("SLURM_CONF", cluster.env()["SLURM_CONF"])
    for name, value in {
        "SQUEUE_FORMAT": "%i",
        "SACCT_FORMAT": "JobID",
        "SLURM_BITSTR_LEN": "8",
        "SBATCH_PARTITION": "none",
        "SLURM_JOB_ID": "999999",
        "SLURM_ARRAY_TASK_ID": "7",
        "SLURM_MEM_PER_CPU": "1",
    }.items():
        monkeypatch.setenv(name, value)
    return Bench(tmp_path / ".orch")


def test_an_array_and_a_single_job_from_launch_to_end(bench: Bench) -> None:
    array = bench.start(3, "echo hello $ORCH_SEED", setup=["export COLOUR=red"])
    single = bench.start(1, 'test "$COLOUR" = blue', setup=["export COLOUR=blue"])
    without_srun = bench.start(2, "true", checkpoints=False)
    live = array + single + without_srun
    first = bench.backend.observe(live)
    assert {item.phase for item in first.values()} <= {Phase.PENDING, Phase.RUNNING, Phase.COMPLETING}
    seen = bench.watch(live, ENDED)
    assert all(item.node and item.node.startswith("node") for item in seen)
    for attempt in live:
        assert bench.outcome(attempt.job).cause is Cause.SUCCESS
        started = read_json(bench.layout.executions(attempt.job, 1)[0] / "started.json", Started)
        assert started is not None and started.index == attempt.index
    assert bench.backend.commands.counts["sbatch"] == 3 and not bench.backend.commands.counts["sacct"]


def test_a_node_that_dies_is_told_once_and_its_job_starts_elsewhere_at_once(bench: Bench, cluster: Cluster) -> None:
    live = bench.start(1, "sleep 4")
    [seen] = bench.watch(live, RUNNING)
    node = seen.node
    assert node is not None
    bench.wait_started(live)
    live = [LiveAttempt(**{**vars(live[0]), "running": True, "node": node})]
    cluster.set_node_down(node, "test")
    began = time.monotonic()
    told: list[Observation] = []
    while True:
        [seen] = bench.backend.observe(live).values()
        if seen.previous is not None:
            told.append(seen.previous)
        if seen.phase is Phase.RUNNING and seen.node != node:
            break
        assert seen.phase is not Phase.ENDED
        bench.backend.avoid(live, frozenset())
        assert time.monotonic() - began < 20
        time.sleep(0.2)
    assert time.monotonic() - began < 4.5  # SLURM alone waits longer (BeginTime)
    assert [(item.cause, item.node) for item in told] == [(Cause.NODE_FAILURE, node)]
    cluster.resume_node(node)
    [seen] = bench.watch(live, ENDED)
    assert bench.outcome(live[0].job).cause is Cause.SUCCESS and seen.node != node
    assert len(bench.layout.executions(live[0].job, 1)) == 2


def test_a_node_failure_without_requeue_has_ended(bench: Bench, cluster: Cluster) -> None:
    live = bench.start(1, "sleep 30", slurm={"requeue": False})
    [seen] = bench.watch(live, RUNNING)
    assert seen.node is not None
    cluster.set_node_down(seen.node, "test")
    [seen] = bench.watch(live, ENDED)
    cluster.resume_node(str(seen.node))
    assert seen.cause is Cause.NODE_FAILURE and "NODE_FAIL" in seen.evidence[0]


def test_a_killed_worker_and_one_over_its_memory(bench: Bench) -> None:
    killed = bench.start(1, "kill -9 $PPID; sleep 5")
    hungry = bench.start(1, f"{sys.executable} -c \"x = b'x' * 10**9; import time; time.sleep(20)\"")
    seen = bench.watch(killed + hungry, ENDED)
    assert [item.cause for item in seen] == [Cause.KILLED, Cause.OUT_OF_MEMORY]
    assert "memory limit" in seen[1].evidence[-1]


def test_a_setup_line_that_fails_is_a_launch_failure(bench: Bench) -> None:
    live = bench.start(1, "true", setup=["test -d /no/such/mount"])
    [seen] = bench.watch(live, ENDED)
    assert seen.cause is Cause.LAUNCH_FAILURE
    assert seen.evidence[-1] == "orch: setup line failed: test -d /no/such/mount"


def test_a_time_limit_reaches_the_worker_and_it_requeues_itself(bench: Bench) -> None:
    live = bench.start(
        1,
        "trap 'exit 0' TERM; while :; do sleep 0.1; done",
        resources=Resources(cpus=1, memory_mb=400, gpus=0, minutes=1),
    )
    bench.watch(live, RUNNING)
    bench.wait_started(live)
    # Not waiting a whole minute: this is the signal that SLURM sends before the limit.
    bench.backend.commands.ask(["scancel", "--signal=USR2", str(live[0].native_id)])
    [seen] = bench.watch(live, PENDING)
    assert seen.restarts == 1 and seen.previous is None  # nobody is to blame
    assert read_json(bench.layout.executions(live[0].job, 1)[0] / "outcome.json", Outcome) is not None
    bench.backend.cancel(live)
    bench.watch(live, all_in(Phase.ENDED, Phase.ABSENT))


def test_bad_nodes_are_kept_from_waiting_tasks(bench: Bench, cluster: Cluster) -> None:
    blockers = bench.start(4, "sleep 60", resources=Resources(cpus=8, memory_mb=400, minutes=5))
    bench.watch(blockers, RUNNING)
    live = bench.start(5, "true", slurm={"exclude": "node[2]"})
    bench.watch(live, PENDING)
    bench.backend.avoid(live + blockers, frozenset({"node1", "gone"}))

    def excluded() -> set[str]:
        return set(cluster.run("squeue", "-h", "-r", "-o", "%x", "--name", live[0].token).stdout.split())

    assert excluded() == {"node[1-2]"}
    counts = dict(bench.backend.commands.counts)
    bench.backend.avoid(live + blockers, frozenset({"node1", "gone"}))
    assert dict(bench.backend.commands.counts) == counts
    bench.backend.avoid(live + blockers, frozenset())
    assert excluded() == {"node2"}
    bench.backend.avoid(live + blockers, frozenset({"node3"}))
    bench.backend.cancel(blockers)
    seen = bench.watch(live, ENDED)
    assert {item.node for item in seen} <= {"node1", "node4"}


def test_cancelling_single_waiting_tasks_running_ones_and_whole_arrays(bench: Bench) -> None:
    live = bench.start(
        3, "sleep 60", slurm={"nodelist": "node1"}, resources=Resources(cpus=8, memory_mb=400, minutes=5)
    )
    seen = bench.watch(live, lambda seen: [item.phase for item in seen].count(Phase.RUNNING) == 1)
    running = next(attempt for attempt, item in zip(live, seen, strict=True) if item.phase is Phase.RUNNING)
    waiting, other = [attempt for attempt in live if attempt is not running]
    bench.backend.cancel([waiting])
    seen = bench.watch([waiting, running, other], lambda seen: seen[0].phase is Phase.ABSENT)
    assert seen[1].phase is Phase.RUNNING and seen[2].phase is Phase.PENDING
    bench.backend.cancel([running, other, waiting])
    seen = bench.watch([running, other], all_in(Phase.ENDED, Phase.ABSENT))
    assert seen[0].cause is Cause.CANCELLED
    bench.watch([running], lambda seen: f"by uid {os.getuid()}" in seen[0].evidence[0], timeout=20)


def test_a_submitter_killed_before_and_after_sbatch(bench: Bench) -> None:
    """Crash points: before sbatch nothing is found; after it the job is found by its name, and runs without help."""
    before = bench.submission(2, "true")
    assert bench.backend.find([before]) == {}
    after = bench.submission(2, "true")
    code = (
        "import os, pickle, signal, sys\n"
        "from slurm import sbatch\n"
        "from slurm.slurm_backend import SlurmBackend\n"
        "submission, layout = pickle.load(sys.stdin.buffer)\n"
        "sbatch.Executor._get_job_id_from_submission_command = staticmethod(lambda text: os.kill(os.getpid(), 9))\n"
        "SlurmBackend(layout).launch(submission)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps((after, bench.layout)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    found = bench.backend.find([before, after])
    assert list(found) == [after.token]
    live = bench.live(after, found[after.token])
    bench.watch(live, ENDED)
    assert [bench.outcome(attempt.job).cause for attempt in live] == [Cause.SUCCESS] * 2
    assert SlurmBackend(bench.layout).find([after]) == found


def test_what_slurm_refuses_and_a_controller_that_is_away(bench: Bench, cluster: Cluster) -> None:
    for options, words in (
        ({"partition": "nowhere"}, "nowhere"),
        ({"exclude": "node[1-4]"}, "configuration is not available"),
        ({"exclude": "unknown9"}, "Invalid node name"),
        ({"gres": "gpu:9"}, "configuration is not available"),
        ({"mem": "999G"}, "Memory specification"),
        ({"no-such-option": 1}, "no-such-option"),
    ):
        with pytest.raises(LaunchRefused, match=words):
            bench.backend.launch(bench.submission(1, "true", slurm=options))
    submission = bench.submission(1, "true")
    bench.backend.launch(Submission(**{**vars(submission), "exclude": frozenset({"gone-long-ago"})}))
    cluster.stop_controller()
    try:
        with pytest.raises(LaunchUncertain):
            bench.backend.launch(bench.submission(1, "true"))
    finally:
        cluster.start_controller()


@pytest.fixture(scope="module")
def bare(new_cluster: Callable[..., Cluster], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Without accounting, with a small array, few jobs at once, and a prolog that fails where `broken` exists."""
    prolog = tmp_path_factory.mktemp("prolog") / "prolog.sh"
    prolog.write_text('#!/bin/sh\n! test -e "${0%/*}/broken"\n')
    prolog.chmod(0o755)
    conf = {"MaxArraySize": 4, "MaxJobCount": 6, "MinJobAge": 2, "Prolog": str(prolog)}
    with new_cluster(nodes=1, accounting=False, extra_conf=conf) as cluster:
        yield cluster


def test_a_job_that_slurm_could_not_start_is_released(
    bare: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", bare.env()["SLURM_CONF"])
    bench = Bench(tmp_path / ".orch")
    broken = Path(bare.run("scontrol", "show", "config").stdout.split("Prolog ")[1].split()[1]).parent / "broken"
    broken.touch()
    live = bench.start(1, "true")
    bench.watch(live, all_in(Phase.HELD))
    broken.unlink()
    bare.resume_node("node1")
    bench.backend.avoid(live, frozenset())
    bench.watch(live, ENDED)
    assert bench.outcome(live[0].job).cause is Cause.SUCCESS


def test_without_accounting_and_under_tight_limits(bare: Cluster, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SLURM_CONF", bare.env()["SLURM_CONF"])
    bench = Bench(tmp_path / ".orch")
    bench.backend.settings = LaunchSettings(sbatch_timeout_s=5)
    assert bench.backend.machines.max_array() == 4
    queued = [QueuedJob(job=number, resources=SMALL) for number in range(10)]
    assert [len(batch.jobs) for batch in bench.backend.plan(queued, [], frozenset())] == [4, 4, 2]
    live = bench.start(4, "sleep 6")
    with pytest.raises((LimitReached, LaunchUncertain)):
        bench.backend.launch(bench.submission(4, "true"))
    bench.watch(live, RUNNING)
    seen = bench.watch(live, all_in(Phase.ENDED, Phase.ABSENT))
    assert all(item.cause in (None, Cause.KILLED) for item in seen)
    time.sleep(3)
    bench.watch(live, all_in(Phase.ABSENT), timeout=60)
    assert bench.backend.commands.counts["sacct"] == 1
    assert [bench.outcome(attempt.job).cause for attempt in live] == [Cause.SUCCESS] * 4


@pytest.fixture(scope="module")
def strict(new_cluster: Callable[..., Cluster]) -> Iterator[Cluster]:
    """Forgets ended jobs after seconds, and takes no more than five jobs of this user."""
    conf = {"MinJobAge": 2, "AccountingStorageEnforce": "limits"}
    user = getpass.getuser()
    with new_cluster(nodes=1, extra_conf=conf) as cluster:
        cluster.run("sacctmgr", "-i", "add", "account", "team")
        cluster.run("sacctmgr", "-i", "add", "user", user, "account=team", "defaultaccount=team")
        cluster.run("sacctmgr", "-i", "modify", "user", user, "where", "account=team", "set", "maxsubmitjobs=5")
        yield cluster


def test_submit_limits_and_what_the_records_say_of_forgotten_jobs(
    strict: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", strict.env()["SLURM_CONF"])
    bench = Bench(tmp_path / ".orch")
    account = {"account": "team"}
    queued = [QueuedJob(job=number, resources=SMALL) for number in range(20)]
    sizes = []
    accepted: list[LiveAttempt] = []
    while batches := bench.backend.plan(queued, accepted, frozenset()):
        room = sum(len(batch.jobs) for batch in batches)
        sizes.append(room)
        try:
            accepted += bench.start(room, "sleep 8", slurm=account)
        except LimitReached as error:
            assert "SubmitJobLimit" in str(error) or "job submit limit" in str(error)
        assert len(sizes) < 12
    assert len(accepted) == 5
    findings = probe(bench.backend.commands)
    assert findings.limits["MaxSubmit of account team"] == 5 and findings.limits_enforced
    seen = bench.watch(accepted, ENDED)
    deadline = time.monotonic() + 90
    while strict.run("squeue", "-h", "-t", "all").stdout.strip():
        assert time.monotonic() < deadline
        time.sleep(0.5)
    bench.backend.commands.counts.clear()
    again = bench.watch(accepted, ENDED)
    assert [item.cause for item in again] == [item.cause for item in seen]
    assert all("sacct: job" in item.evidence[0] for item in again)
    assert bench.backend.commands.counts["sacct"] == bench.backend.commands.counts["squeue"]
    strict.stop_accounting()
    assert bench.backend.observe(accepted) == {}
    strict.start_accounting()


def test_a_job_held_by_a_person_says_so(bench: Bench) -> None:
    live = bench.start(1, "sleep 30")
    bench.watch(live, RUNNING)
    bench.backend.commands.ask(["scontrol", "requeuehold", str(live[0].native_id)])
    [seen] = bench.watch(live, all_in(Phase.HELD))
    assert "scontrol release" in seen.reason
    bench.backend.avoid(live, frozenset())
    assert bench.backend.observe(live)[live[0].key].phase is Phase.HELD
    bench.backend.cancel(live)
    bench.watch(live, all_in(Phase.ENDED, Phase.ABSENT))


def test_what_doctor_asks(bench: Bench, cluster: Cluster) -> None:
    found = probe()
    assert found.installed and found.accounting and found.requeue and not found.errors
    assert found.controller and found.client == found.controller
    assert (found.max_array, found.max_jobs, found.min_job_age_s) == (10001, 20000, 300)
    main = next(partition for partition in found.partitions if partition.name == "main")
    assert (main.nodes, main.usable, main.gpus, main.default) == (4, 4, 16, True)
    cluster.stop_controller()
    try:
        away = probe(Commands(timeout_s=6))
    finally:
        cluster.start_controller()
    assert away.installed and away.controller is None and "controller" in away.errors


@pytest.mark.parametrize("partition", ["abrupt", "cancel"])
def test_preemption_is_told_apart_from_a_failure(bench: Bench, partition: str) -> None:
    """By SLURM's record; or by the worker's own, where SLURM warned it in time, so that it requeued itself."""
    whole = Resources(cpus=8, memory_mb=400, minutes=5)
    live = bench.start(1, "sleep 60", resources=whole, slurm={"partition": partition, "nodelist": "node2"})
    bench.watch(live, RUNNING)
    bench.wait_started(live)
    first = bench.start(1, "sleep 20", resources=whole, slurm={"partition": "high", "nodelist": "node2"})
    told: list[Observation] = []

    def seen_it(seen: list[Observation]) -> bool:
        told.extend(item.previous or item for item in seen if item.cause or item.previous)
        return bool(told or seen[0].restarts) and seen[0].phase is not Phase.COMPLETING

    bench.watch(live, seen_it)
    own = read_json(bench.layout.executions(live[0].job, 1)[0] / "outcome.json", Outcome)
    causes = [item.cause for item in told] or [own.cause if own else None]
    assert set(causes) == {Cause.PREEMPTED}
    bench.backend.cancel(first + live)
    bench.watch(first + live, all_in(Phase.ENDED, Phase.ABSENT))
