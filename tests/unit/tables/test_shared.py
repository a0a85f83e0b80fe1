"""Rows of one configuration share its very object (db/rowtemplates.py) and are asked once: no number comes of that."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from db.rows import ResultRow
from jobs.errors import BadInput
from jobs.words import JobState
from orchestrator.tables import default, generic
from orchestrator.tables.afterthoughts import notes
from orchestrator.tables.cells import differing, split
from orchestrator.tables.filters import select
from orchestrator.tables.keys import known

TEXTS = st.sampled_from(["0.1", "0.10", "1e-3", "adam", "true", "none", "[1, 2]"])
PROGRAM = st.fixed_dictionaries(
    {"argv": st.just(["python", "train.py", "--lr", "{lr}", "--seed", "{seed}"])},
    optional={
        "parameters": st.dictionaries(st.sampled_from(["lr", "wd", "seed", "acc"]), TEXTS, max_size=3),
        "quoted": st.just(["lr"]),
        "folder": st.just("there"),
    },
)
HOUSE = st.fixed_dictionaries({}, optional={"method": st.just("A"), "repeat": st.integers(1, 2), "epochs": st.just(3)})
OWN = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 3),
        "metrics": st.dictionaries(st.sampled_from(["acc", "loss", "lr"]), st.sampled_from([0.5, 0.93, -0.0, 1e300])),
        "state": st.sampled_from([JobState.SUCCEEDED, JobState.RUNNING, JobState.FAILED]),
        "code": st.sampled_from(["", "c1", "c2"]),
        "device_name": st.sampled_from(["", "H100"]),
        "dropped": st.sampled_from([None, None, "a slip"]),
        "imported": st.booleans(),
    }
)


@st.composite
def studies(draw: st.DrawFn) -> list[ResultRow]:
    """Jobs of a few configurations that share their objects, as a store gives them."""
    configs = draw(st.lists(PROGRAM | HOUSE, min_size=1, max_size=4))
    rows = []
    for job, own in enumerate(draw(st.lists(OWN, min_size=1, max_size=12)), 1):
        config: dict[str, Any] = draw(st.sampled_from(configs))
        kind = "command" if "argv" in config else "evaluate"
        rows.append(ResultRow(job=job, study="s", kind=kind, preset="report", dataset="d", config=config, **own))
    return rows


@given(studies())
def test_what_is_asked_once_for_all_seeds_is_what_each_of_them_says(rows: list[ResultRow]) -> None:
    apart = [replace(row, config=copy.deepcopy(row.config), declared=dict(row.declared)) for row in rows]
    assert known(rows) == known(apart)
    assert differing(rows) == differing(apart)
    assert [(one, [row.job for row in members]) for one, members in split(rows)] == [
        (one, [row.job for row in members]) for one, members in split(apart)
    ]
    assert notes(rows) == notes(apart)
    for words in ("acc>=0.6", "seed!=1", "lr=0.1"):
        if words.partition(">")[0].partition("!")[0].partition("=")[0] in known(rows):
            assert _filtered(rows, words) == _filtered(apart, words)
    first, second = default.parts(rows), default.parts(apart)
    assert [(part.title, part.by, part.metrics) for part in first] == [
        (part.title, part.by, part.metrics) for part in second
    ]
    for one, two in zip(first, second, strict=True):
        shared, own = one.table(), two.table()
        assert repr(shared.contract()) == repr(own.contract())
        assert generic.to_grid(shared, emphasize=True) == generic.to_grid(own, emphasize=True)


def _filtered(rows: list[ResultRow], words: str) -> list[int] | str:
    try:
        return [row.job for row in select(rows, [words])]
    except BadInput as error:
        return str(error)
