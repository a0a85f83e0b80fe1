"""A secret that a job will not get is said while it waits, and where it can come from."""

from __future__ import annotations

import sys

from tests.helpers.cli import Orch, script, until

WAITS = """
import os, pathlib, sys, time
here = pathlib.Path(os.environ["ORCH_WORKDIR"])
(here / f"up-{sys.argv[1]}").touch()
while not (here / "go").exists():
    time.sleep(0.05)
print("KEY", os.environ.get("WANDB_API_KEY"))
"""


def test_a_secret_that_is_nowhere_is_foreseen_and_a_file_mends_it(orch: Orch) -> None:
    (orch.folder / "orch.toml").write_text('[env]\npass = ["WANDB_*"]\n')
    script(orch, "train.py", WAITS)
    mine = {**orch.environment, "WANDB_API_KEY": "s3cret"}
    words = ("--seeds", "2", "--max-running", "1", "--no-start", "--", sys.executable, "train.py", "{seed}")
    orch("submit", "command", *words, env=mine)

    def why(job: int, **options: dict[str, str]) -> str:
        told = orch.json("explain", str(job), **options)["why"]
        return " ".join(sentence for sentence in told if "will not get" in sentence)

    assert "will not get WANDB_API_KEY: a supervisor started from this shell is without it" in why(1)
    assert why(1, env=mine) == ""
    orch("submit", "command", *(word for word in words if word != "--no-start"))
    until((orch.folder / "up-0").exists, "the first job")
    assert why(1, env=mine) == "", "it runs"
    assert "will not get WANDB_API_KEY: the supervisor was started without it" in why(2, env=mine)
    secrets = orch.folder / "home" / "secrets"
    secrets.parent.mkdir(exist_ok=True)
    secrets.write_text("WANDB_API_KEY=filed\n")
    secrets.chmod(0o644)
    (orch.folder / "orch.toml").write_text(f'[env]\npass = ["WANDB_*"]\nfile = "{secrets}"\n')
    assert "chmod 600" in orch("explain", "2")
    secrets.chmod(0o600)
    assert why(2) == ""
    (orch.folder / "go").touch()
    orch.finish()
    assert "KEY None" in orch("logs", "1") and "KEY filed" in orch("logs", "2")
    again = ("submit", "command", "--seeds", "2", "--env", "WANDB_MODE=a b", "--no-start", "--", *words[-3:])
    how = "--env 'WANDB_MODE=a b'"
    said = "2 finished jobs keep their environment, and this runs them anew with yours: "
    assert f"{said}orch retry --succeeded 1-2 {how}\n" in orch(*again), "as it can be pasted"
    refused = orch.call("retry", "--succeeded", "1", "--env", "MY_TOKEN=x")
    assert refused.returncode == 2 and "--env MY_TOKEN looks like a secret" in refused.stderr
    orch("retry", "--succeeded", "1", "--env", "WANDB_MODE=a b", "--wait")
    (given,) = [job.launching.surroundings for job in orch.jobs() if job.id == 1]
    assert given is not None and given.given == {"WANDB_MODE": "a b"}
    kept = "1 finished job keeps its environment, and this runs it anew with yours: orch retry --succeeded 2 "
    assert kept in orch(*again)
