"""A study read by column (db/columns.py) has the tables that its jobs have one by one, to the last byte."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db import columns, results
from db.bunches import Many, bunched
from db.entries import Cancel, Drop, Import, ImportedResult, NewJob, Submit
from db.launching import Launching, Origin, Template
from db.layouts import Layout
from db.rows import Curve, ResultRow
from db.store import Store
from jobs.errors import BadInput
from jobs.files import now
from jobs.records import Architecture
from orchestrator.report.outputs import MadeOf, Plain, grouped_grids
from orchestrator.tables import generic
from orchestrator.tables.afterthoughts import notes
from orchestrator.tables.filters import select
from orchestrator.tables.render import write

NUMBERS = st.sampled_from([0.5, 0.93, 91.25, -0.0, 1e300, -1e300, 5e-324, 0.1 + 0.2, 14_982_474, None])
NAMES = st.sampled_from(["acc", "loss", "lr", "params", "test_accuracy", "seed"])
PROGRAM = st.fixed_dictionaries(
    {"argv": st.just(["python", "train.py", "--lr", "{lr}", "--seed", "{seed}"])},
    optional={
        "parameters": st.dictionaries(
            st.sampled_from(["lr", "wd", "seed"]), st.sampled_from(["0.1", "0.10", "adam", "true"]), max_size=3
        ),
        "quoted": st.just(["lr"]),
    },
)
HOUSE = st.fixed_dictionaries({}, optional={"method": st.just("A"), "repeat": st.integers(1, 2), "search": st.just(7)})
DECLARED = {"metrics": {"acc": {"unit": "%", "digits": 1}}}
LAUNCHES = st.builds(
    Launching,
    options=st.sampled_from([{}, {"experiment": "one"}, DECLARED]),
    label=st.sampled_from(["", "mine"]),
    origin=st.builds(
        Origin,
        device_name=st.sampled_from(["", "H100"]),
        code=st.sampled_from(["", "c1", "c2"]),
        gpu_seconds=st.sampled_from([0.0, 0.1, 3600.0]),
        flags=st.sampled_from([{}, {"note": "odd"}]),
        live=st.booleans(),
    ),
)


@st.composite
def templates(draw: st.DrawFn) -> Template:
    config: dict[str, Any] = draw(PROGRAM | HOUSE)
    return Template(
        kind="command" if "argv" in config else draw(st.sampled_from(["evaluate", "random-baseline", "search"])),
        kind_version=1,
        preset=draw(st.sampled_from(["report", "demo"])),
        config=config,
        dataset=draw(st.sampled_from(["", "cifar10"])),
        launching=draw(LAUNCHES),
    )


RESULT = st.tuples(
    st.integers(0, 5),
    st.integers(0, 3),
    st.dictionaries(NAMES, NUMBERS, max_size=3),
    st.sampled_from([None, None, Architecture(edges=((0, 2),)), Architecture(edges=())]),
    st.sampled_from(["", "", "", "a slip", "another", "cancelled", "queued"]),
)
"""(template, seed, numbers, architecture, why it was dropped, or that it has no result)."""
STUDIES = st.tuples(st.lists(templates(), min_size=1, max_size=4), st.lists(RESULT, min_size=1, max_size=14))
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("columns") / ".orch", create=True)


def study(store: Store, made: Sequence[Template], jobs: Sequence[tuple[Any, ...]]) -> str:
    """A study of such jobs in the store; its name."""
    name = f"s{next(_numbers)}"
    with store.write() as writer:
        first = 1 + (writer.connection.exec_driver_sql("SELECT max(id) FROM job").scalar() or 0)
        ids = range(first, first + len(jobs))
        rows = list(zip(ids, jobs, strict=True))
        imported = tuple(
            ImportedResult(id, template % len(made), seed, f"k{id}", numbers, architecture)
            for id, (template, seed, numbers, architecture, fate) in rows
            if fate not in ("cancelled", "queued")
        )
        new = tuple(
            NewJob(id, template % len(made), seed, f"k{id}")
            for id, (template, seed, _, _, fate) in rows
            if fate in ("cancelled", "queued")
        )
        if imported:
            writer.decide([Import(study=name, source="t", templates=tuple(made), results=imported, at=now())])
        if new:
            writer.decide([Submit(study=name, templates=tuple(made), jobs=new, at=now())])
        for fate in ("a slip", "another"):
            if dropped := tuple(id for id, job in rows if job[4] == fate):
                writer.decide([Drop(jobs=dropped, because=fate, at=now())])
        if gone := tuple(id for id, job in rows if job[4] == "cancelled"):
            writer.decide([Cancel(jobs=gone, at=now())])
    return name


def one_by_one(many: Many) -> list[ResultRow]:
    """The same jobs, of which no two share anything."""
    return [
        replace(row, config=copy.deepcopy(row.config), declared=dict(row.declared), flags=dict(row.flags))
        for row in many
    ]


ASKED = st.tuples(
    st.sampled_from(
        [[], ["seed!=1"], ["acc>=0.6"], ["lr=0.1"], ["kind=command"], ["gpu_hours>0"], ["lr=0.1", "seed=1"]]
    ),
    st.sampled_from([(), (Layout(metrics=("acc",), columns=("lr",), best=True),), (Layout(experiment="one"),)]),
    st.sampled_from([["seed"], ["kind", "lr"], ["job"], ["architecture", "code"], ["acc"], ["params_m"], ["kind"]]),
    st.sampled_from([["acc", "metrics.lr"], ["params_m", "gpu_hours", "seed"], ["loss"]]),
    st.sampled_from(["result", "last"]),
)
"""Filters, layouts, keys, metrics and where numbers are taken from."""


@settings(deadline=None)
@given(made=STUDIES, asked=ASKED)
def test_a_study_read_by_column_has_the_tables_of_its_jobs_one_by_one(store: Store, made: Any, asked: Any) -> None:
    name = study(store, *made)
    with store.read() as connection:
        many = columns.bunches(connection, name, dropped=True)
        assert list(many) == results.rows(connection, name, dropped=True)
    apart = one_by_one(many)
    assert apart == list(many)
    assert all(len(bunch) == 1 for bunch in bunched(apart).bunches)
    filters, layouts, by, metrics, epoch = asked
    curves = [
        Curve(job=row.job, kind=row.kind, seed=row.seed, config=row.config, label="", points=((1, row.metrics),))
        for row in apart
    ]
    for made_of in (
        partial(plain, filters=filters, layouts=layouts),
        partial(grouped, by, metrics, filters, epoch, curves),
    ):
        assert said(made_of, many) == said(made_of, apart)


def said(made: Callable[[Sequence[ResultRow]], list[str]], rows: Sequence[ResultRow]) -> list[str] | str:
    """What is made of a study, or why it is refused."""
    try:
        return made(rows)
    except BadInput as error:
        return str(error)


def plain(rows: Sequence[ResultRow], filters: Sequence[str], layouts: Sequence[Layout]) -> list[str]:
    counted = Many(b for b in rows.bunches if b.like.dropped is None) if isinstance(rows, Many) else None
    kept = [row for row in rows if row.dropped is None] if counted is None else counted
    made_of = MadeOf(rows=select(kept, filters), everything=select(rows, filters), layouts=layouts)
    table = Plain(made_of, False, "en")
    return [table.text(format) for format in ("md", "tex", "html", "json", "csv")]


def grouped(
    by: Sequence[str],
    metrics: Sequence[str],
    filters: Sequence[str],
    epoch: Any,
    curves: Sequence[Curve],
    rows: Sequence[ResultRow],
) -> list[str]:
    found = generic.group(rows, by, metrics, filters, epoch=epoch, curves=curves, strict=False)
    found = replace(found, notes=(*found.notes, *notes(select(rows, filters), by)))
    grids = grouped_grids(found, ["mean", "median"], False, False, "en")
    return [*(write(grids, format) for format in ("md", "tex", "html")), repr(found.contract()), repr(found.groups)]
