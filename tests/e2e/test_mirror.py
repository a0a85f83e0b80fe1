"""A mirror by ssh, beside a supervisor, on a full disk; and rounds that hang, or are killed in the middle."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.files import read_json
from orchestrator.mirroring.control import Complete
from tests.helpers.cli import Orch, alive, until
from tests.helpers.smalldisk import run_on_small_disk
from tests.helpers.sshd import Server

LONG = 300.0
"""Seconds: a round by ssh calls rsync nine times, which takes minutes on a host with twenty others' processes."""
QUICK = "import json, os; json.dump({'acc': 93}, open(os.environ['ORCH_RESULT'], 'w'))"


@pytest.fixture
def tanuki(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "sshd")
    yield server
    server.stop()


def mirrors(orch: Orch, place: str, *more: str) -> None:
    lines = "\n".join(["[store]", f'mirror = "{place}"', *more])
    (orch.folder / "orch.toml").write_text(f"{lines}\n")


def refused(orch: Orch, *arguments: str) -> str:
    done = orch.call(*arguments, timeout=LONG)
    said = done.stderr.replace("waiting for the end of the round that is under way\n", "")  # of the refused one before
    assert (done.returncode, done.stdout, said.count("\n")) == (2, "", 1), done
    return said


def test_by_ssh_the_supervisor_mirrors_and_another_folder_is_made_of_it(orch: Orch, tanuki: Server) -> None:
    orch.environment["PATH"] = f"{tanuki.bin}:{orch.environment['PATH']}"
    there = orch.folder / "of tanuki"
    mirrors(orch, f"tanuki:{there}/")
    orch("submit", "command", "--seeds", "3", "--wait", "--", sys.executable, "-c", QUICK)
    until(lambda: orch.json("mirror")["behind"] == 0 and not orch.supervisor(), "the supervisor's last round", LONG)
    age = orch.json("mirror")
    assert (age["place"], age["wrong"], age["warning"]) == (f"tanuki:{there}", "", None)
    assert "is sound" in orch("mirror", "--check", timeout=LONG)
    assert f"mirror tanuki:{there} (complete" in orch("status")
    shutil.rmtree(orch.layout.root)
    orch("rebuild", "--from", f"tanuki:{there}", timeout=LONG)
    assert orch.states() == ["succeeded"] * 3
    orch("supervise", "--until-idle", timeout=LONG)
    orch.check()

    orch.rest()  # it may be in the middle of a round
    tanuki.stop()
    said = refused(orch, "mirror", "--now")
    assert "tanuki cannot be reached by ssh" in said
    orch("submit", "command", "--seeds", "4", "--wait", "--", sys.executable, "-c", QUICK)
    assert "tanuki cannot be reached by ssh" in " ".join(orch("status").split())
    assert "tanuki cannot be reached by ssh" in orch.json("status")["mirror"]["warning"]
    assert "tanuki cannot be reached by ssh" in refused(orch, "rebuild", "--from", "tanuki:x", "--store", "new/.orch")
    tanuki.process = tanuki._start()
    (tanuki.folder / "authorized").write_text("")
    assert "Permission denied" in refused(orch, "mirror", "--now")
    (tanuki.folder / "known").write_text("")
    assert "ost key" in refused(orch, "mirror", "--now"), "whichever of ssh's lines comes last"


def test_a_round_that_hangs_delays_nobody_and_ends_with_a_killed_supervisor(orch: Orch) -> None:
    fake = orch.folder / "bin" / "rsync"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho $$ >> "{orch.folder}/hanging"\nexec sleep 1000\n')
    fake.chmod(0o755)
    orch.environment["PATH"] = f"{fake.parent}:{orch.environment['PATH']}"
    orch.environment["ORCH_IDLE_MINUTES"] = "5"
    mirrors(orch, str(orch.folder / "mirror"))
    orch.submit_gate(2)
    orch.open_gate()
    until(lambda: orch.states() == ["succeeded"] * 2, "the jobs, though the mirror does not answer")
    hanging = [int(line) for line in (orch.folder / "hanging").read_text().split()]
    assert [alive(pid) for pid in hanging] == [True]
    orch.kill_supervisor()
    until(lambda: not list(orch.processes()), "the end of all that it started", 20)


