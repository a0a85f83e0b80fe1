"""Running our own small program on a host: over ssh, or here; what goes wrong becomes one sentence with the mend."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jobs
from slurm.lab.errors import ClusterError

CONNECT_S = 10
SSH_VARIABLE = "ORCH_SSH"
"""The ssh to call with its options, as in git's GIT_SSH_COMMAND."""
_SSH_FAILED = 255


@dataclass(frozen=True)
class Host:
    """A host as a person names it."""

    name: str
    is_here: bool = False

    def call(self, verb: str, order: str, timeout_s: float) -> str:
        """What `python -m slurm.lab.agent VERB` prints there, given `order` on stdin. Raises ClusterError."""
        command = _agent(verb)
        argv = command if self.is_here else [*_ssh(), "--", self.name, shlex.join(command)]
        try:
            done = subprocess.run(
                argv, input=order, capture_output=True, text=True, errors="replace", timeout=timeout_s
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(
                f"{self.name} did not answer within {timeout_s:.0f} s: try `ssh {self.name} true`, and look whether "
                "its shared folder hangs"
            ) from None
        except FileNotFoundError:
            raise ClusterError(f"there is no {argv[0]} here: install openssh-client") from None
        if done.returncode == 0:
            return done.stdout
        if done.returncode == _SSH_FAILED and not self.is_here:
            raise Unreachable(of_ssh(self.name, done.stderr))
        raise ClusterError(of_agent(self.name, done.returncode, done.stderr, command[-4]))


class Unreachable(ClusterError):
    """A host that ssh does not reach."""


def _ssh() -> list[str]:
    given = shlex.split(os.environ.get(SSH_VARIABLE, "")) or ["ssh"]
    options = ("BatchMode=yes", f"ConnectTimeout={CONNECT_S}", "StrictHostKeyChecking=yes", "LogLevel=ERROR")
    alive = ("ServerAliveInterval=5", "ServerAliveCountMax=3", "ClearAllForwardings=yes")
    return [*given, "-x", *(word for option in (*options, *alive) for word in ("-o", option))]


def _agent(verb: str) -> list[str]:
    """Orch's own Python, which jobs need on every host as well."""
    root = str(Path(jobs.__file__).parents[1])
    return ["env", f"PYTHONPATH={root}", "PYTHONSAFEPATH=1", sys.executable, "-m", "slurm.lab.agent", verb]


def of_ssh(host: str, text: str) -> str:
    """What ssh's error means, in one sentence with the mend. Pure."""
    low = text.lower()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    if "could not resolve" in low or "name or service not known" in low:
        return f"there is no host {host}: write its name right, or give it an address in ~/.ssh/config"
    if "identification has changed" in low:
        return f"the key of {host} is another one than before: ask its administrator, then `ssh-keygen -R {host}`"
    if "host key verification failed" in low or "key is known" in low or "not known by any other names" in low:
        return f"the key of {host} is not known here: log in once with `ssh {host}`, and look at the key that it shows"
    if "permission denied" in low or "too many authentication failures" in low:
        return f"{host} asks for a password or refuses your key: `ssh-copy-id {host}` puts your key there"
    if "connection refused" in low:
        return f"{host} refuses ssh: start sshd there, or give its port in ~/.ssh/config"
    if "timed out" in low or "no route to host" in low or "unreachable" in low or "timeout" in low:
        return f"{host} does not answer to ssh ({last[:100]}): is it on, and is its network?"
    return f"ssh {host} failed: {last[:160]}"


def of_agent(host: str, code: int, text: str, python: str) -> str:
    """What it means that our program did not run there. Pure."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    missing = f"{python} is not on {host}: install orch in a folder that all hosts share, and run it from there"
    if code in (126, 127) or ("No such file or directory" in text and python in text):
        return missing
    if "No module named" in text:
        return f"orch is not whole on {host} ({last[:100]}): install it in a folder that all hosts share"
    return f"orch's program on {host} ended with {code}: {last[:200]}"
