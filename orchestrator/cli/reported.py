"""Where a program's numbers are, as options that `submit command`, `set` and `retry` share (docs/numbers.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from jobs.reported import Reported

REPORTED: list[click.Option] = [
    click.Option(
        ["--result-file", "result_files"],
        multiple=True,
        metavar="PATH",
        help="JSON, JSON lines or CSV that it writes: each row is an epoch, the last one the result.",
    ),
    click.Option(
        ["--metric", "metrics"],
        multiple=True,
        metavar="NAME=PATTERN",
        help="A number that it prints: a regular expression with one group. The names epoch and epochs say of which.",
    ),
    click.Option(
        ["--declare", "declared"],
        multiple=True,
        metavar="NAME:KEY=VALUE,…",
        help="How a metric is shown: label=…, unit=…, digits=N, better=higher or lower (docs/numbers.md).",
    ),
    click.Option(["--tensorboard"], multiple=True, metavar="FOLDER", help="TensorBoard's event files below it."),
]


def reported_of(given: Mapping[str, Any]) -> Reported:
    """What the options say, not checked yet against the jobs. Raises BadInput."""
    from orchestrator.submitting.reporting import of_words

    return of_words(
        *(given.get(name, ()) for name in ("result_files", "metrics", "declared", "tensorboard")),
    )
