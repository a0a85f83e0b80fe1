"""The order of a program's environment, and who decides the number of threads."""

from __future__ import annotations

from jobs.node.environment import compose

SHELL = {"HOME": "/h", "PATH": "/bin", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "STRAY": "x"}
KEPT = {"PATH": "/mine", "OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3"}


def test_a_local_slot_decides_the_threads() -> None:
    made = compose(SHELL | {"SUBMITIT_EXECUTOR": "local"}, KEPT, None, {}, {})
    assert made == {"HOME": "/h", "PATH": "/mine", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def test_on_slurm_the_shell_that_started_the_supervisor_decides_no_threads() -> None:
    here = SHELL | {"SUBMITIT_EXECUTOR": "slurm"}
    assert compose(here, KEPT, None, {}, {}) == {"HOME": "/h", **KEPT}
    assert compose(here, {}, None, {}, {}) == {"HOME": "/h"}, "the submitter had none"


def test_setup_wins_over_what_was_kept_and_env_over_both() -> None:
    here = SHELL | {"SUBMITIT_EXECUTOR": "slurm", "OMP_NUM_THREADS": "5", "PATH": "/setup:/bin", "FOO": "setup"}
    made = compose(here, KEPT | {"FOO": "kept", "HOME": "/other"}, SHELL | {"SUBMITIT_EXECUTOR": "slurm"}, {}, {})
    assert (made["OMP_NUM_THREADS"], made["MKL_NUM_THREADS"], made["FOO"]) == ("5", "3", "setup")
    assert made["PATH"] == "/setup:/mine"
    assert compose(here, KEPT, SHELL, {"OMP_NUM_THREADS": "4"}, {})["OMP_NUM_THREADS"] == "4"
