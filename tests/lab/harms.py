"""A running lab is hurt, one harm a test: it is named with its mend, nothing is lost or struck, and all ends well.

Not of `make test`: `make lab-chaos` runs it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.servers import NAMES, OTHER, Servers, servers
from tests.lab.user import LONG, QUICK, User

pytestmark = pytest.mark.timeout(1200)
STEPS = 30
WORK = f"""
cd "$ORCH_CHECKPOINT_DIR"; n=$(cat step 2>/dev/null || echo 0)
while test $n -lt {STEPS}; do sleep 1; n=$((n+1)); echo $n >new && mv new step; done
"""
START = """
import sys
from pathlib import Path
from slurm.lab import crew, record
print(crew.ask_lab("start", record.load(Path(sys.argv[1])), ["kitsune"]))
"""
TERMS = ("--mem", "100M", "--code", "live", "--no-canary")


@pytest.fixture
def lab() -> Iterator[Servers]:
    with servers(megabytes=96) as made:
        yield made


def work(mai: User, seeds: int, *words: str) -> None:
    """Jobs that do nothing for half a minute, a step a second."""
    mai.orch("submit", "command", "--seeds", str(seeds), *TERMS, *words, "--", "sh", "-c", WORK, timeout=LONG)


def named(mai: User, sentence: str, *commands: tuple[str, ...]) -> None:
    """Each of these commands says so. In time, and how long it took is printed: a busy machine takes its own."""
    for words in commands:
        begin = time.monotonic()

        def told(words: tuple[str, ...] = words) -> str:
            said = mai.orch(*words, code=None, timeout=LONG)
            return said if sentence in " ".join(said.split()) else ""

        said = mai.until(told, LONG, f"`orch {' '.join(words)}` says '{sentence}'")
        print(f"{time.monotonic() - begin:.0f} s until it said:\n{said}", flush=True)


def unharmed(mai: User) -> None:
    """Nobody was struck, and nothing was started twice or ended otherwise than well."""
    assert mai.query("SELECT node FROM node_health") == []
    causes = mai.query("SELECT DISTINCT cause FROM execution WHERE cause IS NOT NULL AND cause != 'success'")
    assert causes == [], mai.story()


def test_slow_ssh(lab: Servers) -> None:
    """Half a second for each packet, either way."""
    mai = User(lab, at="kitsune")
    lab["tanuki"].slow_ssh(0.3)
    said = mai.orch("lab", "up", *NAMES, *QUICK, timeout=LONG)
    assert "the lab is up: 3 hosts" in said
    work(mai, 4)
    assert '"whole": true' in mai.orch("lab", "status", "--json", timeout=LONG)
    assert "failure" not in mai.orch("lab", "doctor", timeout=LONG)
    mai.wait()
    mai.check_each_once(4)
    unharmed(mai)
    mai.down()


def test_a_host_that_refuses_ssh(lab: Servers) -> None:
    """What runs there goes on, as SLURM needs no ssh; what looks at it says why it cannot."""
    mai = User(lab, at="kitsune")
    mai.orch("lab", "up", *NAMES, *QUICK, timeout=LONG)
    work(mai, 6)
    mai.until(lambda: mai.working_on("tanuki"), LONG, "a job on tanuki")
    lab["tanuki"].refuse_ssh()
    sentence = "tanuki refuses ssh: start sshd there"
    named(mai, sentence, ("lab", "doctor"), ("lab", "status", "--json"))
    assert f"Warning: {sentence}" in mai.orch("lab", "up", code=1, timeout=LONG)
    mai.wait()
    mai.check_each_once(6)
    unharmed(mai)
    mai.rest()
    assert sentence in mai.orch("lab", "down", code=1, timeout=LONG)
    assert "slurmd" in str(lab["tanuki"].processes_of(mai.name))
    lab["tanuki"].allow_ssh()
    mai.down()


def test_a_full_shared_folder(lab: Servers) -> None:
    mai = User(lab, at="kitsune")
    mai.orch("lab", "up", *NAMES, *QUICK, timeout=LONG)
    work(mai, 6)
    mai.until(lambda: len([run for run in mai.runs() if run.outcome is None]) >= 3, LONG, "three jobs that run")
    lab.shelf.fill()
    folder = str(mai.folder / ".orch/lab")
    named(mai, f"the lab's folder {folder} cannot be written (No space left on device): make room", ("lab", "doctor"))
    assert "controller" in mai.orch("lab", "status", code=None, timeout=LONG)
    named(mai, "full", ("status",))
    mai.orch("explain", "1", code=None, timeout=LONG)
    named(mai, "make room", ("doctor",))
    refused = mai.orch("submit", "command", "--seeds", "8", *TERMS, "--", "true", code=2, timeout=LONG)
    assert "full" in refused and "make room" in refused
    lab.shelf.clear()
    mai.until(mai.has_room, LONG, "room")  # GlusterFS looks every few seconds whether there is some again
    mai.orch("lab", "up", timeout=LONG)
    mai.wait()
    mai.check_each_once(6)
    assert mai.query("SELECT node FROM node_health") == []
    mai.down()


def test_a_clock_one_hour_off(lab: Servers) -> None:
    """Of a server that boots with it: its daemons', munge's, and that of the commands typed there."""
    mai, wrong = User(lab, at="tanuki"), User(lab, at="kitsune")
    mai.orch("lab", "up", *NAMES, *QUICK, timeout=LONG)
    work(mai, 6)
    mai.until(lambda: mai.working_on("kitsune"), LONG, "a job on kitsune")
    lab["kitsune"].cut()
    lab["kitsune"].boot(clock="+1h")
    sentence = "the clock of kitsune is 3"
    for user in (mai, wrong):
        assert sentence in user.orch("lab", "up", code=2, timeout=LONG)
        named(user, sentence, ("lab", "doctor"))
    # By hand, as `orch lab up` refuses.
    print(wrong.at.run(sys.executable, "-c", START, str(mai.folder / ".orch/lab"), user=mai.name, timeout=LONG))
    assert {"munged", "slurmd"} <= {Path(one.split()[0]).name for one in wrong.at.processes_of(mai.name).values()}
    mai.wait()
    mai.check_each_once(6)
    assert mai.slurm("sinfo", "-h", "-N", "-n", "kitsune", "-o", "%T").strip() == "down*"
    strikes = mai.query("SELECT node, cause FROM node_health")
    assert strikes in ([], [["kitsune", "node_failure"]]), "its power was cut, and nobody else is to blame"
    mai.rest()

    wrong.orch("submit", "command", "--seeds", "8", *TERMS, "--", "true", timeout=LONG)
    named(wrong, "slurm does not answer", ("status",))
    lab["kitsune"].cut()
    lab["kitsune"].boot()
    mai.orch("lab", "up", timeout=LONG)
    mai.wait()  # the lease of the dead supervisor there is of an hour ahead, and taken over all the same
    mai.check_each_once(14)
    mai.down()


def test_a_lab_of_another_user_on_the_same_servers(lab: Servers) -> None:
    mai, ren = User(lab, at="kitsune"), User(lab, at="usagi", name=OTHER)
    mai.orch("lab", "up", *NAMES, *QUICK, timeout=LONG)
    ren.orch("lab", "up", *NAMES, *QUICK, timeout=LONG)
    for user in (mai, ren):
        work(user, 3)
    for user in (mai, ren):
        assert '"whole": true' in user.orch("lab", "status", "--json", timeout=LONG)
        assert "failure" not in user.orch("lab", "doctor", timeout=LONG)
    for user in (mai, ren):
        user.wait()
        user.check_each_once(3)
        unharmed(user)
    mai.down()
    assert '"whole": true' in ren.orch("lab", "status", "--json", timeout=LONG), "his lab stands"
    ren.down()


def test_the_network_is_gone_and_the_shared_folder_still_there(lab: Servers) -> None:
    """The backup stays in standby, as the controller still writes its heartbeat: nobody takes jobs or starts any."""
    mai = User(lab, at="kitsune")
    mai.orch("lab", "up", *NAMES, *QUICK, timeout=LONG)
    work(mai, 8)
    mai.until(lambda: mai.working_on("tanuki") and mai.working_on("usagi"), LONG, "jobs on tanuki and usagi")
    sentence = "the lab's controller on usagi is cut off"
    commands = (("status",), ("explain", "8"), ("lab", "doctor"), ("lab", "status"), ("doctor",))
    with lab["usagi"].pulled("net"):
        began = time.monotonic()
        named(mai, sentence, *commands)
        time.sleep(max(0.0, 30 - (time.monotonic() - began)))  # longer than SlurmdTimeout and SlurmctldTimeout
        assert mai.controller() == 0, "the backup took over"
        assert mai.query("SELECT count(*) FROM job WHERE state IN ('failed', 'cancelled')") == [[0]]
    mai.wait()
    mai.check_each_once(8)
    assert mai.query("SELECT node FROM node_health") == []
    mai.orch("lab", "up", timeout=LONG)
    assert '"whole": true' in mai.orch("lab", "status", "--json", timeout=LONG)
    mai.down()


def test_two_controllers_are_in_charge(lab: Servers) -> None:
    """usagi is back from a pulled cable, and does not reach tanuki, its backup, which took over meanwhile."""
    mai = User(lab, at="kitsune")
    mai.orch("lab", "up", *NAMES, *QUICK, timeout=LONG)
    mai.orch("submit", "command", *TERMS, "--sbatch", "hold", "--", "true", timeout=LONG)
    (job,) = mai.until(lambda: mai.slurm("squeue", "-h", "-o", "%i").split(), LONG, "the job in SLURM's queue")
    usagi, route = lab["usagi"], ("unreachable", f"{lab['tanuki'].address}/32")
    usagi.as_root("ip", "route", "add", *route)
    usagi.pull()
    mai.until(lambda: mai.controller() == 1, LONG, "the backup's taking over")
    usagi.plug()
    sentence = "usagi and its backup tanuki are both in charge of the lab"
    named(mai, sentence, ("lab", "doctor"), ("lab", "status"), ("status",), ("explain", "1"))
    usagi.as_root("ip", "route", "delete", *route)
    mai.orch("lab", "up", timeout=LONG)
    mai.until(lambda: '"whole": true' in mai.orch("lab", "status", "--json", code=None, timeout=LONG), LONG, "the mend")
    assert mai.slurm("squeue", "-h", "-o", "%i").split() == [job]
    mai.slurm("scontrol", "release", job)
    mai.wait()
    mai.check_each_once(1)
    unharmed(mai)
    mai.down()


def test_a_controller_that_ended_itself(lab: Servers) -> None:
    """usagi sees the shared folder again, and not the others: SLURM ends one of the two that write its state there."""
    mai = User(lab, at="kitsune")
    mai.orch("lab", "up", *NAMES, *QUICK, timeout=LONG)
    work(mai, 8)
    mai.until(lambda: mai.working_on("tanuki") and mai.working_on("kitsune"), LONG, "jobs on tanuki and kitsune")
    lab["usagi"].pull()
    mai.until(lambda: mai.controller() == 1, LONG, "the backup's taking over")
    lab["usagi"].plug("store")
    ended = "slurmctld of tanuki ended itself, as it and another one were in charge at once"
    mai.until(lambda: not any("slurmctld" in one for one in lab["tanuki"].processes_of().values()), LONG, ended)
    named(mai, ended, ("lab", "doctor"))
    named(mai, "slurmctld of tanuki ended itself", ("lab", "status"))
    lab["usagi"].plug("net")
    mai.until(lambda: mai.orch("lab", "up", code=None, timeout=LONG).startswith("  look"), LONG, "the mend")
    assert '"whole": true' in mai.orch("lab", "status", "--json", timeout=LONG)
    mai.wait()
    mai.check_each_once(8)
    assert mai.query("SELECT count(*) FROM job WHERE state = 'failed'") == [[0]]
    mai.down("--force")


def test_every_server_boots_anew(lab: Servers) -> None:
    """What `orch lab unit` offers brings the lab back with its queue, without anybody's environment."""
    mai = User(lab, at="kitsune")
    said = mai.orch("lab", "up", *NAMES, *QUICK, timeout=LONG)
    assert "serves the shared folder: its death stops the lab" in said and "'orch lab unit'" in said
    unit = mai.orch("lab", "unit").splitlines()
    (command,) = [line.removeprefix("ExecStart=") for line in unit if line.startswith("ExecStart=")]
    assert f"# @reboot sleep 60; {command}" in unit
    work(mai, 9)
    mai.until(lambda: len(mai.runs()) >= 3, LONG, "three jobs that run")
    queue = ("squeue", "-h", "-r", "-o", "%F %K %j")
    before = sorted(mai.slurm(*queue).splitlines())
    assert len(before) == 9
    for server in lab:
        server.cut()
    for server in lab:
        server.boot()
    print(mai.at.run("/bin/sh", "-c", command, user=mai.name, cwd="/", timeout=LONG), flush=True)
    assert sorted(mai.slurm(*queue).splitlines()) == before, "the queue is another one"
    mai.wait()
    mai.check_each_once(9)
    mai.down()
