"""Life cycles on a real cluster: launch, dying nodes, kills, time limits, cancelling, adoption, preemption."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time

import pytest

from jobs.files import read_json
from jobs.records import Outcome, Started
from jobs.resources import Resources
from jobs.words import Cause
from slurm.backend import (
    LiveAttempt,
    Observation,
    Phase,
)
from slurm.cluster.backend import SlurmBackend
from slurm.testcluster import Cluster
from tests.helpers.contract import exercise_backend
from tests.slurm.bench import ENDED, PENDING, RUNNING, Bench, all_in


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
        "import os, pickle, signal, sys, time\n"
        "from slurm.cluster import sbatch\n"
        "from slurm.cluster.backend import SlurmBackend\n"
        "submission, layout = pickle.load(sys.stdin.buffer)\n"
        "sbatch.Executor._get_job_id_from_submission_command = staticmethod(lambda text: os.kill(os.getpid(), 9))\n"
        "launch = SlurmBackend(layout).launch(submission)\n"
        "while launch.poll() is None:\n"
        "    time.sleep(0.01)\n"
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


def test_the_slurm_backend_keeps_the_contract(bench: Bench) -> None:
    exercise_backend(
        bench.backend,
        lambda lasts: bench.submission(1, "sleep 300" if lasts else "true"),
        lambda: time.sleep(0.2),
    )
