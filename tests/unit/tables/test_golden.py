"""Table 2 to the byte: what the general engine writes of it is what its readers have always had."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.tables import stats
from orchestrator.tables.render import FORMATS, render
from orchestrator.tables.table2 import build_all
from orchestrator.tables.words import language
from tests.helpers.plausible import published_rows, study_rows

GOLDEN = Path(__file__).parents[2] / "golden" / "table2"
STUDIES = {"published": published_rows, "study": study_rows}


_LONG = re.compile(r"\d+\.\d{9,}(e-?\d+)?")


def written(study: str, format: str, lang: str) -> str:
    """Table 2 of these rows with its statistics."""
    tables = build_all(STUDIES[study]())
    beside = [stats.compute(table) for table in tables]
    return render(tables, format, lang=language(lang), stats=beside)


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_table_2_is_what_it_was(study: str, lang: str) -> None:
    for format in FORMATS:
        golden, found = (GOLDEN / f"{study}.{lang}.{format}").read_text(), written(study, format, lang)
        if format in ("csv", "json"):  # the last bits of a statistic belong to scipy
            golden, found = (_LONG.sub(lambda number: f"{float(number[0]):.9g}", text) for text in (golden, found))
        assert found == golden, f"{study}, {lang}, {format}"
