"""`orch plot`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from orchestrator.cli.options import open_store, store_option, study_option


@click.command()
@click.argument("figure")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File: .png, .svg or .pdf (FIGURE.png).")
@click.option("--filter", "filters", multiple=True, help="Only these jobs: method=A, dataset=digits (repeatable).")
@click.option("--job", "jobs", type=int, multiple=True, help="Only this job (repeatable): for graph, alpha, curves.")
@click.option(
    "--epoch", "epochs", type=int, multiple=True, help="Of alpha: after this epoch of the search (repeatable)."
)
@click.option("--metric", default="test_accuracy", show_default=True, help="Of curves and pareto.")
@study_option
@store_option
def command(
    figure: str,
    out: Path | None,
    filters: Sequence[str],
    jobs: Sequence[int],
    epochs: Sequence[int],
    metric: str,
    study: str | None,
    store_path: Path | None,
) -> None:
    """Draw a FIGURE: fig1 … fig8 of the report, graph, alpha, curves, pareto or gantt.

    \b
    fig1  accuracy against parameters        fig2  accuracy against number of shortcuts
    fig3  test accuracy during the search    fig4-6  searched architectures (A, B, A pretrained)
    fig7  gates without pretraining          fig8  gates with pretraining
    graph, alpha  of the chosen jobs         curves  learning curves with a band over seeds
    pareto  accuracy against parameters      gantt  executions by node, with causes

    \b
    Example:
      orch plot fig1 --out fig1.pdf
      orch plot curves --filter kind=random-baseline --out curves.svg
    """
    from difflib import get_close_matches

    from jobs.errors import BadInput
    from orchestrator.figures import FIGURES, FORMATS, draw
    from orchestrator.gathering import figure_data
    from orchestrator.looking import look
    from orchestrator.views.collect import study_of

    if figure not in FIGURES:
        near = get_close_matches(figure, FIGURES, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known figures: {', '.join(FIGURES)}"
        raise BadInput(f"unknown figure '{figure}': {hint}")
    path = out or Path(f"{figure}.png")
    if path.suffix.removeprefix(".").lower() not in FORMATS:
        raise BadInput(f"cannot tell a figure's format from '{path.name}': end it in .{', .'.join(FORMATS)}")
    store, settings = open_store(store_path)
    look(store, settings)
    with store.read() as connection:
        name = study_of(connection, study, settings)
    draw(figure, figure_data(store, name, figure, filters=filters, jobs=jobs, epochs=epochs, metric=metric), path)
    click.echo(f"wrote {path}", err=True)
