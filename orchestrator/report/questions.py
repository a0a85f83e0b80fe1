"""What a study compares where nobody says what: the same for `orch compare`, the page and its archive. Pure.

What was registered comes first: the two sides of its rule (`--until`), and the baselines of its tables (`[table]`).
Of the house's study the report's own claims are, too. Only a study with none of these is compared by what varies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from db.layouts import METRIC, Layout
from db.rows import ResultRow
from jobs.errors import BadInput
from orchestrator.comparison import anystudy, claims, wording
from orchestrator.comparison.anystudy import Compared, Incomparable, TooMany
from orchestrator.comparison.claims import Claims
from orchestrator.report.laid import laid_out, not_laid_out
from orchestrator.stopping.grammar import Compares
from orchestrator.tables import default
from orchestrator.tables.filters import select
from orchestrator.tables.grid import Grid
from orchestrator.tables.japanese import spoken
from orchestrator.tables.table2 import build_all
from orchestrator.tables.words import Language

MOST_JOBS, MOST_CONTRASTS = 20_000, 40
"""More than these, in one table, have no place on a page: each contrast is drawn 2,000 times."""
BY_RULE = (
    "the two sides of the study's rule (--until), which says when there were enough seeds: the p and the interval "
    "here are not adjusted for that, those of the rule are"
)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The report's claims, and what was compared beside them."""

    claims: Sequence[Claims] = ()
    compared: Sequence[Compared] = ()

    def grids(self, lang: Language = "en") -> list[Grid]:
        """All tables."""
        found = [grid for one in self.claims for grid in wording.claims_grids(one, lang)]
        return found + [spoken(grid, lang) for one in self.compared for grid in wording.compared_grids(one)]

    @property
    def contrasts(self) -> int:
        """How many comparisons these are."""
        families = [family for one in self.claims for family in one.families]
        return sum(len(one.contrasts) for one in (*families, *(one.family for one in self.compared)))


def answers(
    rows: Sequence[ResultRow],
    layouts: Sequence[Layout] = (),
    rule: Compares | None = None,
    *,
    margin: float | None = None,
    paired: bool = True,
    most: int | None = None,
) -> Answers:
    """Every comparison of a study's jobs. `most`: so many in one table, or TooMany.

    Raises Incomparable where there is none; BadInput where one must be named.
    """
    compared = [*_of_the_rule(rows, rule, margin, paired), *_of_tables(rows, layouts, margin, paired, most)]
    house, said = _claims(rows, layouts, margin, paired)
    if not house and not compared:
        if said:
            raise Incomparable(said)
        compared = by_what_varies(rows, margin=margin, paired=paired, most=most)
    return Answers(claims=house, compared=compared)


def _of_the_rule(
    rows: Sequence[ResultRow], rule: Compares | None, margin: float | None, paired: bool
) -> list[Compared]:
    own = [row for row in rows if rule is not None and row.job in rule.jobs and rule.metric in row.metrics]
    if rule is None or not own:
        return []
    by = [key for part in default.parts(own) for key in part.by]
    by = list(dict.fromkeys([*(key for key in by if key not in ("program", "kind")), *rule.second]))
    try:
        found = anystudy.compare(own, by, rule.metric, baseline=rule.second, margin=margin, paired=paired)
    except BadInput:
        return []  # one side alone has a number yet, or has lost its name: the rule's own line says how far it is
    family = replace(found.family, title=f"{found.family.title} (rule)", notes=(*found.family.notes, BY_RULE))
    return [replace(found, family=family)]


def _of_tables(
    rows: Sequence[ResultRow], layouts: Sequence[Layout], margin: float | None, paired: bool, most: int | None
) -> Iterator[Compared]:
    """Each number of the tables with a baseline, as the table calls it."""
    for laid in laid_out([one for one in layouts if one.baseline], rows, rows):
        by = [key for key in laid.layout.rows if key != METRIC]
        tasks = [key for key in laid.layout.columns if key != METRIC]
        chosen = select(laid.rows, laid.layout.filters)
        for place, metric in enumerate(laid.layout.metrics):
            if not any(metric.removeprefix("metrics.") in row.metrics for row in chosen):
                continue
            try:
                found = anystudy.compare(
                    chosen,
                    by,
                    metric,
                    baseline=laid.layout.baseline,
                    tasks=tasks,
                    margin=margin,
                    paired=paired,
                    most=most,
                )
            except TooMany:
                raise
            except BadInput:
                continue  # a filter or an import left no baseline: the table's own note says so
            told = replace(found.family, title=laid.grouped.title, metric=laid.grouped.headings[place])
            yield replace(found, family=told)


def _claims(
    rows: Sequence[ResultRow], layouts: Sequence[Layout], margin: float | None, paired: bool
) -> tuple[list[Claims], str]:
    """The report's claims of the house's jobs, and why there are none where there might be."""
    others = not_laid_out(layouts, rows)
    tables = build_all(others)
    if not others or not default.wants_table2(others, tables):
        return [], ""
    found = [claims.claims(table, margin=margin, paired=paired) for table in tables]
    if any(one.families for one in found):
        return found, ""
    return [], "nothing to compare yet: no two rows of Table 2 have a number; or name keys by --by"


def by_what_varies(
    rows: Sequence[ResultRow],
    *,
    metrics: Sequence[str] = (),
    baseline: dict[str, str] | None = None,
    tasks: Sequence[str] = (),
    margin: float | None = None,
    paired: bool = True,
    most: int | None = None,
) -> list[Compared]:
    """The groups of each program by what varies; `metrics`: not the most important number but these.

    Raises Incomparable where nothing varies or no job has a number; BadInput as `anystudy.compare`.
    """
    shown = [part for part in default.parts(rows) if part.metrics]
    if not shown:
        raise Incomparable("nothing to compare yet: no job has reported a number")
    found = []
    for part in shown:
        own = [key for key in part.by if key not in tasks]
        if len(shown) > 1 and own in (["program"], ["kind"]):
            continue  # a stage in which nothing varies
        found += [
            anystudy.compare(
                part.rows, own, one, baseline=baseline, tasks=tasks, margin=margin, paired=paired, most=most
            )
            for one in metrics or part.metrics[:1]
        ]
    if not found:
        raise Incomparable("nothing to compare: nothing varies between the jobs; name keys by --by")
    return found


def on_a_page(
    rows: Sequence[ResultRow], layouts: Sequence[Layout], rule: Compares | None, lang: Language
) -> tuple[list[Grid], str]:
    """The tables of a page, or the sentence why there are none; neither where there is nothing to compare."""
    if len(rows) > MOST_JOBS:
        return [], f"{len(rows)} jobs are too many to compare on a page: 'orch compare' does"
    try:
        found = answers(rows, layouts, rule, most=MOST_CONTRASTS)
    except Incomparable:
        return [], ""
    except BadInput as error:
        return [], str(error)
    return found.grids(lang), ""
