"""A slurmctld that runs and takes no connections is told from one that works, where it runs and by whoever asks."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.views.lab import render
from slurm.lab import agent, crew
from slurm.lab.agent import Here
from slurm.lab.examining import examine
from slurm.lab.orders import Answer, LabOrder
from slurm.lab.record import FORMAT, Lab, Member
from slurm.lab.standing import HostStanding, Standing
from slurm.lab.station import CONTROLLER


@pytest.fixture
def port() -> int:
    with socket.create_server(("", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def lab(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Of usagi and its backup tanuki."""
    monkeypatch.setattr(Lab, "runtime", tmp_path / "runtime")
    members = tuple(
        Member(
            name=name,
            node=name,
            hostname=name,
            address="127.0.0.1",
            cores=2,
            memory_mb=4000,
            slurm="22.05.8",
            system="debian-12",
        )
        for name in ("usagi", "tanuki")
    )
    return Lab(format=FORMAT, id="a1", folder=str(tmp_path), user="mai", uid=1, port=port, members=members, up=True)


@pytest.fixture
def here(lab: Lab) -> Iterator[Here]:
    """tanuki, where a slurmctld runs that has no port."""
    found = Here(LabOrder(lab=lab, name="tanuki"))
    for folder in (found.station.places.pids, found.station.places.logs):
        folder.mkdir(parents=True)
    found.station.daemons.start(CONTROLLER, ["sleep", "100"], {"PATH": "/usr/bin:/bin"})
    yield found
    found.station.daemons.kill([CONTROLLER])


def test_a_host_says_whether_its_controller_takes_connections(here: Here, port: int) -> None:
    assert here.state() == Answer(running=(CONTROLLER,), deaf=True) == here.reach()
    with socket.create_server(("", port)):
        assert here.state() == Answer(running=(CONTROLLER,))
    here.station.daemons.kill([CONTROLLER])
    assert here.state() == Answer()


def test_one_that_ended_itself_as_two_were_in_charge_says_so(here: Here) -> None:
    """As SLURM 22.05's backup did when the controller's host saw the shared folder again."""
    log = here.lab.logs / "slurmctld.log"
    last = "fatal: Two slurmctld daemons are running as primary. Shutting down this daemon to avoid inconsistent state"
    log.write_text(f"[2026-11-27T12:09:04.036] {last} due to split brain.\n")
    assert here.state() == Answer(running=(CONTROLLER,), deaf=True), "it runs again"
    here.station.daemons.kill([CONTROLLER])
    assert here.state() == Answer(split=True) == here.reach()
    log.write_text(f"{last}\n[2026-11-27T12:20:00.000] Terminate signal SIGINT or SIGTERM received\n")
    assert here.state() == Answer()


def test_one_that_is_deaf_for_longer_than_a_start_takes_is_started_anew(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "DEAF_S", 0.2)
    monkeypatch.setattr(Here, "_prepare", lambda self: None)
    monkeypatch.setattr(here.station, "start_munge", lambda: None)
    monkeypatch.setattr(here.station, "start_node", lambda node: here.station.start(node, "sleep", "100"))
    monkeypatch.setattr(here.station, "start_controller", lambda: here.station.start(CONTROLLER, "sleep", "100"))
    before = here.station.daemons.get(CONTROLLER)
    try:
        here.start()
        after = here.station.daemons.get(CONTROLLER)
        assert before is not None and after is not None and not before.is_alive() and after != before
    finally:
        here.station.daemons.kill(["tanuki"])


def test_status_names_it_and_the_mend() -> None:
    host = HostStanding(
        name="tanuki", node="tanuki", role="backup", running=(CONTROLLER,), missing=(), state="idle", deaf=True
    )
    found = Standing(up=True, hosts=(host,), jobs={}, trouble="", served_by="")
    assert not found.whole and "takes no connections: 'orch lab up'" in render(found, 160).plain
    sound = replace(found, hosts=(replace(host, deaf=False),))
    assert sound.whole and "connections" not in render(sound, 160).plain
    ended = replace(host, deaf=False, running=(), missing=(CONTROLLER,), split=True)
    said = render(replace(found, hosts=(ended,)), 160).plain
    assert "slurmctld of tanuki ended itself, as it and another one were in charge at once: 'orch lab up'" in said


def test_doctor_names_it_and_blames_no_firewall(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "usagi": Answer(running=("munged", CONTROLLER, "slurmd"), unreached=(f"{CONTROLLER} of tanuki",)),
        "tanuki": Answer(running=("munged", CONTROLLER, "slurmd"), deaf=True),
    }
    monkeypatch.setattr(crew, "look", lambda *_, **__: crew.Looked())
    monkeypatch.setattr(crew, "ask", lambda verb, asked: {name: answers[name] for name in asked})
    with socket.create_server(("127.0.0.1", lab.port)):
        problems = [one.problem for one in examine(lab) if one.problem]
        answers["usagi"] = Answer(running=("munged", CONTROLLER, "slurmd"), in_charge=True)
        answers["tanuki"] = Answer(running=("munged", CONTROLLER, "slurmd"), in_charge=True)
        two = [one.problem for one in examine(lab) if one.problem]
        answers["tanuki"] = Answer(running=("munged", "slurmd"), split=True)
        ended = [one.problem for one in examine(lab) if one.problem]
    assert len(two) == 1 and "usagi and its backup tanuki are both in charge" in two[0], two
    assert len(ended) == 1 and "ended itself" in ended[0] and "`orch lab up` starts it" in ended[0], ended
    assert len(problems) == 1 and problems[0].startswith("slurmctld of tanuki runs and takes no connections"), problems
