"""Which of SLURM's jobs are cancelled when a store is made anew of its mirror: those of the lost one alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm.cluster.commands import CommandFailed, Commands
from slurm.cluster.strays import end_strays, of_folder

ROOT = "/srv/lab/mai/my project/.orch"


def shown(root: str, token: str) -> str:
    """As `scontrol -o show job` of SLURM 22.05 printed it, shortened."""
    place = f"{root}/runs/submissions/{token}/submitit"
    return (
        f"JobId=2 ArrayJobId=1 ArrayTaskId=0 JobName={token} UserId=mai(2001) JobState=RUNNING NodeList=tanuki "
        f"Command={place}/.submission_file_4a400c.sh WorkDir={PurePosixPath(root).parent} StdErr={place}/1_0_0_log.out "
        f"StdIn=/dev/null StdOut={place}/1_0_0_log.out Power= \n"
    )


class Slurm(Commands):
    """Answers as a cluster with these jobs: (id, task, state, name) → the store that it prints into, None: it left."""

    def __init__(self, jobs: dict[tuple[str, str, str, str], str | None], silent: str = "") -> None:
        super().__init__()
        self.jobs, self.silent = jobs, silent
        self.cancelled: list[str] = []

    def ask(self, argv: Sequence[str], *_: object, **__: object) -> str:
        if argv[0] == self.silent:
            raise CommandFailed(argv[0], "", None)
        if argv[0] == "squeue":
            return "".join(f"{job}|{task}|{state}|0|0|n1|None|{name}\n" for job, task, state, name in self.jobs)
        if argv[0] == "scancel":
            self.cancelled += argv[1:]
            return ""
        root, name = next((root, key[3]) for key, root in self.jobs.items() if key[0] == argv[-1])
        if root is None:
            raise CommandFailed("scontrol", "slurm_load_jobs error: Invalid job id specified", 1)
        return shown(root, name)


def test_only_the_lost_stores_own_jobs_that_nobody_knows_are_cancelled() -> None:
    slurm = Slurm(
        {
            ("1", "0", "RUNNING", "orch-lost"): ROOT,
            ("1", "1", "PENDING", "orch-lost"): ROOT,
            ("2", "N/A", "RUNNING", "orch-known"): ROOT,
            ("3", "N/A", "RUNNING", "orch-others"): "/srv/lab/ren/.orch",
            ("4", "N/A", "RUNNING", "orch-longer"): f"{ROOT}2",
            ("5", "N/A", "COMPLETED", "orch-over"): ROOT,
            ("6", "N/A", "RUNNING", "no-orch"): ROOT,
            ("7", "N/A", "RUNNING", "orch-left"): None,
            ("8", "N/A", "RUNNING", "orch-lost-too"): ROOT,
        }
    )
    assert end_strays(f"{ROOT}/", {"orch-known"}, slurm) == ("1", "8")
    assert slurm.cancelled == ["1", "8"]


@pytest.mark.parametrize("silent", ["squeue", "scontrol", "scancel"])
def test_a_slurm_that_is_silent_keeps_no_store_from_being_made(silent: str) -> None:
    slurm = Slurm({("1", "N/A", "RUNNING", "orch-lost"): ROOT}, silent)
    assert end_strays(ROOT, (), slurm) == ()
    assert slurm.cancelled == []


@given(st.text(max_size=300))
def test_whatever_scontrol_prints_is_of_the_folder_or_not(text: str) -> None:
    inside = f"StdOut={ROOT}/runs/submissions/"
    assert of_folder(text, ROOT) <= (inside in text)
    assert of_folder(f"{shown(ROOT, 'orch-a')}{text}", ROOT), "the first of an array stands for all"
