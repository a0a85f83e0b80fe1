"""Learning curves with a band over seeds, and Figure 3: test accuracy during the search, scratch against pretrained."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from math import isfinite, nan
from typing import TYPE_CHECKING, TypeVar

from db.rows import Curve, ResultRow
from orchestrator.figures.data import FigureData, NothingToDraw
from orchestrator.figures.style import (
    BLUE,
    DASHES,
    MARKERS,
    VERMILION,
    canvas,
    colour,
    heading,
    named,
    title,
    whole_numbers,
    words,
)
from orchestrator.tables.cells import ACCURACY, replicate, split
from orchestrator.tables.keys import check, known, text, value
from orchestrator.tables.statistics import summarize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PIECES = 3
"""So many different n of one curve are told by their epochs."""
MARKS = 8
"""So many marks stand on a curve: they tell the curves apart in grey."""
Look = tuple[str, str, str]
"""(colour, dashes, marker)."""
Key = TypeVar("Key", bound=Hashable)


def search(data: FigureData) -> Figure:
    """Figure 3: test accuracy by search epoch; colour says scratch or pretrained, dashes the method."""
    searches = [curve for curve in data.curves if curve.kind == "search"]
    groups = _groups(
        data, searches, ACCURACY, lambda c: (str(c.config.get("method", "")), bool(c.config.get("pretrained")))
    )
    if not groups:
        raise NothingToDraw("nothing to draw: no search has reported a test accuracy yet (orch submit search)")
    figure = canvas(6.8, 4.2)
    axes = figure.add_subplot()
    methods = sorted({method for (method, _), _ in groups})
    variants = sorted({variant for _, variant in groups})
    for ((method, pretrained), variant), members in sorted(groups.items()):
        dashes = DASHES[methods.index(method) % len(DASHES)]
        marker = MARKERS[(2 * variants.index(variant) + pretrained) % len(MARKERS)]
        name = ", ".join(part for part in (method, "pretrained" if pretrained else "from scratch", variant) if part)
        look = (VERMILION if pretrained else BLUE, dashes, marker)
        _band(axes, members, ACCURACY, name, look)
    whole_numbers(axes)
    axes.set_xlabel("search epoch")
    axes.set_ylabel("test accuracy (%)")
    figure.legend(loc="outside lower center", ncols=2, handlelength=3.5)
    n = sum(len(members) for members in groups.values())
    number = f"{n} search{'es' if n > 1 else ''}"
    title(axes, "Test accuracy during the search", f"{data.setting()}, n = {number}{_bands(groups)}")
    return figure


def learning(data: FigureData) -> Figure:
    """Any per-epoch metric: mean over the seeds of a group, with a band of ± std."""
    metric = data.metric
    rows = {row.job: row for row in data.rows}
    hue, facet = data.axes.hue, data.axes.facet
    check([key for key in (hue, facet) if key], known(data.rows), "key")

    def name_of(curve: Curve) -> str:
        return f"{words(hue)} {text(value(rows[curve.job], hue))}" if hue else _name(curve)

    def panel_of(curve: Curve) -> str:
        return f"{words(facet)} {text(value(rows[curve.job], facet))}" if facet else curve.kind

    split_groups = _groups(data, data.curves, metric, lambda curve: (panel_of(curve), name_of(curve)))
    groups = {(place, f"{name}, {told}" if told else name): it for ((place, name), told), it in split_groups.items()}
    if not groups:
        have = sorted({name for curve in data.curves for _, values in curve.points for name in values})
        reported = f" (known: {', '.join(have)})" if have else ""
        raise NothingToDraw(f"nothing to draw: no job has reported the per-epoch metric '{metric}'{reported}")
    shown = named(metric, data.rows)
    places = sorted({place for place, _ in groups}, key=_natural)
    figure = canvas(8.4, 0.8 + 2.9 * len(places))
    for line, place in enumerate(places):
        axes = figure.add_subplot(len(places), 1, line + 1)
        if facet:
            axes.set_title(place, fontsize=9)
        own = {name: members for (one, name), members in groups.items() if one == place}
        for index, name in enumerate(sorted(own, key=_natural)):
            look = (colour(index), DASHES[index // 7 % len(DASHES)], MARKERS[index % len(MARKERS)])
            _band(axes, own[name], metric, name, look)
        whole_numbers(axes)
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"{shown} (%)" if shown == words(metric) and _in_percent(metric, groups) else shown)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=3.0)
    n = sum(len(members) for members in groups.values())
    number = f"{n} job{'s' if n > 1 else ''}"
    heading(
        figure,
        f"Learning curves: {shown}",
        f"{data.setting()}, n = {number}{_bands(groups)}",
    )
    return figure


def _in_percent(metric: str, groups: Mapping[Key, Sequence[Curve]]) -> bool:
    """Accuracies of a kind that declares any in percent are percent; what a program calls so may be a fraction."""
    from jobs.kind import kinds

    percent = {name for name, kind in kinds().items() if any(one.unit == "%" for one in kind.metrics)}
    return metric.endswith("accuracy") and {one.kind for members in groups.values() for one in members} <= percent


def _groups(
    data: FigureData, curves: Sequence[Curve], metric: str, key: Callable[[Curve], Key]
) -> dict[tuple[Key, str], list[Curve]]:
    """The curves that have the metric, by key and by the settings in which the jobs of one key differ ('width 1')."""
    coarse: dict[Key, dict[int, Curve]] = {}
    for curve in curves:
        if any(_finite(values, metric) is not None for _, values in curve.points):
            coarse.setdefault(key(curve), {})[curve.job] = curve
    rows: dict[Key, list[ResultRow]] = {}
    original = {row.job: row for row in data.rows}
    of_job = {job: one for one, members in coarse.items() for job in members}
    for row in data.rows:
        if row.job in of_job:
            points = dict(row.config.get("parameters") or {})  # of a command's grid: settings like any other
            flat = {name: value for name, value in row.config.items() if name != "parameters"}
            rows.setdefault(of_job[row.job], []).append(replace(row, config={**flat, **points}))
    found: dict[tuple[Key, str], list[Curve]] = {}
    for one, members in coarse.items():
        for told, same in split(rows.get(one, [])):
            given = {name: value for name, value in told.items() if value not in ("false", "")}
            shown = ", ".join(name if value == "true" else f"{name} {value}" for name, value in given.items())
            # of jobs that a parameter `seed` made one run, the first stands for all
            runs: dict[int | str, int] = {}
            for row in same:
                draw = replicate(original[row.job])
                runs.setdefault(draw if isinstance(draw, str) else row.job, row.job)
            found.setdefault((one, shown), []).extend(members[job] for job in runs.values())
    return found


def _bands(groups: Mapping[Key, Sequence[Curve]]) -> str:
    """What a title says of the bands, where there are any."""
    return "; band: ± std" if any(len(members) > 1 for members in groups.values()) else ""


def _name(curve: Curve) -> str:
    """A group's name: kind, method, search epoch, and what else tells trainings apart."""
    config = curve.config
    parts = [curve.kind, str(config.get("method") or "")]
    if config.get("search_epoch"):
        parts.append(f"{config['search_epoch']} epoch")
    if config.get("pretrained"):
        parts.append("pretrained")
    if config.get("architecture"):
        parts.append(str(config["architecture"])[:24])
    if curve.label or config.get("name"):
        parts.append(curve.label or str(config["name"]))
    return " ".join(part for part in parts if part)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts 'A 50' before 'A 100'."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in name.split()]


