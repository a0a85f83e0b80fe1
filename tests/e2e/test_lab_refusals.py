"""`orch lab` on what can be no lab: one sentence with the mend, exit 2, nothing started and nothing half-written.

ssh is a script here that fails as ssh does, or runs the command on this machine and changes what it answers;
tests/lab asks real sshd's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.cli import Orch

SSH = r"""#!/bin/sh
while [ "$1" != -- ]; do shift; done
host=$2 command=$3
fail() { echo "$1" >&2; exit 255; }
case $host in
  nowhere) fail "ssh: Could not resolve hostname nowhere: Name or service not known" ;;
  stranger) fail "No ED25519 host key is known for stranger and you have requested strict checking.
Host key verification failed." ;;
  locked) fail "mai@locked: Permission denied (publickey,password)." ;;
  deaf) fail "ssh: connect to host deaf port 22: Connection refused" ;;
  empty) exec env -i /bin/sh -c "$(echo "$command" | sed 's#[^ ]*/bin/python[^ ]*#/nowhere/python#')" ;;
esac
own="s/\"boot\":\"[^\"]*\"/\"boot\":\"$host\"/; s/\"hostname\":\"[^\"]*\"/\"hostname\":\"$host\"/"
slurm='s/"slurm":"[^"]*","missing":\[[^]]*\]/"slurm":"22.05.8","missing":[]/'
case $host in
  other) more='s/"uid":[0-9]*/"uid":7/' ;;
  early) more='s/"clock":[0-9.]*/"clock":1e6/' ;;
  apart) more='s/"seen":"[^"]*"/"seen":""/' ;;
  newer) slurm='s/"slurm":"[^"]*","missing":\[[^]]*\]/"slurm":"25.11.0","missing":[]/' ;;
  twin) own='s/"boot":"[^"]*"/"boot":"usagi"/' ;;
  busy) more='s/"taken":\[\]/"taken":["6817 (slurmctld of root, pid 812)"]/' ;;
  torn) echo '{"hostname": 7'; exit 0 ;;
esac
export SSH_CONNECTION="10.0.0.9 1 10.0.0.1 22"
/bin/sh -c "$command" | sed "$own; $slurm; ${more:-}"
"""


@pytest.fixture
def lab(orch: Orch, tmp_path: Path) -> Orch:
    """The command with that ssh."""
    script = tmp_path / "ssh.sh"
    script.write_text(SSH)
    script.chmod(0o755)
    orch.environment["ORCH_SSH"] = str(script)
    return orch


def refused(orch: Orch, *words: str) -> str:
    done = orch.call("lab", *words)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (sentence,) = [line for line in done.stderr.splitlines() if not line.startswith("  ")]
    assert "Traceback" not in done.stderr
    assert not orch.layout.root.exists(), "nothing half-written"
    return sentence


@pytest.mark.parametrize(
    ("hosts", "sentence"),
    [
        (("usagi", "nowhere"), "there is no host nowhere: write its name right"),
        (("usagi", "stranger"), "the key of stranger is not known here: log in once with `ssh stranger`"),
        (("usagi", "locked"), "`ssh-copy-id locked` puts your key there"),
        (("usagi", "deaf"), "deaf refuses ssh: start sshd there"),
        (("usagi", "empty"), "is not on empty: install orch in a folder that all hosts share"),
        (("usagi", "other"), "with the user id 7 on other"),
        (("usagi", "early"), "the clock of early is"),
        (("usagi", "apart"), "apart does not see"),
        (("usagi", "newer"), "SLURM is 22.05.8 on usagi and 25.11.0 on newer"),
        (("usagi", "twin"), "twin and usagi are the same host: name it once"),
        (("usagi", "busy"), "the port 6817 (slurmctld of root, pid 812) of busy is taken"),
        (("usagi", "torn"), "this is no"),
        (("usagi", "usagi"), "the host usagi is named twice"),
        (("mai@usagi",), "'mai@usagi' is no name of a host"),
        ((), "say which hosts the lab shall have"),
    ],
    ids=lambda one: one[-1] if isinstance(one, tuple) and one else None,
)
def test_hosts_that_can_be_no_lab(lab: Orch, hosts: tuple[str, ...], sentence: str) -> None:
    assert sentence in refused(lab, "up", *hosts)


@pytest.mark.parametrize("words", [("status",), ("down",), ("add", "inu"), ("logs", "inu"), ("doctor",), ("unit",)])
def test_there_is_no_lab_yet(lab: Orch, words: tuple[str, ...]) -> None:
    assert "start one with `orch lab up HOST HOST …`" in refused(lab, *words)


def test_words_that_slurm_conf_cannot_hold(lab: Orch) -> None:
    assert "--set takes KEY=VALUE" in refused(lab, "up", "usagi", "--set", "SlurmdTimeout")
    assert "NodeName is set by" in refused(lab, "up", "usagi", "--set", "NodeName=x")
    assert "must be of letters, digits" in refused(lab, "up", "usagi", "--folder", "/tmp/with space")


def test_a_damaged_lab_keeps_nobody_from_looking_and_is_named(lab: Orch) -> None:
    folder = lab.layout.root / "lab"
    folder.mkdir(parents=True, mode=0o700)
    lab.layout.root.chmod(0o700)
    (folder / "lab.json").write_text('{"format": 1')
    done = lab.call("lab", "status")
    assert done.returncode == 2 and f"{folder}/lab.json cannot be read" in done.stderr
    assert lab.call("status").returncode == 0
    submitted = lab.call("submit", "command", "--backend", "auto", "--", "true")
    assert submitted.returncode == 2 and f"{folder}/lab.json cannot be read" in submitted.stderr
