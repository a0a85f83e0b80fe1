"""Learning curves with a band over seeds, and Figure 3: test accuracy during the search, scratch against pretrained."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, TypeVar

from db.rows import Curve
from orchestrator.figures.data import FigureData, NothingToDraw
from orchestrator.figures.style import BLUE, DASHES, VERMILION, canvas, colour, heading, title, whole_numbers
from orchestrator.statistics import summarize
from orchestrator.tables.cells import ACCURACY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Look = tuple[str, str]
"""(colour, dashes)."""
Key = TypeVar("Key", bound=Hashable)


def search(data: FigureData) -> Figure:
    """Figure 3: test accuracy by search epoch; colour says scratch or pretrained, dashes the method."""
    searches = [curve for curve in data.curves if curve.kind == "search"]
    groups = _groups(searches, ACCURACY, lambda c: (str(c.config.get("method", "")), bool(c.config.get("pretrained"))))
    if not groups:
        raise NothingToDraw("nothing to draw: no search has reported a test accuracy yet (orch submit search)")
    figure = canvas(6.8, 4.2)
    axes = figure.add_subplot()
    methods = sorted({method for method, _ in groups})
    for (method, pretrained), members in sorted(groups.items()):
        dashes = DASHES[methods.index(method) % len(DASHES)]
        name = f"{method}, {'pretrained' if pretrained else 'from scratch'}"
        look = (VERMILION if pretrained else BLUE, dashes)
        _band(axes, members, ACCURACY, name, look)
    whole_numbers(axes)
    axes.set_xlabel("search epoch")
    axes.set_ylabel("test accuracy (%)")
    figure.legend(loc="outside lower center", ncols=2)
    title(axes, "Test accuracy during the search", f"{data.setting()}, n = {len(searches)} searches; band: ± std")
    return figure


def learning(data: FigureData) -> Figure:
    """Any per-epoch metric: mean over the seeds of a group, with a band of ± std."""
    metric = data.metric
    groups = _groups(data.curves, metric, _name)
    if not groups:
        have = sorted({name for curve in data.curves for _, values in curve.points for name in values})
        known = f" (known: {', '.join(have)})" if have else ""
        raise NothingToDraw(f"nothing to draw: no job has reported the per-epoch metric '{metric}'{known}")
    kinds = sorted({members[0].kind for members in groups.values()})
    figure = canvas(8.4, 0.8 + 2.9 * len(kinds))
    for line, kind in enumerate(kinds):
        axes = figure.add_subplot(len(kinds), 1, line + 1)
        own = {name: members for name, members in groups.items() if members[0].kind == kind}
        for index, name in enumerate(sorted(own, key=_natural)):
            _band(axes, own[name], metric, name, (colour(index), DASHES[index // 7 % len(DASHES)]))
        whole_numbers(axes)
        axes.set_xlabel("epoch")
        axes.set_ylabel(metric.replace("_", " ") + (" (%)" if metric.endswith("accuracy") else ""))
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    n = sum(len(members) for members in groups.values())
    heading(figure, f"Learning curves: {metric.replace('_', ' ')}", f"{data.setting()}, n = {n} jobs; band: ± std")
    return figure


def _groups(curves: Sequence[Curve], metric: str, key: Callable[[Curve], Key]) -> dict[Key, list[Curve]]:
    """The curves that have the metric, by key."""
    found: dict[Key, list[Curve]] = {}
    for curve in curves:
        if any(_finite(values, metric) is not None for _, values in curve.points):
            found.setdefault(key(curve), []).append(curve)
    return found


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
    if config.get("name"):
        parts.append(str(config["name"]))
    return " ".join(part for part in parts if part)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts 'A 50' before 'A 100'."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in name.split()]


def _band(axes: Axes, members: Sequence[Curve], metric: str, name: str, look: Look) -> None:
    by_epoch: dict[int, list[float]] = {}
    for curve in members:
        for epoch, values in curve.points:
            one = _finite(values, metric)
            if one is not None:
                by_epoch.setdefault(epoch, []).append(one)
    epochs = sorted(by_epoch)
    summaries = [summarize(by_epoch[epoch]) for epoch in epochs]
    centre = [summary.mean or 0.0 for summary in summaries]
    spread = [summary.std or 0.0 for summary in summaries]
    shade, dashes = look
    marker = "o" if len(epochs) == 1 else ""
    axes.plot(epochs, centre, dashes, color=shade, marker=marker, label=f"{name} (n = {len(members)})")
    if len(members) > 1:
        low = [one - std for one, std in zip(centre, spread, strict=True)]
        high = [one + std for one, std in zip(centre, spread, strict=True)]
        axes.fill_between(epochs, low, high, color=shade, alpha=0.18, linewidth=0)


def _finite(values: Mapping[str, float | None], metric: str) -> float | None:
    found = values.get(metric)
    return found if found is not None and isfinite(found) else None
