"""What takes minutes of waiting and hardly any CPU: begun before the first test, looked at by the last ones."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from slurm.testcluster import Cluster
from tests.slurm.lab import Lab, Run, lab

STEPPER = """
import json, os, pathlib, signal, sys, time
total, stubborn = int(sys.argv[1]), "stubborn" in sys.argv
folder = pathlib.Path(os.environ["ORCH_CHECKPOINT_DIR"])
asked = []
signal.signal(signal.SIGTERM, signal.SIG_IGN if stubborn else lambda *_: asked.append(1))
step = int((folder / "step").read_text()) if (folder / "step").exists() else 0
while step < total and not asked:
    time.sleep(1)
    step += 1
    with open(os.environ["ORCH_METRICS"], "a") as file:
        file.write(json.dumps({"epoch": step, "done": step / total}) + "\\n")
    if not stubborn:
        (folder / "draft").write_text(str(step))
        (folder / "draft").rename(folder / "step")
if step == total:
    json.dump({"steps": step}, open(os.environ["ORCH_RESULT"], "w"))
"""
"""A step a second, checkpointed at once; ends after the step in which it is asked to."""
SBATCH = """#!/bin/sh
# The sbatch of a supervisor that is killed, once, at the moment that the file `mode` names.
real=$(PATH=${PATH#*:} command -v sbatch)
mode=$(cat HERE/mode 2>/dev/null) && rm HERE/mode
for script; do :; done
supervisor=$(sed -n 's/^PPid:[^0-9]*//p' /proc/$PPID/status)
case $mode in
before) kill -9 $supervisor; exit 1;;
inside) "$real" "$@" & sleep 0.03; kill -9 $supervisor; wait; exit 0;;
after) "$real" "$@"; rm "${script%/*}/task.pkl"; kill -9 $supervisor; exit 0;;
unheard) "$real" "$@" >/dev/null; echo 'sbatch: error: Socket timed out on send/recv operation' >&2; exit 1;;
esac
exec "$real" "$@"
"""
MOMENTS = ("before", "inside", "after", "unheard")
WHOLE_NODE = ("--cpus", "2", "--mem", "200M")
HALF_NODE = ("--cpus", "1", "--mem", "200M")


class Slow:
    """Several stores on one cluster; some of them lose their supervisors at a chosen moment."""

    def __init__(self, cluster: Cluster, labs: Mapping[str, Lab]) -> None:
        self.cluster = cluster
        self.labs = labs
        self.job: dict[str, int] = {}
        self.waiting: dict[str, subprocess.Popen[str]] = {}
        self.left_at = 0.0
        """When the supervisors of `alone` and `away` were dead, on time.time()'s clock."""
        self._begin_crashes()
        self._begin_limits()
        self._begin_preemptions()
        self._leave()

    @property
    def orch(self) -> Lab:
        """The one that is supervised all the time."""
        return self.labs["orch"]

    def _begin_limits(self) -> None:
        orch = self.orch
        self._submit("orch", "limited", "90", "--time", "1")
        self._submit("orch", "stubborn", "600", "stubborn", "--time", "1")
        broken = orch.folder / "broken"
        broken.mkdir()
        (broken / "scontrol").write_text("#!/bin/sh\nexit 1\n")
        (broken / "scontrol").chmod(0o755)
        settings = orch.folder / "orch.toml"
        settings.write_text(f"[slurm]\nsetup = ['export PATH={broken}:$PATH']\n")
        self._submit("orch", "requeue_lost", "70", "--time", "1")
        settings.unlink()

    def _begin_preemptions(self) -> None:
        orch = self.orch
        self._submit("orch", "warned", "25", "--time", "10")
        self._submit("orch", "unwarned", "25", "--time", "10", "--partition", "abrupt")
        for row in ("warned", "unwarned"):
            orch.until(lambda row=row: len(orch.metric_lines(orch.running(self.job[row]))) >= 3, what="three steps")
            where = ("--partition", "high", "--sbatch", f"nodelist={orch.running(self.job[row]).node}")
            orch.submit("command", "--name", f"{row}_by", *where, *WHOLE_NODE, "--", "sh", "-c", "sleep 12", row)

    def _begin_crashes(self) -> None:
        for moment in MOMENTS:
            orch = self.labs[moment]
            (orch.folder / "bin").mkdir()
            (orch.folder / "bin" / "sbatch").write_text(SBATCH.replace("HERE", str(orch.folder)))
            (orch.folder / "bin" / "sbatch").chmod(0o755)
            (orch.folder / "mode").write_text(moment)
            orch.submit("command", "--seeds", "2", *HALF_NODE, "--", "true")

    def _leave(self) -> None:
        """The login node dies, and then the node of a job."""
        self._submit("alone", "alone", "75", "--time", "1")
        away = self.labs["away"]
        jobs = away.submit("command", "--seeds", "4", "--time", "10", *HALF_NODE, "--", "python", "stepper.py", "20")
        for name, running in (("away", jobs), ("alone", [self.job["alone"]])):
            for job in running:
                self.labs[name].running(job)
            self.labs[name].kill_supervisor()
        self.left_at = time.time()
        self.job["cut"] = jobs[0]
        self.cluster.kill_node(away.runs(jobs[0])[-1].node)
        for moment in MOMENTS:
            crashed = self.labs[moment]
            crashed.until(lambda crashed=crashed: not (crashed.folder / "mode").exists(), what=f"sbatch {moment}")
            self.waiting[moment] = crashed.start("supervise", "--until-idle")

    def _submit(self, name: str, row: str, steps: str, *words: str) -> None:
        stubborn = ["stubborn"] if "stubborn" in words else []
        options = [word for word in words if word not in stubborn]
        command = ("--", "python", "stepper.py", steps, row, *stubborn)
        [self.job[row]] = self.labs[name].submit("command", "--name", row, *WHOLE_NODE, *options, *command)

    def end(self, row: str) -> list[Run]:
        """The executions of that row's job once it has ended."""
        job = self.job[row]
        over = "SELECT state FROM job WHERE id = ? AND state IN ('succeeded', 'failed', 'cancelled')"
        self.orch.until(lambda: self.orch.query(over, job), timeout=200, what=f"the end of '{row}'")
        return self.orch.runs(job)

    def steps(self, orch: Lab, row: str) -> list[int]:
        """What all executions of that row reported, in order."""
        return [line.epoch for run in orch.runs(self.job[row]) for line in orch.metric_lines(run)]


@contextlib.contextmanager
def slow(cluster: Cluster, folder: Path) -> Iterator[Slow]:
    """Begun; ends with its supervisors."""
    with cluster, contextlib.ExitStack() as stack:
        labs = {}
        for name in ("orch", "alone", "away", *MOMENTS):
            bin_first = f"{folder / name / 'bin'}:{os.environ['PATH']}"
            labs[name] = stack.enter_context(lab(folder / name, cluster, PATH=bin_first))
            (labs[name].folder / "stepper.py").write_text(STEPPER)
        begun = Slow(cluster, labs)
        stack.callback(lambda: [process.kill() for process in begun.waiting.values()])
        yield begun
