"""How jobs are run, as options that `submit`, `set` and `retry` share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from db.seals import RESUME
from orchestrator.cli.reported import reported_of

if TYPE_CHECKING:
    from db.changes import Change
    from jobs.resources import Asked

TERMS: list[click.Option] = [
    click.Option(["--backend"], help="auto, local or slurm."),
    click.Option(["--cpus"], type=int, help="CPU cores per job."),
    click.Option(["--gpus"], metavar="[TYPE:]N", help="GPUs per job, like 2 or a100:1."),
    click.Option(["--mem"], help="Memory per job, like 8G."),
    click.Option(["--gpu-mem"], help="Local GPU memory per job, like 4G (default: estimated): so many share a GPU."),
    click.Option(["--time"], help="Time limit per job: minutes or HH:MM:SS."),
    click.Option(["--jobs-per-gpu"], type=int, help="Share each local GPU between so many jobs."),
    click.Option(["--checkpoint-every"], type=float, help="Seconds between checkpoints (0: every epoch)."),
    click.Option(["--retry-oom-mem"], type=float, help="After out of memory, retry with so many times the memory."),
    click.Option(
        ["--hang-after"],
        metavar="DURATION",
        help="Without a sign of life for so long it hangs, like 30m; 'off', or 'auto' as learnt (docs/hangs.md).",
    ),
    click.Option(
        ["--slices"],
        metavar="DURATION",
        help="SLURM: as an array of pieces of so long, like 30m; 'auto' as learnt, 'off' (docs/slices.md).",
    ),
    click.Option(
        ["--bundle"],
        metavar="N",
        help="SLURM: run N jobs at a time in one task, and the next when one ends; 'off' (docs/bundles.md).",
    ),
    click.Option(
        ["--cold/--warm"],
        default=None,
        help="In a bundle, start each job of orch's own kinds as a new interpreter, not as a fork that has torch.",
    ),
    click.Option(
        ["--resume"],
        type=click.Choice(RESUME),
        help="'anyway': from checkpoints though 'orch rehearse' found it wrong; 'verified' takes that back.",
    ),
    click.Option(["--partition"], help="SLURM partition."),
    click.Option(["--account"], help="SLURM account."),
    click.Option(["--qos"], help="SLURM quality of service."),
    click.Option(["--constraint"], help="SLURM node features."),
    click.Option(["--exclude"], help="SLURM nodes to keep away from."),
    click.Option(["--nodes"], type=click.IntRange(min=1), help="SLURM nodes per job."),
    click.Option(
        ["--launcher"],
        metavar="torchrun",
        help="Start the program once on each GPU, all as one (docs/several-gpus.md); 'none' takes it back.",
    ),
    click.Option(["--ranks-per-node"], type=int, help="With --launcher: processes on a node (default: one a GPU)."),
    click.Option(
        ["--sbatch"], multiple=True, metavar="NAME[=VALUE]", help="Any other sbatch parameter (docs/slurm.md)."
    ),
    click.Option(
        ["--priority"],
        type=click.IntRange(-1000, 1000),
        help="Higher ones are sent first (default 0), and go first among yours in SLURM.",
    ),
]


def _limit(context: click.Context, option: click.Parameter, value: str | None) -> int | None:
    """A whole number from 1 on; 0 or 'none': no limit. Raises BadParameter."""
    if value is None:
        return None
    text = "0" if value.strip().lower() == "none" else value.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise click.BadParameter(f"it takes a whole number from 1 on, or 'none' for no limit (got '{value}')")
    return int(text)


LIMITS: list[click.Option] = [
    click.Option(
        ["--max-running"],
        metavar="N",
        callback=_limit,
        help="Run at most so many jobs of the study at once, or 'none'.",
    ),
    click.Option(
        ["--max-fails"], metavar="N", callback=_limit, help="Send no more once so many of the study failed, or 'none'."
    ),
]
"""What a person says of a whole study."""


def asked_for(given: Mapping[str, Any]) -> tuple[Asked, dict[str, Any]]:
    """The resources that options ask for, and how to run the jobs otherwise. Raises BadInput."""
    from jobs import bundles, launchers
    from jobs.bundles import COLD
    from jobs.resources import Asked
    from jobs.rhythm import OPTION
    from orchestrator import terms
    from orchestrator.amounts import hang_after, memory_mb, minutes, slices
    from orchestrator.supervision.slicing import OPTION as SLICES

    slurm = terms.of_command({name: given[name] for name in terms.NAMED}, given["sbatch"])
    gpus, typed = terms.gpu_request(given["gpus"])
    options = {name: given[name] for name in ("jobs_per_gpu", "checkpoint_every", "retry_oom_mem")}
    options = {name: value for name, value in options.items() if value is not None}
    if given["hang_after"] is not None:
        options[OPTION] = hang_after(given["hang_after"])
    if given.get("slices") is not None:
        options[SLICES] = slices(given["slices"])
    if given.get("bundle") is not None:
        options[bundles.OPTION] = bundles.checked(given["bundle"])
    if given.get("cold") is not None:
        options[COLD] = bool(given["cold"])
    if given.get("resume") is not None:
        options["resume"] = given["resume"]
    _check(options)
    options |= launchers.checked(given["launcher"], given["ranks_per_node"])
    if slurm or typed:
        options["slurm"] = terms.with_gpu_type(slurm, typed)
    bundles.check_beside(options)
    asked = Asked(
        cpus=given["cpus"],
        gpus=None if typed else gpus,
        memory_mb=memory_mb(given["mem"]) if given["mem"] else None,
        minutes=minutes(given["time"]) if given["time"] else None,
        gpu_memory_mb=memory_mb(given["gpu_mem"], "--gpu-mem") if given["gpu_mem"] else None,
    )
    return asked, options


def _check(options: dict[str, Any]) -> None:
    from jobs.errors import BadInput

    if options.get("jobs_per_gpu", 1) < 1:
        raise BadInput(f"--jobs-per-gpu must be at least 1 (got {options['jobs_per_gpu']})")
    if not 0 <= options.get("checkpoint_every", 0) < float("inf"):
        raise BadInput(f"--checkpoint-every must be a number of seconds from 0 on (got {options['checkpoint_every']})")
    if not 1 < options.get("retry_oom_mem", 2) <= 10:
        raise BadInput(f"--retry-oom-mem must be above 1 and at most 10 (got {options['retry_oom_mem']})")


def change_of(given: Mapping[str, Any]) -> Change:
    """What `orch set` and `orch retry` change. Raises BadInput."""
    from db.changes import Change
    from jobs.errors import BadInput
    from jobs.words import BackendName
    from orchestrator.terms import checked_change

    asked, options = asked_for(given)
    slurm = dict(options.pop("slurm", {}))
    backend = given["backend"]
    if backend is not None and backend not in tuple(BackendName):
        raise BadInput(f"--backend takes local or slurm here (got '{backend}')")
    own, asked = checked_change(slurm, asked)
    options |= reported_of(given).options()
    return Change(asked=asked, backend=backend, priority=given["priority"], slurm=own, options=options)
