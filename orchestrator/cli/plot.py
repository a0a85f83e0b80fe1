"""`orch plot`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from orchestrator.cli.options import archive_option, open_study, store_option, study_option

GENERAL = ("bars", "box", "scatter", "heatmap", "forest", "paired", "profile")
COMPARING = ("forest", "paired", "profile")


@click.command()
@click.argument("figure")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File: .png, .svg or .pdf (FIGURE.png).")
@click.option("--filter", "filters", multiple=True, help="Only these jobs: method=A, dataset=digits (repeatable).")
@click.option("--job", "jobs", type=int, multiple=True, help="Only this job (repeatable): for graph, alpha, curves.")
@click.option(
    "--epoch", "epochs", type=int, multiple=True, help="Of alpha: after this epoch of the search (repeatable)."
)
@click.option("--metric", help="Of curves and pareto (default: test_accuracy, or what the jobs report).")
@click.option("--x", "x_key", help="Of bars, box, scatter, heatmap: a parameter (scatter: or a reported number).")
@click.option("--y", "y_key", help="Of these: the number to show.")
@click.option("--hue", help="Of these and curves: a parameter told apart by colour (heatmap: its lines).")
@click.option("--facet", help="Of these: a parameter with a panel for each value.")
@click.option("--baseline", help="Of forest and paired: compare the others with this group, like lr=0.1.")
@click.option("--lang", default="en", show_default=True, help="Language of its words: en or ja.")
@study_option
@archive_option
@store_option
def command(
    figure: str,
    out: Path | None,
    filters: Sequence[str],
    jobs: Sequence[int],
    epochs: Sequence[int],
    metric: str | None,
    x_key: str | None,
    y_key: str | None,
    hue: str | None,
    facet: str | None,
    baseline: str | None,
    lang: str,
    study: str | None,
    archive: Path | None,
    store_path: Path | None,
) -> None:
    """Draw a FIGURE of any study (bars, box, scatter, heatmap, curves, gantt), or of the report.

    \b
    fig1  accuracy against parameters        fig2  accuracy against number of shortcuts
    fig3  test accuracy during the search    fig4-6  searched architectures (A, B, A pretrained)
    fig7  gates without pretraining          fig8  gates with pretraining
    graph, alpha  of the chosen jobs         curves  learning curves with a band over seeds
    pareto  accuracy against parameters      gantt  executions by node, with causes
    bars, box, scatter, heatmap              any number over any parameters
    forest, paired, profile                  what 'orch compare' says (--facet: tasks)

    \b
    Example:
      orch plot fig1 --out fig1.pdf
      orch plot curves --filter kind=random-baseline --out curves.svg
      orch plot bars --x lr --y acc --hue opt
      orch plot forest --x lr --y acc --baseline lr=0.1
    """
    from difflib import get_close_matches

    from jobs.errors import BadInput
    from orchestrator.figures import FIGURES, FORMATS, Axes, draw
    from orchestrator.report.compared import named
    from orchestrator.report.gathering import figure_data
    from orchestrator.tables.words import language

    if figure not in FIGURES:
        near = get_close_matches(figure, FIGURES, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known figures: {', '.join(FIGURES)}"
        raise BadInput(f"unknown figure '{figure}': {hint}")
    chosen = language(lang)
    path = out or Path(f"{figure}.png")
    if path.suffix.removeprefix(".").lower() not in FORMATS:
        raise BadInput(f"cannot tell a figure's format from '{path.name}': end it in .{', .'.join(FORMATS)}")
    store, _, name = open_study(store_path, study, archive)
    asked = {"--x": x_key, "--y": y_key, "--hue": hue, "--facet": facet}
    allowed = ("--y", "--hue", "--facet") if figure == "curves" else asked if figure in GENERAL else ()
    for option, given in asked.items():
        if given and option not in allowed:
            raise BadInput(f"{option} says nothing to '{figure}': it is for {', '.join(GENERAL)}")
    if baseline and figure not in COMPARING:
        raise BadInput(f"--baseline says nothing to '{figure}': it is for {', '.join(COMPARING)}")
    axes = Axes(baseline=named(baseline), x=x_key or "", y=y_key or "", hue=hue or "", facet=facet or "")
    data = figure_data(
        store, name, figure, filters=filters, jobs=jobs, epochs=epochs, metric=metric or y_key, axes=axes
    )
    draw(figure, data, path, chosen)
    click.echo(f"wrote {path}", err=True)
