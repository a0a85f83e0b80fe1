"""`orch compare`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from orchestrator import text
from orchestrator.cli.options import archive_option, json_option, open_study, store_option, study_option


@click.command()
@click.option("--by", help="Compare the groups by these keys, like lr,opt (default: what varies).")
@click.option("--baseline", help="Compare the others with this group, like lr=0.1 (default: each with each).")
@click.option("--metric", "metrics", help="These numbers, like val/acc (default: the most important one).")
@click.option("--margin", type=float, help="Also test whether each difference lies within ± this.")
@click.option("--tasks", help="A key whose values are tasks, as a data set: never compared, averaged over.")
@click.option("--unpaired", is_flag=True, help="Seeds mean nothing: never pair by them.")
@click.option("--filter", "filters", multiple=True, help="Only these jobs: opt=sgd (repeatable).")
@click.option("--lang", default="en", show_default=True, help="Language of its words: en or ja.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File: .md, .tex, .csv, .json or .html.")
@study_option
@json_option
@archive_option
@store_option
def command(
    by: str | None,
    baseline: str | None,
    metrics: str | None,
    margin: float | None,
    tasks: str | None,
    unpaired: bool,
    filters: Sequence[str],
    lang: str,
    out: Path | None,
    study: str | None,
    as_json: bool,
    archive: Path | None,
    store_path: Path | None,
) -> None:
    """Is A better than B, by how much, and what could so few seeds have shown?

    Differences paired by seed with intervals, t tests adjusted by Holm, Hedges g, the probability of improvement,
    interquartile means. Beside every p stand the smallest difference that this n could have shown and the n that
    the seen one would need. Without --by: what the study registered (a rule of --until, the baseline of [table]),
    in the house's study the report's own claims; else what varies.

    \b
    Example:
      orch compare --by lr --baseline lr=0.1 --metric test_acc
      orch compare --by opt --tasks data --margin 0.2
      orch plot forest --x lr --y test_acc --baseline lr=0.1
    """
    from math import isfinite

    from jobs.errors import BadInput
    from orchestrator.cli.table import show_table, write_file
    from orchestrator.report.compared import Comparisons
    from orchestrator.tables.render import format_of
    from orchestrator.tables.words import language

    if margin is not None and not (isfinite(margin) and margin > 0):
        raise BadInput(f"--margin must be a positive number in the metric's unit (got {margin:g})")
    chosen = language(lang)
    format = "" if out is None else format_of(out)
    store, _, name = open_study(store_path, study, archive)
    found = Comparisons(
        store,
        name,
        by=by,
        baseline=baseline,
        metrics=metrics,
        tasks=tasks,
        margin=margin,
        paired=not unpaired,
        filters=filters,
        lang=chosen,
    )
    if out is not None:
        write_file(out, found.text(format))
        click.echo(f"wrote {out}", err=True)
    if as_json:
        click.echo(text.json(found.text("json")), nl=False)
    elif out is None:
        show_table(found)
