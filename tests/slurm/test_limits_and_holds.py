"""What a real SLURM refuses, holds or never starts: limits, absent controllers, no accounting, held jobs."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.words import Cause
from slurm.backend import (
    LaunchRefused,
    LaunchUncertain,
    LimitReached,
    LiveAttempt,
    Phase,
    QueuedJob,
    Submission,
)
from slurm.cluster.commands import Commands
from slurm.cluster.probe import probe
from slurm.cluster.sbatch import LaunchSettings
from slurm.testcluster import Cluster
from tests.helpers.launching import native_id
from tests.slurm.bench import ENDED, RUNNING, SMALL, Bench, all_in


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
            native_id(bench.backend.launch(bench.submission(1, "true", slurm=options)))
    submission = bench.submission(1, "true")
    native_id(bench.backend.launch(Submission(**{**vars(submission), "exclude": frozenset({"gone-long-ago"})})))
    cluster.stop_controller()
    try:
        with pytest.raises(LaunchUncertain):
            native_id(bench.backend.launch(bench.submission(1, "true")))
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
        native_id(bench.backend.launch(bench.submission(4, "true")))
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


def test_options_that_change_how_a_job_starts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the caller's environment, a node alone, a GPU, text with quotes: the job starts and succeeds."""
    monkeypatch.setenv("ORCH_TEST_SECRET", "of the caller")
    options: list[dict[str, Any]] = [
        {"slurm": {"export": "NONE"}},
        {"slurm": {"export": "NONE"}, "checkpoints": False},
        {"slurm": {"export": "NIL"}},
        {"slurm": {"export": "HOME,SLURM_CONF"}},
        {"slurm": {"exclusive": True, "export": "NONE", "comment": 'it\'s "two" #words', "nice": True}},
        {"slurm": {"gres": "gpu:1", "export": "NONE", "hint": "nomultithread"}},
    ]
    kept = 'test -z "$ORCH_TEST_SECRET" && test -n "$ORCH_SEED"'
    live = [attempt for more in options for attempt in bench.start(1, kept, **more)]
    bench.watch(live, ENDED, timeout=120)
    assert [(bench.outcome(attempt.job).cause, bench.outcome(attempt.job).error) for attempt in live] == [
        (Cause.SUCCESS, None)
    ] * len(live)
