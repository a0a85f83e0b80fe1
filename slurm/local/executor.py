"""Starting one local worker: submitit's pickle and command without submitit's controller, in a session of its own."""

from __future__ import annotations

import errno
import os
import shlex
import site
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from submitit.core.utils import DelayedSubmission, JobPaths
from submitit.local.local import LocalExecutor, LocalJob

import jobs
from jobs.files import file_mode, make_folder, open_private
from slurm.backend import LaunchRefused, LimitReached, Submission
from slurm.local.record import log_paths
from slurm.local.slots import slot_gpus

NEVER_TIMED_OUT = 2**31
"""Minutes: submitit's own limit is switched off, orch keeps the limit that the user set."""
_FOREIGN = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SUBMITIT_", "PMI_", "PMIX_")
_TRANSIENT = (errno.EAGAIN, errno.ENOMEM, errno.ENFILE, errno.EMFILE, errno.ENOSPC, errno.EDQUOT)


def environment(inherited: Mapping[str, str], submission: Submission) -> dict[str, str]:
    """The worker's environment: the caller's, without what would make it take itself for another job."""
    kept = {name: value for name, value in inherited.items() if not name.startswith(_FOREIGN)}
    threads = str(max(1, submission.batch.jobs[0].resources.cpus))  # the job's, not the slot's: resumption is bit-equal
    kept.update(
        SUBMITIT_EXECUTOR="local",
        SUBMITIT_LOCAL_JOB_ID=submission.token,
        SUBMITIT_LOCAL_NTASKS="1",
        SUBMITIT_LOCAL_JOB_NUM_NODES="1",
        SUBMITIT_LOCAL_NODEID="0",
        SUBMITIT_LOCAL_GLOBALID="0",
        SUBMITIT_LOCAL_LOCALID="0",
        ORCH_TOKEN=submission.token,
        ORCH_INDEX="0",
        CUDA_VISIBLE_DEVICES=",".join(slot_gpus(submission.batch.slot or "cpu:0")),
        OMP_NUM_THREADS=threads,
        MKL_NUM_THREADS=threads,
        PYTHONSAFEPATH="1",
    )
    root = str(Path(jobs.__file__).resolve().parents[1])
    if root not in site.getsitepackages():  # a source tree: workers must run this very code
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [root, kept.get("PYTHONPATH", "")]))
    return kept


class DetachedExecutor(LocalExecutor):
    """submitit's LocalExecutor for one submission.

    Other than submitit's own: the pickle is in its place before the start (nobody waits for it), there is no controller
    process (80 ms and 25 MB a job, and it dies with the terminal), no throttle, and no time-out.
    """

    def __init__(self, submission: Submission, inherited: Mapping[str, str], locks: Sequence[int]) -> None:
        super().__init__(Path("/proc/self/cwd"))  # makes this folder
        # the worker's own name of the folder it starts in: submitit takes '%j' in a path for an id
        self.folder = Path("/proc/self/cwd/submitit")
        self.submission = submission
        self.inherited = inherited
        self.locks = locks
        self.child: subprocess.Popen[bytes] | None = None

    def _internal_process_submissions(self, delayed_submissions: list[DelayedSubmission]) -> list[Any]:
        (delayed,) = delayed_submissions
        delayed.set_timeout(NEVER_TIMED_OUT, 0)
        folder = self.submission.folder / "submitit"
        pickle = folder / JobPaths(self.folder, self.submission.token, 0).submitted_pickle.name
        delayed.dump(pickle)
        pickle.chmod(file_mode(folder))
        return [self._submit_command(self._submitit_command_str)]

    def _submit_command(self, command: str) -> LocalJob[Any]:
        out, err = log_paths(self.submission.folder, self.submission.token)
        flags = os.O_WRONLY | os.O_APPEND
        with os.fdopen(open_private(out, flags), "ab") as stdout, os.fdopen(open_private(err, flags), "ab") as stderr:
            self.child = subprocess.Popen(
                shlex.split(command),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=environment(self.inherited, self.submission),
                cwd=self.submission.folder,
                start_new_session=True,
                pass_fds=tuple(self.locks),
            )
        return LocalJob(self.submission.folder, self.submission.token, process=self.child)


def start(
    submission: Submission, task: Callable[[], object], inherited: Mapping[str, str], locks: Sequence[int]
) -> subprocess.Popen[bytes]:
    """The started worker. Raises LimitReached where the host is out of something just now, else LaunchRefused."""
    try:
        make_folder(submission.folder / "submitit")  # submitit would make it by the umask
        executor = DetachedExecutor(submission, inherited, locks)
        executor.submit(task)
    except OSError as error:
        if error.errno in _TRANSIENT:
            raise LimitReached(f"this host cannot start a worker just now: {error.strerror}") from None
        raise LaunchRefused(f"a local worker cannot be started ({error}): mend that, then retry") from None
    assert executor.child is not None
    return executor.child
