"""Options of a person's own program, and of what runs here and now: beside the options of every kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

CODE = click.Option(
    ["--code"],
    type=click.Choice(["kept", "live"]),
    default="kept",
    show_default=True,
    help="Run the code as it is at this submit, or as it is when a job starts.",
)
"""Of programs, and of kinds of other packages."""
DEBUG: list[click.Option] = [
    click.Option(["--debug"], is_flag=True, help="Run the first of the jobs here and now, and enqueue nothing."),
    click.Option(["--pdb"], is_flag=True, help="With --debug: end in Python's debugger at an exception."),
]
EXAMPLES = (
    "orch submit command --seeds 5 --name mine -- python train.py --seed {seed}",
    "orch submit command --result-file '{out}/log.csv' -- python train.py {out}",
    r"orch submit command --metric 'acc=Accuracy: ([\d.]+)' -- python train.py",
    "orch submit command --tensorboard '{out}' -- python train.py --logdir {out}",
)
PROGRAM: list[click.Option] = [
    click.Option(
        ["--grid"],
        multiple=True,
        metavar="KEY=VALUES",
        help="Sweep: {KEY} in the arguments. Values: 0.1,0.01 or 1..10 or log:1e-4:1e-1:4 or a JSON list.",
    ),
    click.Option(["--zip", "zipped"], multiple=True, metavar="KEY=VALUES", help="Lists that go together, row by row."),
    click.Option(["--after"], metavar="JOBS", help="Wait until these have succeeded: {after.out} of one."),
    click.Option(["--name", "set_name"], help="A label: no part of what the job is."),
    click.Option(["--stop-signal", "set_stop_signal"], help="How to stop it: TERM (default), INT, USR1, …"),
    click.Option(["--env"], multiple=True, metavar="NAME=VALUE", help="A variable of its environment."),
    CODE,
    click.Option(
        ["--canary/--no-canary"],
        default=None,
        help="Send one of the new jobs first, the others when it works; or all at once. "
        "Default: a canary from 20 new jobs of a program that never ran.",
    ),
    click.Option(["--unused-ok"], is_flag=True, help="A parameter may be left out of the arguments."),
]


def check_debug(given: Mapping[str, Any]) -> None:
    """What makes no sense beside `--debug`. Raises UsageError."""
    if given["pdb"] and not given["debug"]:
        raise click.UsageError("--pdb belongs to --debug ('orch run JOB --pdb' is for a job that is there)")
    for name, option in {"wait": "--wait", "dry_run": "--dry-run", "as_json": "--json"}.items():
        if given["debug"] and given[name]:
            raise click.UsageError(f"--debug runs one job here and enqueues nothing: leave {option} out")
