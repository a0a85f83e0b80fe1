"""A person is told once of what happened, and a notifier that hangs or fails harms nothing."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from orchestrator.settings import Notify
from orchestrator.upkeep.testmessage import tell
from tests.helpers.cli import Orch, until

KEEP = "import os, sys, pathlib; pathlib.Path(sys.argv[1], str(os.getpid())).write_text(sys.stdin.read())"


def settings(orch: Orch, command: str, quiet: float = 30) -> None:
    (orch.folder / "orch.toml").write_text(f"[notify]\ncommand = {command}\nquiet_seconds = {quiet}\n")


def messages(orch: Orch) -> list[str]:
    return sorted(path.read_text() for path in (orch.folder / "box").iterdir())


def test_twenty_failures_and_the_end_of_a_study_are_one_message(orch: Orch) -> None:
    (orch.folder / "box").mkdir()
    settings(orch, repr([sys.executable, "-c", KEEP, str(orch.folder / "box")]))
    fail = [sys.executable, "-c", "import sys; sys.exit('no data ' + sys.argv[1])", "{seed}"]
    orch("submit", "command", "--seeds", "8", "--no-start", "--", *fail)
    orch("submit", "command", "--seeds", "2", "--no-start", "--", "true")
    orch("supervise", "--until-idle", code=1)
    until(lambda: messages(orch), "a message")
    (told,) = messages(orch)
    assert told.startswith("orch: job 1 (command, seed 0, study default) failed: ")
    assert "no data 0" in told and "and 3 more jobs failed" in told
    assert "study default is done: 2 succeeded, 8 failed" in told

    # The next supervisor tells nothing twice; a retry that fails again is news.
    orch("supervise", "--until-idle", code=1)
    assert len(messages(orch)) == 1
    orch("retry", "3", "--no-start")
    orch("supervise", "--until-idle", code=1)
    until(lambda: len(messages(orch)) == 2, "the second message")
    new = next(text for text in messages(orch) if text != told)
    assert "job 3 " in new and "job 4 " not in new


def test_a_notifier_that_hangs_or_fails_harms_nothing(orch: Orch) -> None:
    settings(orch, '"sleep 600"', quiet=0)
    began = time.monotonic()
    orch("submit", "command", "--seeds", "2", "--wait", "--", "false", code=1)
    assert {job["state"] for job in orch.json("status")["jobs"]} == {"failed"}
    assert time.monotonic() - began < 60
    for command in ('["/not/there"]', '"echo broken >&2; exit 3"'):
        settings(orch, command, quiet=0)
        orch("retry", "1", "--no-start")
        done = orch.call("supervise", "--until-idle")
        assert done.returncode == 1
        assert orch.json("status")["counts"]["failed"] == 2


def test_a_test_message_says_of_each_way_what_became_of_it(orch: Orch) -> None:
    nobody = orch.call("doctor", "--notify")
    assert nobody.returncode == 2
    assert "nobody is to be told" in nobody.stderr and len(nobody.stderr.strip().splitlines()) == 1
    (orch.folder / "box").mkdir()
    settings(orch, repr([sys.executable, "-c", KEEP, str(orch.folder / "box")]))
    assert orch("doctor", "--notify") == "command: told\n"
    (told,) = messages(orch)
    assert told.startswith("orch: a test message\n\n") and str(orch.layout.root) in told
    (orch.folder / "orch.toml").write_text(
        '[notify]\ncommand = "echo broken >&2; exit 3"\nurls = ["ntfys://secret:word@127.0.0.1:9/x", "nonsense"]\n'
    )
    failed = orch.call("doctor", "--notify", "--json")
    assert failed.returncode == 1 and "secret" not in failed.stdout + failed.stderr
    found = json.loads(failed.stdout)["told"]
    assert [one["way"] for one in found] == ["command", "url 1 (ntfys)", "url 2"]
    assert [one["delivered"] for one in found] == [False, False, False]
    assert found[0]["error"] == "the notify command ended with 3: broken"


def test_a_test_message_that_hangs_is_cut_off(tmp_path: Path) -> None:
    began = time.monotonic()
    (told,) = tell(Notify(command="sleep 600 & sleep 600"), tmp_path, seconds=0.5)
    assert told.wrong == "the notify command did not end within 0.5 s and was killed"
    assert time.monotonic() - began < 20
