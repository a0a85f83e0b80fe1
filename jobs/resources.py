"""What a job asks of a machine."""

from __future__ import annotations

import msgspec

from jobs.errors import BadInput


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """What one job asks of a machine: `gpus` are whole devices (0 = CPU only).

    `gpu_memory_mb`: what it needs of each GPU's memory at most (0 = unknown); no more share a local GPU than it holds.
    """

    cpus: int = 1
    memory_mb: int = 2000
    gpus: int = 0
    minutes: int = 60
    gpu_memory_mb: int = 0


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Resource options of a command; None: the kind's own. They hold for the jobs that its jobs ask for, too."""

    cpus: int | None = None
    gpus: int | None = None
    memory_mb: int | None = None
    minutes: int | None = None
    gpu_memory_mb: int | None = None

    def over(self, base: Resources, *, device: str) -> Resources:
        """The kind's resources with what was asked for; on `cpu` no GPU is requested. Raises BadInput."""
        given = msgspec.structs.asdict(base)
        given.update({name: value for name, value in msgspec.structs.asdict(self).items() if value is not None})
        if device == "cpu":
            if self.gpus:
                raise BadInput("--gpus and --device cpu exclude each other: drop one of them")
            given["gpus"] = 0
        elif device == "cuda":
            given["gpus"] = max(1, given["gpus"])
        for name in ("cpus", "memory_mb", "minutes"):
            if given[name] < 1:
                raise BadInput(f"{name} must be at least 1 (got {given[name]})")
        if given["gpus"] < 0:
            raise BadInput(f"--gpus must not be negative (got {given['gpus']})")
        return Resources(**given)


class InQueue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What SLURM's queue lets anybody change of a task of his that waits there; None: not told, or as it was."""

    minutes: int | None = None
    memory_mb: int | None = None
    cpus: int | None = None
    partition: str | None = None
    nice: int | None = None

    def given(self) -> dict[str, int | str]:
        """Those that say something, by name."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}

    def shows(self, wanted: InQueue) -> bool:
        """Whether all that is wanted stands here."""
        mine = self.given()
        return all(mine.get(name) == value for name, value in wanted.given().items())

    def over(self, base: Resources) -> Resources:
        """The resources with what was changed of them."""
        return msgspec.structs.replace(
            base,
            minutes=self.minutes or base.minutes,
            memory_mb=self.memory_mb or base.memory_mb,
            cpus=self.cpus or base.cpus,
        )
