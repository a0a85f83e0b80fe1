"""A real sshd on loopback, with keys, a port and a configuration of its own, and an `ssh` that knows it."""

from __future__ import annotations

import contextlib
import getpass
import shutil
import socket
import subprocess
from pathlib import Path

from tests.helpers.cli import until


class Server:
    """The host `tanuki`: this machine, by ssh. Put `bin` first on PATH."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        shutil.copy(folder / "user.pub", folder / "authorized")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {folder}/host\nPidFile {folder}/pid\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "PermitRootLogin prohibit-password\n"
        )
        key = (folder / "host.pub").read_text().split()
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {key[0]} {key[1]}\n")
        (folder / "ssh_config").write_text(
            f"Host tanuki\n HostName 127.0.0.1\n Port {self.port}\n User {getpass.getuser()}\n"
            f" IdentityFile {folder}/user\n IdentitiesOnly yes\n UserKnownHostsFile {folder}/known\n"
            " StrictHostKeyChecking yes\n"
        )
        ssh = self.bin / "ssh"
        ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F "{folder}/ssh_config" "$@"\n')
        ssh.chmod(0o755)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with contextlib.suppress(PermissionError):
            Path("/run/sshd").mkdir(exist_ok=True)  # its privilege separation wants it where it is root
        program = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")
        assert program is not None, "openssh-server is not installed: make packages"
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", str(self.folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("ab"),
        )
        until(lambda: self.answers(), f"sshd\n{(self.folder / 'log').read_text()}", 20)
        return process

    def answers(self) -> bool:
        done = subprocess.run([self.bin / "ssh", "tanuki", "true"], capture_output=True, stdin=subprocess.DEVNULL)
        return done.returncode == 0

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
