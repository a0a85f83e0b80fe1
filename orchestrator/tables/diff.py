"""A table beside a published one: the differences, and no verdict, since the published n is unknown (study.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from jobs.errors import BadInput
from orchestrator.tables.cells import ACCURACY
from orchestrator.tables.grid import Grid
from orchestrator.tables.japanese import spoken
from orchestrator.tables.render import DATASETS, caption, dump, write
from orchestrator.tables.statistics import Summary
from orchestrator.tables.stats import signed
from orchestrator.tables.table2 import BASELINE, METRICS, CellKey, Row, Table2
from orchestrator.tables.table2cells import DIGITS, cell_text, random_text
from orchestrator.tables.words import Language, label, number_text, variant_text, word

REPORT = "report"
QUANTITIES = (*METRICS, "random_accuracy")


class Number(msgspec.Struct, frozen=True):
    """Mean and std as published; None where there is none."""

    mean: float | None = None
    std: float | None = None


class PublishedRow(msgspec.Struct, frozen=True):
    """One row in the form of `table --json`."""

    architecture: str
    epoch: int | None = None
    test_accuracy: Number | None = None
    params_m: Number | None = None
    shortcuts: Number | None = None
    random_accuracy: Number | None = None


class Published(msgspec.Struct, frozen=True):
    """A published table in the form of `table --json`."""

    dataset: str
    preset: str
    rows: tuple[PublishedRow, ...]
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One quantity here and as published; `row` is None where it is only published."""

    architecture: str
    epoch: int | None
    quantity: str
    row: Row | None
    ours: Summary | None
    """Only of a complete cell."""
    theirs: Number | None

    @property
    def difference(self) -> float | None:
        if self.ours is None or self.theirs is None or self.ours.mean is None or self.theirs.mean is None:
            return None
        return self.ours.mean - self.theirs.mean


@dataclass(frozen=True, kw_only=True)
class Diff:
    """All differences, row by row."""

    table: Table2
    published: Published
    differences: tuple[Difference, ...]


def load(source: str) -> Published:
    """The report's own table by the word 'report', else a file that `table --out FILE.json` wrote. Raises BadInput."""
    if source == REPORT:
        data = files("orchestrator.tables").joinpath("published.json").read_bytes()
    else:
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise BadInput(f"cannot read '{source}': {error.strerror}; give 'report' or a table's JSON file") from None
    try:
        return msgspec.json.decode(data, type=Published)
    except msgspec.DecodeError as error:
        raise BadInput(f"'{source}' is no table in JSON ({error}): write one by 'orch table --out FILE.json'") from None


def compare(table: Table2, published: Published) -> Diff:
    """Both tables row by row. Raises BadInput where the data sets differ: such numbers never stand side by side."""
    if table.dataset is not None and table.dataset != published.dataset:
        raise BadInput(
            f"this table is of {table.dataset} and the other one of {published.dataset}: numbers of different data "
            "sets are never set side by side; compare with a table of the same data set"
        )
    theirs: dict[CellKey, PublishedRow] = {(row.architecture, row.epoch): row for row in published.rows}
    found: list[Difference] = []
    for row in table.rows:
        found += _differences(row.architecture, row.epoch, row, theirs.get((row.architecture, row.epoch)))
    here = {(row.architecture, row.epoch) for row in table.rows}
    for key, other in theirs.items():
        if key not in here:
            found += _differences(*key, None, other)
    return Diff(table=table, published=published, differences=tuple(found))


def render(diff: Diff, format: str, lang: Language = "en") -> str:
    """In any format of tables; JSON holds unrounded numbers."""
    return dump(contract(diff)) if format == "json" else write([to_grid(diff, lang)], format)


def contract(diff: Diff) -> dict[str, Any]:
    """Plain data: one entry for each row and quantity."""
    return {
        "dataset": diff.table.dataset,
        "preset": diff.table.preset,
        "published": {"preset": diff.published.preset, "source": diff.published.source},
        "differences": [_record(one) for one in diff.differences],
    }


def to_grid(diff: Diff, lang: Language = "en") -> Grid:
    """One line for each row and quantity: here, published, difference."""
    shown = []
    for one in diff.differences:
        digits = DIGITS.get(one.quantity, DIGITS[ACCURACY])
        name = word(one.architecture, lang) if one.architecture == BASELINE else ""
        if one.row is not None:
            name = label(one.row, lang)
        epoch = "" if one.epoch is None else word("epoch", lang, epoch=one.epoch)
        told = variant_text(one.row) if one.row is not None else ""
        theirs = Summary(n=0, mean=None, std=None)
        if one.theirs is not None:
            theirs = Summary(n=0, mean=one.theirs.mean, std=one.theirs.std)
        shown.append(
            [
                name or word("searched", lang, name=one.architecture),
                f"{epoch} ({told})".strip() if told else epoch,
                word(one.quantity, lang),
                _ours_text(one, lang),
                number_text(theirs, digits),
                "-" if one.difference is None else signed(one.difference, digits),
            ]
        )
    notes = [f"{word('theirs', lang)}: {diff.published.source}"] if diff.published.source else []
    if diff.table.preset is not None and diff.table.preset != diff.published.preset:
        other = (DATASETS.get(diff.published.dataset, diff.published.dataset), diff.published.preset)
        notes.append(f"the presets differ: here {diff.table.preset}, published {other[1]} ({other[0]})")
    names = ("ours", "theirs", "difference")
    grid = Grid(
        caption=caption(diff.table, lang),
        headings=[word("architecture", lang), "", word("metric", lang), *(word(name, lang) for name in names)],
        rows=shown,
        text_columns=3,
        notes=notes,
        records=[_record(one) for one in diff.differences],
    )
    return spoken(grid, lang)


def _differences(
    architecture: str, epoch: int | None, row: Row | None, published: PublishedRow | None
) -> list[Difference]:
    found = []
    for quantity in QUANTITIES:
        cell = None if row is None else row.random if quantity == "random_accuracy" else row.cell
        ours = None
        if cell is not None and cell.complete:
            ours = cell.summary(ACCURACY if quantity == "random_accuracy" else quantity)
        theirs = None if published is None else getattr(published, quantity)
        if architecture == BASELINE and quantity == "random_accuracy":
            continue
        found.append(
            Difference(architecture=architecture, epoch=epoch, quantity=quantity, row=row, ours=ours, theirs=theirs)
        )
    return found


def _ours_text(one: Difference, lang: Language) -> str:
    if one.row is None:
        return "-"
    if one.quantity == "random_accuracy":
        return random_text(one.row, lang)
    return cell_text(one.row.cell, one.quantity, lang)


def _record(one: Difference) -> Mapping[str, object]:
    return {
        "architecture": one.architecture,
        "epoch": one.epoch,
        **({"variant": dict(one.row.variant)} if one.row is not None and one.row.variant else {}),
        "quantity": one.quantity,
        "mean": None if one.ours is None else one.ours.mean,
        "std": None if one.ours is None else one.ours.std,
        "published_mean": None if one.theirs is None else one.theirs.mean,
        "published_std": None if one.theirs is None else one.theirs.std,
        "difference": one.difference,
    }
