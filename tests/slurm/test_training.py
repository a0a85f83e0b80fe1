"""A node that goes down in the middle of a training: it goes on elsewhere, and nothing of it shows in the numbers."""

from __future__ import annotations

from pathlib import Path

from jobs.files import read_json
from jobs.records import MetricLine, Ready
from slurm.testcluster import Cluster
from tests.slurm.lab import Run, lab

TRAINING = (
    *("evaluate", "--architecture", "vgg19", "--set", "epochs=6", "--set", "train_images=320"),
    *("--checkpoint-every", "0", "--mem", "1500M"),
)

STEPS_PER_EPOCH = 5


def test_node_down_in_the_middle_of_training(cluster: Cluster, tmp_path: Path) -> None:
    with lab(tmp_path, cluster) as orch:
        [calm] = orch.submit(*TRAINING, "--study", "calm", "--sbatch", "nodelist=node4")
        [job] = orch.submit(*TRAINING, "--exclude", "node4")
        first = orch.running(job)
        orch.until(lambda: len(orch.metric_lines(first)) >= 2, what="two epochs")
        orch.power_cut(first.node)
        orch.wait()
        orch.check_each_once(2)

        cut, last = orch.runs(job)
        [whole] = orch.runs(calm)
        assert cut.outcome is None and cut.node != last.node
        assert orch.accepted(job) == last.folder.name
        assert orch.jobs()[job]["executions"] == 2
        assert (last.started.attempt, last.started.restart) == (1, 1), "SLURM's own requeue, no new attempt"
        ready = read_json(last.folder / "ready.json", Ready)
        reported = len(orch.metric_lines(cut))
        assert ready is not None
        # Of the last epoch at least the report is there; whether its checkpoint is depends on the moment.
        assert ready.checkpoint_step in (STEPS_PER_EPOCH * (reported - 1), STEPS_PER_EPOCH * reported)
        assert orch.epochs(job) == [1, 2, 3, 4, 5, 6] == orch.epochs(calm)
        assert numbers(orch.metric_lines(last)) == numbers(orch.metric_lines(whole))
        assert result(last) == result(whole)


def numbers(lines: list[MetricLine]) -> list[dict[str, float | None]]:
    """The values of each epoch, without what the clock said."""
    return [{name: value for name, value in line.values.items() if "second" not in name} for line in lines]


def result(run: Run) -> dict[str, float | None]:
    assert run.outcome is not None and run.outcome.ending == "success"
    return {name: value for name, value in run.outcome.result.items() if "second" not in name}
