"""`orch compare`: what a study's groups or the report's claims come to, in every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from db.store import Store
from jobs.errors import BadInput
from orchestrator.report.gathering import study_rows
from orchestrator.report.outputs import Output, split
from orchestrator.stopping import told
from orchestrator.tables.filters import parse, select
from orchestrator.tables.grid import Grid
from orchestrator.tables.japanese import japanese
from orchestrator.tables.values import parts
from orchestrator.tables.words import Language


class Comparisons(Output):
    """Every comparison that was asked for."""

    def __init__(
        self,
        store: Store,
        study: str,
        *,
        by: str | None,
        baseline: str | None,
        metrics: str | None,
        tasks: str | None,
        margin: float | None,
        paired: bool,
        filters: Sequence[str],
        lang: Language = "en",
    ) -> None:
        from db.studytables import layouts
        from orchestrator.comparison import anystudy
        from orchestrator.report.questions import Answers, answers, by_what_varies
        from orchestrator.tables import default

        with store.read() as connection:
            self.rules, self.rule = told.lines(connection, study), told.contract(connection, study)
            laid, sides = layouts(connection, study), told.compares(connection, study)
        self.lang: Language = lang
        rows = select(study_rows(store, study), filters)
        if not rows:
            raise BadInput(f"study '{study}' has no job to compare: 'orch status' lists its jobs")
        if not (by or metrics or baseline or tasks):
            self.answers = answers(rows, laid, sides, margin=margin, paired=paired)
            return
        apart = [tasks] if tasks else []
        reference = named(baseline)
        numbers = split(metrics, "--metric") if metrics else []
        if not by:
            found = by_what_varies(rows, metrics=numbers, baseline=reference, tasks=apart, margin=margin, paired=paired)
        else:
            found = [
                anystudy.compare(
                    rows, split(by, "--by"), one, baseline=reference, tasks=apart, margin=margin, paired=paired
                )
                for one in numbers or default.metrics(rows)[:1]
            ]
        self.answers = Answers(compared=found)

    def text(self, format: str) -> str:
        from orchestrator.comparison import wording
        from orchestrator.tables.render import dump, rectangle, write

        if format == "json":
            found = [wording.claims_data(one) for one in self.answers.claims]
            found += [wording.compared_data(one) for one in self.answers.compared]
            if self.rule is not None:
                found = [{**one, "rule": self.rule} for one in found]
            return dump(found[0] if len(found) == 1 else found)
        if format == "csv":
            records = rectangle([record for grid in self.grids() for record in grid.records])
            return write([Grid(caption="", headings=[], rows=[], records=records)], "csv")
        return write(self.grids(), format)

    def grids(self) -> list[Grid]:
        found = self.answers.grids(self.lang)
        rules = [japanese(one) for one in self.rules] if self.lang == "ja" else self.rules
        return [replace(grid, notes=[*grid.notes, *rules]) if grid is found[0] else grid for grid in found]


def named(baseline: str | None) -> dict[str, str]:
    """`lr=0.1,opt=sgd`, each key with its value. Raises BadInput."""
    if not baseline:
        return {}
    found: dict[str, str] = {}
    for one in parts(baseline):
        condition = parse(one)
        if condition.sign != "=":
            raise BadInput(f"--baseline names one group, like lr=0.1, and not '{one}'")
        found[condition.key] = condition.wanted
    return found
