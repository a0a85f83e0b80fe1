"""`orch lab up` on hosts that cannot be a lab: one sentence with the mend, and nothing is left running.

Not of `make test`: `make lab-chaos` runs it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.helpers.servers import OTHER, SHARED, Servers, servers
from tests.lab.user import LONG, QUICK, User

pytestmark = pytest.mark.timeout(1200)
PORT = 23456


@pytest.fixture(scope="module")
def lab() -> Iterator[Servers]:
    with servers() as made:
        yield made


@pytest.fixture
def mai(lab: Servers, request: pytest.FixtureRequest) -> Iterator[User]:
    """A user at kitsune, where all is as it was before when the test is over."""
    yield User(lab, at="kitsune", project="refused")
    for server in lab:
        if server.on:
            server.cut()
        server.boot()


def refused(mai: User, *hosts: str) -> str:
    """What `orch lab up` says, which must be one sentence, and that nothing came of it."""
    said = mai.orch("lab", "up", *(hosts or ("usagi", "tanuki", "kitsune")), *QUICK, code=2, timeout=LONG)
    (sentence,) = [line for line in said.splitlines() if line.startswith("Error: ")]
    mai.check_down()
    assert not (mai.layout.root / "lab").exists(), "nothing half-written"
    return sentence


@contextlib.contextmanager
def changed(lab: Servers, host: str, script: str, *files: str) -> Iterator[None]:
    """What root did on a host meanwhile, taken back from those files of it."""
    lab[host].as_root("/bin/sh", "-euc", 'for f in "$@"; do cp "$f" "/root/${f##*/}"; done', "sh", *files)
    try:
        lab[host].as_root("/bin/sh", "-euc", script)
        yield
    finally:
        back = 'for f in "$@"; do cat "/root/${f##*/}" >"$f"; done; chown -R mai /home/mai'
        lab[host].as_root("/bin/sh", "-euc", back, "sh", *files)


HOSTS, KNOWN, PASSWD = "/etc/hosts", "/etc/ssh/ssh_known_hosts", "/etc/passwd"
KEYS = "/home/mai/.ssh/authorized_keys"


def test_the_same_host_twice(mai: User) -> None:
    assert "usagi is named twice: say each once" in refused(mai, "usagi", "tanuki", "usagi")


def test_a_host_under_two_names(lab: Servers, mai: User) -> None:
    script = f"sed -i 's/\\tusagi$/\\tusagi hare/' {HOSTS}; sed -i 's/^usagi,/usagi,hare,/' {KNOWN}"
    with changed(lab, "kitsune", script, HOSTS, KNOWN):
        assert "are the same host: name it once" in refused(mai, "usagi", "hare", "tanuki")


def test_a_host_that_is_none(mai: User) -> None:
    assert "there is no host inu: write its name right" in refused(mai, "usagi", "inu")


def test_a_host_whose_key_is_not_known(lab: Servers, mai: User) -> None:
    with changed(lab, "kitsune", f"sed -i /^tanuki,/d {KNOWN}", KNOWN):
        assert "the key of tanuki is not known here: log in once with `ssh tanuki`" in refused(mai)


def test_a_host_that_asks_for_a_password(lab: Servers, mai: User) -> None:
    with changed(lab, "tanuki", f"echo >{KEYS}", KEYS):
        assert "tanuki asks for a password or refuses your key: `ssh-copy-id tanuki`" in refused(mai)


def test_a_host_that_refuses_ssh(lab: Servers, mai: User) -> None:
    lab["tanuki"].refuse_ssh()
    assert "tanuki refuses ssh: start sshd there" in refused(mai)


def test_a_host_without_power(lab: Servers, mai: User) -> None:
    lab["tanuki"].cut()
    assert "tanuki does not answer to ssh" in refused(mai)


def test_another_user_id(lab: Servers, mai: User) -> None:
    script = f"sed -i 's/^mai:x:2001:/mai:x:2009:/' {PASSWD}; chown -R mai /home/mai"
    with changed(lab, "tanuki", script, PASSWD):
        assert "with the user id 2009 on tanuki" in refused(mai)


def test_no_shared_folder(lab: Servers, mai: User) -> None:
    lab["tanuki"].as_root("umount", "--lazy", str(SHARED))
    assert f"tanuki does not see {mai.folder}/.orch/lab as this host does" in refused(mai)


def test_a_clock_one_hour_off(lab: Servers, mai: User) -> None:
    lab["tanuki"].cut()
    lab["tanuki"].boot(clock="+1h")
    assert "the clock of tanuki is 3" in refused(mai)


def test_another_program_on_the_port(lab: Servers, mai: User) -> None:
    listening = lab["tanuki"].start(
        "python3", "-c", f"import socket, time; s = socket.create_server(('', {PORT})); time.sleep(600)"
    )
    lab["tanuki"].as_root("/bin/sh", "-c", f"until grep -q ':{PORT:04X} ' /proc/net/tcp; do sleep 0.1; done")
    said = mai.orch("lab", "up", "usagi", "tanuki", "--port", str(PORT), code=2, timeout=LONG)
    assert str(PORT) in said and "tanuki" in said, said
    listening.kill()


def test_another_slurm_on_the_port(lab: Servers, mai: User) -> None:
    ren = User(lab, at="usagi", name=OTHER, project="first")
    ren.orch("lab", "up", "usagi", "tanuki", "--port", str(PORT), *QUICK, timeout=LONG)
    said = refused(mai, "usagi", "tanuki", "--port", str(PORT))
    assert f"the port {PORT} " in said and "another --port" in said
    assert '"whole": true' in ren.orch("lab", "status", "--json", timeout=LONG), "it was left alone"
    ren.down()


def test_releases_of_slurm_that_are_too_far_apart(lab: Servers, mai: User) -> None:
    script = """printf '#!/bin/sh\necho slurm-wlm 24.11.0\n' >/run/slurmd; chmod 755 /run/slurmd
    mount --bind /run/slurmd "$(readlink -f /usr/sbin/slurmd)" """
    lab["tanuki"].as_root("/bin/sh", "-euc", script)
    said = refused(mai)
    assert "SLURM is 22.05" in said and "24.11.0 on tanuki" in said and "no more than 2 releases" in said
