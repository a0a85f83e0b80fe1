"""Running SLURM's commands: an environment of our own, a time limit, and a count of what was asked."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jobs.errors import OrchError

_OF_SLURM = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SALLOC_", "SQUEUE_", "SACCT_", "SCONTROL_", "SINFO_", "SCANCEL_")
_OF_A_LAUNCHER = ("PMI_", "PMIX_", "OMPI_", "SUBMITIT_")
_OF_A_WORKER = frozenset(
    {"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ORCH_INDEX"}
)
"""What belongs to the place where orch runs and would mislead a job elsewhere."""


BEAT_SECONDS = 0.25
"""How long a command is waited for before something else has its turn."""
IDS_AT_ONCE = 200
"""A command line holds so many."""


def chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    """In parts that one command line holds."""
    for start in range(0, len(items), IDS_AT_ONCE):
        yield items[start : start + IDS_AT_ONCE]


class CommandFailed(OrchError):
    """A command of SLURM ended with an error, or not in time."""

    def __init__(self, command: str, text: str, code: int | None) -> None:
        how = "did not answer in time" if code is None else f"ended with {code}"
        super().__init__(f"`{command}` {how}{': ' + text if text else ''}")
        self.text = text
        self.code = code


@dataclass(frozen=True)
class Reply:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


def installed() -> bool:
    """Whether this host has SLURM's client commands."""
    return all(shutil.which(name) for name in ("sbatch", "srun", "squeue", "scontrol"))


def strange_to_jobs(environment: Mapping[str, str]) -> list[str]:
    """Variables of a surrounding allocation, its launcher and its devices: a job must not inherit them."""
    return sorted(
        name
        for name in environment
        if (name.startswith((*_OF_SLURM, *_OF_A_LAUNCHER)) and name != "SLURM_CONF") or name in _OF_A_WORKER
    )


def query_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """For queries: nobody's formats and filters, whole array lists, times in UTC, messages in English."""
    clean = {
        name: value
        for name, value in environment.items()
        if name == "SLURM_CONF" or not name.startswith((*_OF_SLURM, "LC_"))
    }
    return {**clean, "SLURM_BITSTR_LEN": "0", "SLURM_TIME_FORMAT": "standard", "TZ": "UTC", "LC_ALL": "C.UTF-8"}


def nothing() -> None:
    """Wait idly."""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it with all that it started; one that even a KILL does not end at once is left to the kernel."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=BEAT_SECONDS)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


@dataclass
class Commands:
    """Runs commands, each at most `timeout_s` seconds; `counts` says how often each was asked.

    `meanwhile` is called every BEAT_SECONDS for as long as one keeps us waiting; what it raises ends the command too.
    """

    timeout_s: float = 20.0
    counts: Counter[str] = field(default_factory=Counter)
    meanwhile: Callable[[], None] = nothing

    def run(self, arguments: Sequence[str]) -> Reply:
        """Run it, whatever its exit code. Raises CommandFailed where it is missing or does not end in time."""
        self.counts[arguments[0]] += 1
        try:
            process = subprocess.Popen(
                arguments,
                env=query_environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C in a terminal is for orch, not for a command half done
            )
        except OSError as error:
            raise CommandFailed(arguments[0], str(error), 127) from None
        try:
            out, err = self._wait(process)
        except BaseException:  # Ctrl-C, a lost lease: nobody wants its answer any more
            _end(process)
            raise
        # Names of jobs may hold any bytes.
        return Reply(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))

    def _wait(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        end = time.monotonic() + self.timeout_s
        while True:
            try:
                return process.communicate(timeout=max(0.05, min(BEAT_SECONDS, end - time.monotonic())))
            except subprocess.TimeoutExpired:
                if time.monotonic() >= end:
                    name = str(process.args[0]) if isinstance(process.args, list | tuple) else str(process.args)
                    raise CommandFailed(name, f"no answer within {self.timeout_s:g} s", None) from None
            self.meanwhile()

    def ask(self, arguments: Sequence[str]) -> str:
        """What it printed. Raises CommandFailed also where it ends with an error."""
        reply = self.run(arguments)
        if reply.code:
            text = (reply.err or reply.out).strip().splitlines()
            raise CommandFailed(arguments[0], text[-1].strip() if text else "", reply.code)
        return reply.out
