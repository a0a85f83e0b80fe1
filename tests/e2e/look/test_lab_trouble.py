"""What the commands that look say of a lab whose controller is out of reach."""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path

import msgspec
import pytest

from slurm.lab import record
from slurm.lab.record import Lab, Member
from tests.helpers.filled import Filled
from tests.helpers.look import Orch, Said

FIRST, SECOND = "127.0.0.41", "127.0.0.42"


@pytest.fixture
def port() -> int:
    with socket.create_server((FIRST, 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def lab(filled: Filled, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab of two hosts that is meant to run; nobody listens on either."""
    for name in ("SLURM_CONF", "PATH"):  # set by each command for itself, and all are one process here
        monkeypatch.setenv(name, "" if name == "SLURM_CONF" else os.environ[name])
    folder = tmp_path / ".orch/lab"
    members = tuple(
        Member(
            name=name,
            node=name,
            hostname=name,
            address=address,
            cores=2,
            memory_mb=4000,
            slurm="22.05.8",
            system="debian-12",
        )
        for name, address in (("usagi", FIRST), ("tanuki", SECOND))
    )
    made = Lab(format=1, id="a1b2c3", folder=str(folder), user="mai", uid=1, port=port, members=members, up=True)
    made.state.mkdir(parents=True)
    record.save(made)
    filled.submit(backend="slurm")
    return made


def heartbeat(lab: Lab, controller: int) -> None:
    (lab.state / "heartbeat").write_bytes(struct.pack("!QQ", int(time.time()), controller))


def test_a_controller_that_is_cut_off_while_its_backup_stands_by(orch: Orch, lab: Lab) -> None:
    heartbeat(lab, 0)
    with socket.create_server((SECOND, lab.port)):
        for words in (("status",), ("explain", "1")):
            said = " ".join(orch(*words).out.split())
            assert "the lab's controller on usagi is cut off" in said, said
            assert "the backup on tanuki stays in standby" in said and "mend the network of usagi" in said


def test_a_backup_that_has_taken_over_is_no_trouble(orch: Orch, lab: Lab) -> None:
    heartbeat(lab, 1)
    with socket.create_server((SECOND, lab.port)):
        for words in (("status",), ("explain", "1")):
            assert "controller" not in orch(*words).out


def test_a_submit_on_a_host_that_is_none_of_the_labs(
    orch: Orch, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.slurm_conf.write_text("")
    sbatch = tmp_path / "bin/sbatch"
    sbatch.parent.mkdir()
    sbatch.touch(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}{os.pathsep}{os.environ['PATH']}")
    here = socket.gethostname().partition(".")[0]

    def submit(*words: str) -> Said:
        return orch("submit", "command", "--no-start", "--code", "live", "--json", *words, "--", "true")

    for words in ((), ("--backend", "slurm")):
        said = submit(*words).refused()
        assert said.startswith(f"this host, {here}, is none of the lab's (usagi, tanuki)") and "`orch lab add" in said
    assert submit("--backend", "local").json()["created"] == [2]
    ours = msgspec.structs.replace(lab.members[0], hostname=here)
    record.save(msgspec.structs.replace(lab, members=(ours, lab.members[1])))
    assert submit("--seed-list", "1").json()["created"] == [3]


def test_no_controller_at_all(orch: Orch, lab: Lab) -> None:
    for words in (("status",), ("explain", "1")):
        said = " ".join(orch(*words).out.split())
        assert "the lab's controller on usagi cannot be reached, nor its backup on tanuki: `orch lab up`" in said
    record.file_of(lab.place).unlink()
    assert "controller" not in orch("status").out