def _band(axes: Axes, members: Sequence[Curve], metric: str, name: str, look: Look) -> None:
    """Mean and ± std over the members, where all of them have a value; thin and without a band where some do not."""
    by_epoch: dict[int, list[float]] = {}
    for curve in members:
        for epoch, values in curve.points:
            one = _finite(values, metric)
            if one is not None:
                by_epoch.setdefault(epoch, []).append(one)
    epochs = sorted(by_epoch)
    summaries = [summarize(by_epoch[epoch]) for epoch in epochs]
    centre = [summary.mean or 0.0 for summary in summaries]
    whole = [summary.n == len(members) for summary in summaries]
    shade, dashes, marker = look
    if not all(whole):
        axes.plot(epochs, centre, dashes, color=shade, linewidth=0.7, alpha=0.7)
    axes.plot(
        epochs,
        [one if all_there else nan for one, all_there in zip(centre, whole, strict=True)],
        dashes,
        color=shade,
        marker=marker,
        markersize=4.5,
        markevery=-(-len(epochs) // MARKS),
        label=f"{name} ({counted([(epoch, summary.n) for epoch, summary in zip(epochs, summaries, strict=True)])})",
    )
    if len(members) == 1:
        return
    spread = [summary.std or 0.0 for summary in summaries]
    if sum(whole) == 1:  # a band would have no width
        at = whole.index(True)
        axes.errorbar(epochs[at], centre[at], yerr=spread[at], fmt="none", ecolor=shade, capsize=3)
    else:
        low = [one - std for one, std in zip(centre, spread, strict=True)]
        high = [one + std for one, std in zip(centre, spread, strict=True)]
        axes.fill_between(epochs, low, high, where=whole, color=shade, alpha=0.18, linewidth=0)


def counted(counts: Sequence[tuple[int, int]]) -> str:
    """'n = 3', or 'n = 3, from epoch 6: 2' where a curve ends: of (epoch, how many have a value there), ascending."""
    pieces = [pair for at, pair in enumerate(counts) if at == 0 or counts[at - 1][1] != pair[1]]
    if len(pieces) > PIECES:
        found = {n for _, n in counts}
        return f"n = {min(found)} to {max(found)}"
    return ", ".join([f"n = {pieces[0][1]}", *(f"from epoch {epoch}: {n}" for epoch, n in pieces[1:])])


def _finite(values: Mapping[str, float | None], metric: str) -> float | None:
    found = values.get(metric)
    return found if found is not None and isfinite(found) else None
