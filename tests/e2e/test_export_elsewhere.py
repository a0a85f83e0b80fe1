"""`orch export --to` as a person types it: a study's numbers in TensorBoard, and what cannot be done in a sentence."""

from __future__ import annotations

import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jobs.files import names
from tests.helpers.cli import Orch, script

TRAIN = """
import json, os, sys
with open(os.environ["ORCH_METRICS"], "a") as lines:
    for epoch in (3, 1, 2):
        lines.write(json.dumps({"epoch": epoch, "val/acc": epoch * 10 + int(sys.argv[1])}) + "\\n")
with open(os.environ["ORCH_RESULT"], "w") as result:
    json.dump({"val/acc": 77.5 + int(sys.argv[1])}, result)
"""


def test_a_study_goes_to_tensorboard_and_stays_true_there(orch: Orch) -> None:
    script(orch, "train.py", TRAIN)
    orch("submit", "command", "--seeds", "2", "--wait", "--", "python", "train.py", "{seed}")
    first = orch.call("export", "--to", "tensorboard", "tb")
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "wrote 2 runs: tb\n")
    reader = EventAccumulator(str(orch.folder / "tb" / "default" / "job-2-seed-1"))
    reader.Reload()
    assert [(one.step, one.value) for one in reader.Scalars("val/acc")] == [(1, 11.0), (2, 21.0), (3, 31.0)]
    assert [(one.step, one.value) for one in reader.Scalars("result/val/acc")] == [(3, 78.5)]

    orch("drop", "1", "--because", "odd")
    again = orch.call("export", "--to", "tensorboard", "tb", "--json")
    assert json.loads(again.stdout) == {
        "to": "tensorboard",
        "study": "default",
        "written": [],
        "unchanged": [2],
        "removed": 1,
        "left_out": {"without_result": 0, "dropped": 1, "superseded": 0},
    }
    assert "1 run taken away" in again.stderr and "1 job dropped by hand: 'orch keep' takes that back" in again.stderr
    assert names(orch.folder / "tb" / "default") == ["job-2-seed-1"]

    (orch.folder / "home").mkdir()
    (orch.folder / "home" / "mine").touch()
    for words, said in (
        (("--to", "tensorboard"), "'orch export --to tensorboard DIR'"),
        (("tb",), "'tb' is for --to"),
        (("--to", "mlflow-files", "ml"), "pip install 'orch[mlflow]'"),
        (("--to", "tensorboard", "home"), "holds other things (mine)"),
        (("--to", "wandb-offline", "wb"), "pip install 'orch[wandb]'"),
        (("--to", "comet", "wb"), "comet"),
    ):
        refused = orch.call("export", *words)
        assert refused.returncode == 2 and said in refused.stderr and "Traceback" not in refused.stderr, words
    assert not (orch.folder / "wb").exists() and not (orch.folder / "ml").exists()
    assert names(orch.folder / "home") == ["mine"]
