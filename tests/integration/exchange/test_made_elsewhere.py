"""Rows of a person's own file, exported by orch and imported again: what nobody matched stays unmatched."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import imports, results
from db.rows import ResultRow
from db.store import Store
from jobs.errors import BadInput
from orchestrator.exchange.exporting import records, render
from orchestrator.exchange.importing import take_in
from orchestrator.exchange.resultrows import read
from orchestrator.tables import generic, stats, table2

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["evaluate", "random-baseline", "command"]),
            "seed": st.integers(0, 3),
            "dataset": st.just("cifar10"),
            "test_accuracy": st.floats(2, 100),
        },
        optional={
            "repeat": st.integers(0, 2),
            "search_epoch": st.sampled_from([1, 50]),
            "architecture": st.sampled_from(["", "0-2,3-7", "3-7,0-2", "0-2", "vgg19"]),
            "search": st.sampled_from(["", "first", "second"]),
            "epochs": st.sampled_from([150, 300]),
            "match": st.sampled_from(["none", "count"]),
            "preset": st.sampled_from(["report", "demo"]),
        },
    ),
    min_size=1,
    max_size=12,
)
COUNTER = itertools.count()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store, Path]:
    folder = tmp_path_factory.mktemp("elsewhere")
    return Store(folder / "a" / ".orch", create=True), Store(folder / "b" / ".orch", create=True), folder


def rows_of(store: Store, study: str) -> list[ResultRow]:
    with store.read() as connection:
        return results.rows(connection, study)


def exported(store: Store, study: str) -> str:
    with store.read() as connection:
        names = imports.names(connection, study)
    return render(records(rows_of(store, study), names), "csv")


def tables(rows: list[ResultRow]) -> str:
    found: list[Any] = [
        part for table in table2.build_all(rows) for part in (table.contract(), stats.compute(table).contract())
    ]
    for by in (["kind", "method", "search_epoch"], ["architecture", "epochs"], ["seed", "repeat"]):
        try:
            found.append(generic.group(rows, by, ["test_accuracy"]).contract())
        except BadInput as error:  # no job has such a setting
            found.append(str(error))
    return json.dumps(found, sort_keys=True)


def lines_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that are taken: each job once, a random baseline with a method, a command without."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        one = {name: value for name, value in row.items() if value != ""}
        if one["kind"] == "command":
            one = {name: one[name] for name in ("kind", "seed", "dataset", "test_accuracy")}
        elif "search_epoch" in one:
            one["method"] = "A"
        if one["kind"] == "evaluate":
            one.pop("match", None)
        identity = {name: value for name, value in one.items() if name != "test_accuracy"}
        found.setdefault(json.dumps(identity, sort_keys=True), one)
    return list(found.values())


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS)
def test_a_second_journey_changes_no_table(stores: tuple[Store, Store, Path], rows: list[dict[str, Any]]) -> None:
    here, there, folder = stores
    study = f"s{next(COUNTER)}"
    path = folder / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in lines_of(rows)))
    try:
        taken = read(path)
    except BadInput:  # two rows of one job in other words
        return
    take_in(here, study, taken, path.name)
    text = exported(here, study)
    path = folder / "second.csv"
    path.write_text(text)
    take_in(there, study, read(path), path.name)
    assert tables(rows_of(there, study)) == tables(rows_of(here, study))
    assert exported(there, study) == text
    assert take_in(here, study, read(path), path.name).created == ()


@pytest.mark.parametrize("before", [False, True])
def test_equal_seeds_that_nobody_matched_are_no_pairs_after_two_journeys(
    stores: tuple[Store, Store, Path], before: bool
) -> None:
    """Also in a file of an orch that did not say in `origin` whose rows they were: their names tell it."""
    here, there, folder = stores
    loose, path = f"loose-{before}", folder / "loose.csv"
    path.write_text(
        "kind,method,search_epoch,seed,dataset,test_accuracy\n"
        + "".join(f"evaluate,A,50,{seed},cifar10,{93 + seed}\n" for seed in range(3))
        + "".join(f"random-baseline,A,50,{seed},cifar10,{92 + seed / 2}\n" for seed in range(3))
    )
    take_in(here, loose, read(path), path.name)
    text = exported(here, loose)
    assert text.count('""imported"":true,') == 6
    path.write_text(text.replace('""imported"":true,', "") if before else text)
    take_in(there, loose, read(path), path.name)
    for store in (here, there):
        (table,) = table2.build_all(rows_of(store, loose))
        (row,) = stats.compute(table).rows
        assert not row.matched and row.pairs == 0 and row.paired is None
        assert row.welch is not None and row.welch.difference == 1.5
