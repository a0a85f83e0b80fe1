"""Causes by evidence, and SLURM's reasons in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.words import Cause
from slurm import causes
from slurm.cluster import reasons, states
from slurm.cluster.rows import Row


def row(state: str, exit_code: int = 0, signal: int = 0, reason: str = "") -> Row:
    return Row(job="4", task=1, name="o-aa", state=state, exit_code=exit_code, signal=signal, reason=reason, node="n1")


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ("NODE_FAIL", Cause.NODE_FAILURE),
        ("TIMEOUT", Cause.TIMEOUT),
        ("OUT_OF_MEMORY", Cause.OUT_OF_MEMORY),
        ("PREEMPTED", Cause.PREEMPTED),
        ("CANCELLED", Cause.CANCELLED),
        ("BOOT_FAIL", Cause.LAUNCH_FAILURE),
        ("DEADLINE", Cause.TIMEOUT),
    ],
)
def test_a_state_that_says_it_all(state: str, cause: Cause) -> None:
    verdict = states.judge(row(state), "Traceback (most recent call last):\nValueError: x")
    assert verdict.cause is cause
    assert verdict.evidence[0].startswith(f"squeue: job 4_1 {state}")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("slurmstepd-n1: error: Step 4.0 exceeded memory limit (900000 > 102400), being killed", Cause.OUT_OF_MEMORY),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=4.batch. Some of the step", Cause.OUT_OF_MEMORY),
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate", Cause.OUT_OF_MEMORY),
        ("slurmstepd: error: *** JOB 4 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***", Cause.TIMEOUT),
        ("slurmstepd: error: *** STEP 4.0 ON n1 CANCELLED AT 2026-01-01 DUE TO PREEMPTION ***", Cause.PREEMPTED),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", Cause.GPU_OUT_OF_MEMORY),
        ("NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus.", Cause.GPU_FAULT),
        ("RuntimeError: CUDA error: uncorrectable ECC error encountered", Cause.GPU_FAULT),
        ("torch.distributed.DistBackendError: NCCL error in: x.cpp:1, ncclSystemError: call failed", Cause.GPU_FAULT),
        ("RuntimeError: No CUDA GPUs are available", Cause.GPU_FAULT),
        ("RuntimeError: Waited for 60 seconds but could not find submitted jobs in path:", Cause.LAUNCH_FAILURE),
        ("ModuleNotFoundError: No module named 'jobs'", Cause.LAUNCH_FAILURE),
        ("orch: setup line failed: module load cuda", Cause.LAUNCH_FAILURE),
        ("srun: error: Unable to create step for job 4: Invalid node name", Cause.LAUNCH_FAILURE),
        ("srun: error: n1: task 0: Segmentation fault (core dumped)", Cause.KILLED),
        ("/var/spool/job4/slurm_script: line 20: ok\nsrun: error: n1: task 0: Killed", Cause.KILLED),
    ],
)
def test_what_was_printed_names_the_cause(text: str, cause: Cause) -> None:
    verdict = states.judge(row("FAILED", exit_code=1), f"before\n{text}\nafter")
    assert verdict.cause is cause
    assert verdict.evidence[-1] in text


def test_a_traceback_is_an_error_with_its_last_line() -> None:
    log = (
        'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    f()\nKeyError: "colour"\n'
        "srun: error: n1: task 0: Exited with exit code 1\n"
    )
    verdict = states.judge(row("FAILED", exit_code=1), log)
    assert (verdict.cause, verdict.evidence[-1]) == (Cause.ERROR, 'KeyError: "colour"')


def test_only_the_last_run_of_an_appended_log_counts() -> None:
    log = f"CUDA out of memory\n{causes.MARK} on n2, restart 1\nnothing odd\n"
    assert causes.from_log(log) is None
    assert causes.from_log(log + "Xid 79\n") == causes.Verdict(Cause.GPU_FAULT, ("Xid 79",))


@pytest.mark.parametrize(
    ("exit_code", "signal", "cause", "words"),
    [
        (9, 0, Cause.KILLED, "SIGKILL"),
        (137, 0, Cause.KILLED, "SIGKILL"),
        (0, 9, Cause.KILLED, "SIGKILL"),
        (0, 11, Cause.KILLED, "SIGSEGV"),
        (0, 53, Cause.LAUNCH_FAILURE, "output file"),
        (127, 0, Cause.LAUNCH_FAILURE, "interpreter"),
        (0, 0, Cause.KILLED, "no outcome"),
        (3, 0, Cause.ERROR, "exit code 3"),
    ],
)
def test_exit_codes_alone(exit_code: int, signal: int, cause: Cause, words: str) -> None:
    verdict = states.judge(row("FAILED", exit_code, signal))
    assert verdict.cause is cause and words in verdict.evidence[-1]


def test_a_request_that_no_node_can_satisfy_is_an_error() -> None:
    assert states.judge(row("FAILED", 1, reason="BadConstraints")).cause is Cause.ERROR


@given(st.text(), st.text(), st.integers(0, 255), st.integers(0, 127))
def test_every_ending_has_a_cause_and_evidence(state: str, log: str, exit_code: int, signal: int) -> None:
    verdict = states.judge(row(state, exit_code, signal), log)
    assert verdict.evidence and verdict.cause is not Cause.SUCCESS


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Priority", "higher priority"),
        ("AssocMaxSubmitJobLimit", "limit of its account on jobs in the queue"),
        ("QOSGrpGRES", "limit of its QOS on GPUs or other devices (shared with others)"),
        ("AssocGrpCpuLimit", "shared with others"),
        ("QOSMaxCpuPerJobLimit", "ask for less"),
        ("ReqNodeNotAvail, UnavailableNodes:node[1-3]", "node[1-3]"),
        ("launch failed requeued held", "orch releases it"),
        ("SomethingNew", "SLURM says: SomethingNew"),
    ],
)
def test_reasons_in_plain_words(reason: str, words: str) -> None:
    said = reasons.in_words(reason)
    assert words in said and reason in said


@given(st.text())
def test_any_reason_is_said(reason: str) -> None:
    assert bool(reasons.in_words(reason)) == bool(reason.strip().strip("()"))


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("module load cuda", True),
        ("source /no/such/file", True),
        ("cd /nowhere", True),
        ("frobnicate", True),
        ("test -d /data", False),
        ("! test -e /etc/broken", False),
        ("[ -d /data ]", False),
        ("/usr/bin/mountpoint /data", False),
        ("", False),
    ],
)
def test_a_check_of_the_node_is_no_wrong_setup_line(command: str, wrong: bool) -> None:
    assert causes.is_wrong_setup(causes.SETUP_FAILED + command) is wrong
    assert not causes.is_wrong_setup(command)
