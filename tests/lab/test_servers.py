"""The pretend servers themselves: what is cut is dead, what is pulled hangs, and nothing of them stays."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.servers import OTHER, SHARED, USER, Servers, servers

STORE = """
import sqlite3, sys
store = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
"""
MAKE = f"""{STORE}
store.execute("CREATE TABLE numbers (number INTEGER)")
"""
ADD = f"""{STORE}
for _ in range(15):
    store.execute("BEGIN IMMEDIATE")
    (last,) = store.execute("SELECT coalesce(max(number), 0) FROM numbers").fetchone()
    store.execute("INSERT INTO numbers VALUES (?)", (last + 1,))
    store.execute("COMMIT")
"""
COUNT = f"""{STORE}
print(*store.execute("SELECT count(*), max(number) FROM numbers").fetchone())
"""
SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=3")


@pytest.fixture(scope="module")
def lab() -> Iterator[Servers]:
    with servers(megabytes=64) as made:
        yield made


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_they_are_three_machines_of_one_plain_user(lab: Servers) -> None:
    here = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    boots = {server.run("cat", "/proc/sys/kernel/random/boot_id").strip() for server in lab}
    assert boots == {server.boot_id for server in lab} and len(boots) == 3 and here not in boots
    for server in lab:
        words = lab["usagi"].run(*SSH, server.name, "hostname; id -un; stat -c %U $HOME/.ssh; stat -c %U /srv/lab/*")
        assert words.split() == [server.name, USER, USER, USER, OTHER]
        assert server.run("ls", "/root") == "", "they do not see this machine's own folders"
    assert "Permission denied" in lab["usagi"].run("touch", f"{SHARED}/{OTHER}/x", code=1)
    assert lab["usagi"].run("orch", "--version", user=OTHER).startswith("orch, version")


def test_locks_of_the_shared_folder_hold_between_hosts(lab: Servers) -> None:
    place = str(SHARED / USER / "numbers.db")
    lab["usagi"].run(sys.executable, "-c", MAKE, place)
    adding = [server.start(sys.executable, "-c", ADD, place) for server in lab]
    assert [(process.communicate()[0], process.returncode) for process in adding] == [("", 0)] * 3
    assert lab["kitsune"].run(sys.executable, "-c", COUNT, place) == "45 45\n"


def test_a_cut_server_is_silent_and_boots_as_another(lab: Servers) -> None:
    usagi, tanuki = lab["usagi"], lab["tanuki"]
    before = tanuki.boot_id
    tanuki.run("touch", "/home/mai/kept", "/tmp/passing")
    work = tanuki.start("sleep", "1000")
    until(lambda: "sleep 1000" in tanuki.processes_of().values())
    tanuki.cut()
    assert work.wait(10) != 0
    assert "timed out" in usagi.run(*SSH, "tanuki", "true", code=255), "no word, not even a refusal"
    tanuki.boot()
    assert usagi.run(*SSH, "tanuki", "cat /proc/sys/kernel/random/boot_id").strip() == tanuki.boot_id != before
    assert tanuki.run("ls", "/home/mai").split() == ["kept"]
    assert "passing" not in tanuki.run("ls", "/tmp").split()
    assert float(tanuki.run("cut", "-d ", "-f1", "/proc/uptime")) < 120, "its clocks began anew"
    assert tanuki.processes_of() == {}


def test_a_pulled_cable_takes_the_folder_and_gives_it_back(lab: Servers) -> None:
    usagi, kitsune = lab["usagi"], lab["kitsune"]
    with kitsune.pulled():
        assert "timed out" in usagi.run(*SSH, "kitsune", "true", code=255)
        writing = kitsune.start("sh", "-c", f"echo all >{SHARED}/{USER}/word")
        with pytest.raises(subprocess.TimeoutExpired):
            writing.wait(2)
    assert writing.wait(30) == 0
    assert usagi.run("cat", f"{SHARED}/{USER}/word") == "all\n"
    with kitsune.pulled("net"):
        assert kitsune.run("cat", f"{SHARED}/{USER}/word") == "all\n", "the folder has a cable of its own"
        assert "timed out" in usagi.run(*SSH, "kitsune", "true", code=255)
    assert usagi.run(*SSH, "kitsune", "hostname") == "kitsune\n"


def test_ssh_is_refused_or_slow(lab: Servers) -> None:
    usagi, kitsune = lab["usagi"], lab["kitsune"]
    kitsune.refuse_ssh()
    assert "Connection refused" in usagi.run(*SSH, "kitsune", "true", code=255)
    kitsune.slow_ssh(0.2)
    begin = time.monotonic()
    assert usagi.run(*SSH, "kitsune", "hostname") == "kitsune\n"
    assert time.monotonic() - begin > 1, "at least the greeting, two keys, the user and the command go to and fro"
    kitsune.allow_ssh()
    assert usagi.run(*SSH, "kitsune", "hostname") == "kitsune\n"


def test_the_shared_folder_is_full(lab: Servers) -> None:
    lab.shelf.fill()
    assert "rror" in lab["usagi"].run("sh", "-c", f"echo word >{SHARED}/{USER}/full", code=None)
    assert lab.shared(SHARED / USER / "full").read_text() == ""
    lab.shelf.clear()
    lab["usagi"].run("sh", "-c", f"echo word >{SHARED}/{USER}/full")
    assert lab.shared(SHARED / USER / "full").read_text() == "word\n"


def test_a_clock_is_an_hour_off_in_every_session_of_that_server(lab: Servers) -> None:
    kitsune = lab["kitsune"]
    kitsune.cut()
    kitsune.boot(clock="+1h")
    for said in (kitsune.run("date", "+%s"), lab["usagi"].run(*SSH, "kitsune", "env -i date +%s")):
        assert 3500 < float(said) - time.time() < 3700
    kitsune.cut()
    kitsune.boot()
    assert abs(float(kitsune.run("date", "+%s")) - time.time()) < 100


def test_nothing_stays_where_the_test_dies(lab: Servers) -> None:
    text = (
        "from tests.helpers.servers import servers\nwith servers('usagi') as lab:\n print(lab.room.pid, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", f"{text} input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None and process.stdin is not None
    word = process.stdout.readline()
    space = Path(f"/proc/{int(word)}/ns/mnt").readlink()
    process.kill()
    process.wait()
    until(lambda: not any(_in(space, folder) for folder in Path("/proc").glob("[0-9]*")))
    for file in ("/proc/self/mounts", "/proc/net/dev", "/etc/hosts", "/etc/passwd"):
        assert "usagi" not in Path(file).read_text(), "this machine's own"
    assert lab["usagi"].run("hostname") == "usagi\n", "another test's servers stand"
    process.stdout.close()
    process.stdin.close()


def _in(space: Path, process: Path) -> bool:
    try:
        return (process / "ns/mnt").readlink() == space
    except OSError:
        return False
