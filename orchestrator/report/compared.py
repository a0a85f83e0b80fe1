"""`orch compare`: what a study's groups or the report's claims come to, in every format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from db.store import Store
from jobs.errors import BadInput
from orchestrator.report.gathering import study_rows
from orchestrator.report.outputs import Output, split
from orchestrator.stopping import told
from orchestrator.tables.filters import parse, select
from orchestrator.tables.grid import Grid
from orchestrator.tables.values import parts


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
    ) -> None:
        from orchestrator.comparison import anystudy, claims
        from orchestrator.tables import default
        from orchestrator.tables.table2 import build_all

        with store.read() as connection:
            self.rules, self.rule = told.lines(connection, study), told.contract(connection, study)
        rows = select(study_rows(store, study), filters)
        if not rows:
            raise BadInput(f"study '{study}' has no job to compare: 'orch status' lists its jobs")
        tables = build_all(rows)
        self.claims: list[claims.Claims] = []
        self.compared: list[anystudy.Compared] = []
        if not by and not metrics and not baseline and not tasks and default.wants_table2(rows, tables):
            self.claims = [claims.claims(table, margin=margin, paired=paired) for table in tables]
            if not any(one.families for one in self.claims):
                raise BadInput("nothing to compare yet: no two rows of Table 2 have a number; or name keys by --by")
            return
        options = {"baseline": named(baseline), "tasks": tasks or "", "margin": margin, "paired": paired}
        if by:
            for metric in split(metrics, "--metric") if metrics else default.metrics(rows)[:1]:
                self.compared.append(anystudy.compare(rows, split(by, "--by"), metric, **options))  # type: ignore[arg-type]
            return
        shown = [part for part in default.parts(rows) if part.metrics]
        if not shown:
            raise BadInput("nothing to compare yet: no job has reported a number")
        keys = [[key for key in part.by if key != tasks] for part in shown]
        for part, own in zip(shown, keys, strict=True):
            if len(shown) > 1 and own in (["program"], ["kind"]):
                continue  # a stage in which nothing varies
            for metric in split(metrics, "--metric") if metrics else part.metrics[:1]:
                self.compared.append(anystudy.compare(part.rows, own, metric, **options))  # type: ignore[arg-type]
        if not self.compared:
            raise BadInput("nothing to compare: nothing varies between the jobs; name keys by --by")

    def text(self, format: str) -> str:
        from orchestrator.comparison import wording
        from orchestrator.tables.render import dump, rectangle, write

        if format == "json":
            found = [wording.claims_data(one) for one in self.claims]
            found += [wording.compared_data(one) for one in self.compared]
            if self.rule is not None:
                found = [{**one, "rule": self.rule} for one in found]
            return dump(found[0] if len(found) == 1 else found)
        if format == "csv":
            records = rectangle([record for grid in self.grids() for record in grid.records])
            return write([Grid(caption="", headings=[], rows=[], records=records)], "csv")
        return write(self.grids(), format)

    def grids(self) -> list[Grid]:
        from orchestrator.comparison import wording

        found = [grid for one in self.claims for grid in wording.claims_grids(one)]
        found += [grid for one in self.compared for grid in wording.compared_grids(one)]
        return [replace(grid, notes=[*grid.notes, *self.rules]) if grid is found[0] else grid for grid in found]


def named(baseline: str | None) -> Mapping[str, str]:
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
