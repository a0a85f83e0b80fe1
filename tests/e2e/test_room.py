"""Room: checkpoints that nothing needs go by themselves, and a store that fills up says so before it is full."""

from __future__ import annotations

from jobs.files import names
from tests.helpers.cli import Orch, script, until

TRAIN = """
import os, pathlib, sys
out, kept = pathlib.Path(os.environ["ORCH_OUT"]), pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"])
for epoch in (1, 2, 3):
    (kept / f"model-{epoch}.pt").write_bytes(b"x" * 100_000)
(out / "model-1.pt").write_bytes(b"product")
with open(os.environ["ORCH_RESULT"], "w") as result:
    result.write('{"loss": 1.0}')
"""


def test_checkpoints_go_by_themselves_and_a_full_quota_is_said(orch: Orch) -> None:
    script(orch, "train.py", TRAIN)
    orch("submit", "command", "--wait", "--", "python", "train.py", "{seed}")
    (folder,) = orch.layout.executions(1, 1)
    assert names(folder / "checkpoints") == ["model-1.pt", "model-2.pt", "model-3.pt"]
    until(lambda: orch.json("status")["room"]["bytes"], "a measured store")
    until(lambda: orch.supervisor() is None, "the supervisor's end")
    orch("supervise", "--until-idle")
    assert names(folder / "checkpoints") == ["model-1.pt", "model-2.pt", "model-3.pt"], "without [clean] nothing goes"
    room = orch.json("status")["room"]
    assert room["bytes"] > 300_000 and room["warning"] is None and 0 < room["free"] < room["disk"]
    assert "GiB free" in orch("status") and "just measured" in orch("status")

    (orch.folder / "orch.toml").write_text('[clean]\nkeep = "last"\n[store]\nquota = "300K"\n')
    dry = orch("clean", "--dry-run")
    assert "checkpoints of succeeded jobs other than the last one ([clean] keep = last): 2 files, 195.3 KiB" in dry
    assert len(names(folder / "checkpoints")) == 3
    orch("supervise", "--until-idle")
    assert names(folder / "checkpoints") == ["model-3.pt"] and names(folder / "out") == ["model-1.pt"]
    told = orch("status")
    assert "of its 300.0 KiB" in told and "'orch clean --dry-run' says what nothing needs" in told
    assert "2 checkpoint files removed (195.3 KiB)" in told
    room = orch.json("status")["room"]
    assert (room["quota"], room["removed_files"], room["removed_bytes"]) == (300 * 1024, 2, 200_000)
    orch("submit", "command", "--name", "later", "--no-start", "--", "python", "train.py", "later", "{seed}")
    orch("report", "--out", "page")  # of a study that has not ended: its room is of the moment
    page = next((orch.folder / "page").glob("*.html")).read_text()
    assert "of 300.0 KiB (" in page and "of its 300.0 KiB" in page
    orch("cancel", "2")
    orch("report", "--out", "ended")
    assert "of 300.0 KiB (" not in (orch.folder / "ended" / "index.html").read_text()
    orch.check()

    for line, said in (('[clean]\nkeep = "some"', "keep"), ('[store]\nquota = "lots"', "500G")):
        (orch.folder / "orch.toml").write_text(line + "\n")
        refused = orch.call("status")
        assert refused.returncode == 2 and said in refused.stderr and "Traceback" not in refused.stderr
