"""A program that hangs, as a person meets it: it goes on from its checkpoint, and what it was is said."""

from __future__ import annotations

import msgspec

from jobs.rhythm import Rhythm
from tests.helpers.cli import PYTHON, Orch, script

HANGS_ONCE = """
import json, os, pathlib, threading, time
kept = pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"], "epoch")
hung = pathlib.Path(os.environ["ORCH_WORKDIR"], "hung")
epoch = int(kept.read_text()) if kept.exists() else 0
for epoch in range(epoch + 1, 7):
    time.sleep(0.6)
    print("epoch", epoch, flush=True)
    kept.write_text(str(epoch))
    if epoch == 3 and not hung.exists():
        hung.touch()
        threading.Event().wait()
open(os.environ["ORCH_RESULT"], "w").write(json.dumps({"accuracy": epoch}))
"""


def test_a_hang_goes_on_from_its_checkpoint(orch: Orch) -> None:
    script(orch, "train.py", HANGS_ONCE)
    command = ("submit", "command", "--hang-after", "6s", "--wait", "--", PYTHON, "train.py")
    orch(*command, timeout=250)
    first, second = orch.attempts(1)
    assert (first.cause, second.cause) == ("hang", "success")
    assert first.decision == "hang: resubmitted (1 of 3 since the last checkpoint)"
    told = orch("explain", "1")
    assert "hang → hang: resubmitted (1 of 3" in told
    assert "no sign of life for" in orch.executions(1)[0].error
    known = [msgspec.json.decode(text, type=Rhythm) for (text,) in orch.rows("SELECT text FROM rhythm")]
    assert len(known) == 1 and known[0].whole == 1 and known[0].silences >= 1, "nothing is learnt of a hang"
    orch.check()


def test_what_is_no_duration_is_refused(orch: Orch) -> None:
    done = orch.call("submit", "command", "--hang-after", "soon", "--", "true")
    assert done.returncode == 2
    assert "--hang-after takes a time such as 90s, 30m or 2h, 'off' or 'auto' (got 'soon')" in done.stderr
    orch("submit", "command", "--no-start", "--hang-after", "off", "--", "true")
    assert orch.job(1).launching.options["hang_after"] == 0
    orch("set", "1", "--hang-after", "30m", "--no-start")
    assert orch.job(1).launching.options["hang_after"] == 1800