def test_a_round_that_is_killed_in_the_middle_leaves_the_one_before(orch: Orch) -> None:
    """First rsync, then the supervisor, while a large file is on its way."""
    mirror = orch.folder / "mirror"
    mirrors(orch, str(mirror), 'mirror_limit = "300K"')
    orch.environment["ORCH_IDLE_MINUTES"] = "5"
    text = (
        "import os, pathlib, time, json; here = pathlib.Path(os.environ['ORCH_CHECKPOINT_DIR']); "
        "go = pathlib.Path(os.environ['ORCH_STUDY_CWD'], 'go')\n"
        "while not go.exists(): time.sleep(0.1)\n"
        "(here / 'x').write_bytes(os.urandom(4_000_000)); os.replace(here / 'x', here / 'model.pt')\n"
        "while not go.with_name('end').exists(): time.sleep(0.1)\n"
        "json.dump({'acc': 1}, open(os.environ['ORCH_RESULT'], 'w'))"
    )
    orch("submit", "command", "--seeds", "1", "--", sys.executable, "-c", text)
    orch.worker(1)
    orch("mirror", "--now")
    before = read_json(mirror / "complete.json", Complete)
    orch.open_gate()
    until(lambda: list(orch.layout.runs.glob("0/1/1/*/checkpoints/model.pt")), "the checkpoint")
    for victim in ("rsync", "mirror --now"):
        round_ = orch.popen("mirror", "--now")
        until(lambda: sizes(mirror) > 100_000, "a large file on its way", 30)
        (pid,) = [pid for pid in orch.processes() if command_of(pid).startswith("rsync")][:1] or [0]
        os.kill(pid if victim == "rsync" else round_.pid, signal.SIGKILL)
        round_.communicate(timeout=30)
        until(lambda: not [p for p in orch.processes() if "rsync" in command_of(p)], "the end of rsync", 20)
        assert read_json(mirror / "complete.json", Complete) == before
        mirrors(orch, str(mirror))
        made = orch.folder / victim.replace(" ", "")
        shutil.copytree(mirror, orch.folder / f"copy of {victim}")
        orch("rebuild", "--from", f"copy of {victim}", "--store", str(made))
        mirrors(orch, str(mirror), 'mirror_limit = "300K"')
    mirrors(orch, str(mirror))
    orch("mirror", "--now")
    assert list((mirror / ".incoming").iterdir()) == []
    assert [path.stat().st_size for path in mirror.rglob("model.pt")] == [4_000_000]
    (orch.folder / "end").touch()
    orch.finish()


def sizes(mirror: Path) -> int:
    """Bytes on their way; rsync renames what has arrived while one looks."""
    total = 0
    for path in (mirror / ".incoming").iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def command_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return ""
    return " ".join([Path(words[0]).name, *words[1:]])


FULL = """
import shutil, sys, tempfile
from tests.helpers.cli import Orch
home = Path(tempfile.mkdtemp())
orch = Orch(home)
(home / "orch.toml").write_text(f'[store]\\nmirror = "{FOLDER}"\\n')
program = "import json, os, sys; open(os.environ['ORCH_OUT'] + '/big', 'wb').write(b'x' * int(sys.argv[2])); "
program += "json.dump({'acc': 93}, open(os.environ['ORCH_RESULT'], 'w'))"
words = ("submit", "command", "--seeds", "1", "--no-start", "--", sys.executable, "-c", program, "{seed}")
orch(*words, "10")
orch.finish()
orch("mirror", "--now")
orch(*words, "9000000")
orch("submit", "command", "--seeds", "1", "--after", "2", "--no-start", "--", "false")
orch("supervise", "--until-idle", code=1)
orch.check()
print(orch.states())
done = orch.call("mirror", "--now")
assert done.returncode == 2, done
print(done.stderr.splitlines()[-1])
print("is full" in " ".join(orch("status").split()))
shutil.rmtree(orch.layout.root)
orch("rebuild", "--from", str(FOLDER))
print(orch.job(1).state, orch.rows("SELECT metrics FROM result WHERE job_id = 1"))
shutil.rmtree(home)
"""


def test_a_full_mirror_keeps_its_last_round_and_harms_nothing(tmp_path: Path) -> None:
    states, said, warned, kept = run_on_small_disk(tmp_path, FULL, size="4m").splitlines()
    assert states == "['succeeded', 'succeeded', 'failed']"
    assert "is full: make room there" in said and warned == "True"
    assert kept.startswith("succeeded ") and "93" in kept
