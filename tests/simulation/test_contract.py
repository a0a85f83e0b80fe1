"""The SLURM backend on the simulated cluster keeps the contract of all backends, as it does on a real one."""

from __future__ import annotations

from pathlib import Path

from jobs.files import write_json
from jobs.records import Manifest, Task
from jobs.resources import Resources
from slurm.backend import Batch, QueuedJob, Submission
from tests.helpers.contract import exercise_backend
from tests.simulation.workers import Nature
from tests.simulation.world import World


def test_the_simulated_backend_keeps_the_contract(tmp_path: Path) -> None:
    world = World(tmp_path / ".orch", 1)

    def intend(lasts: bool) -> Submission:
        job = world.submit(Nature(epochs=1000 if lasts else 1, epoch_seconds=5.0, every=1), minutes=1000)
        asked = Resources(minutes=1000)
        token = f"o-contract-{job}"
        manifest = Manifest(
            token=token,
            backend="slurm",
            tasks=(Task(job=job, attempt=1, generation=1, resources=asked),),
            created_at=world.clock.now(),
        )
        folder = world.layout.submission(token)
        folder.mkdir(parents=True)
        write_json(folder / "manifest.json", manifest)
        batch = Batch(jobs=(QueuedJob(job=job, resources=asked),))
        return Submission(token=token, folder=folder, manifest=manifest, batch=batch)

    def passes() -> None:
        world.clock.advance(1.0)
        world.cluster.beat()

    with world.running():
        exercise_backend(world._backend(world.user, lambda: None), intend, passes)
