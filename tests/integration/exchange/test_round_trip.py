"""Export, import elsewhere: the same tables, for every store, whatever its jobs are and are called."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import imports, results
from db.entries import Accepted, Dispatch, DispatchedTask, Drop, Ended, NewJob, Submit
from db.launching import Launching, Template
from db.rows import ResultRow
from db.store import Store
from jobs.architectures import EDGES
from jobs.commands import name_of_text, parameter
from jobs.kind import kind_named
from jobs.records import Architecture, Code, Fingerprint, Started
from jobs.reported import Declared, Reported
from jobs.words import Cause, JobState
from orchestrator.exchange.exporting import records, render
from orchestrator.exchange.importing import take_in
from orchestrator.exchange.resultrows import read
from orchestrator.tables import generic, stats, table2
from orchestrator.tables.afterthoughts import several

AT = datetime(2026, 1, 1, tzinfo=UTC)
ODD = (
    *("seed", "repeat", "config", "kind", "epochs", "lr", "origin", "params_m", "metrics.x", "config.lr"),
    *("精度", " a ", "a,b", 'a"b', "a\nb", "a\rb", "", "=1+1", "method", "state", "job", "\u2028"),
)
NUMBERS = st.one_of(
    st.floats(-1e300, 1e300, allow_subnormal=True), st.sampled_from([0.0, -0.0, 0.93, 93.25, 1e-300, 2.0**60, 5e-324])
)
EDGE_SETS = st.sampled_from([(), ((0, 2),), ((0, 2), (3, 7)), EDGES[:14], None])
DECLARED = st.builds(
    Declared,
    pattern=st.sampled_from(["", r"x=(\d+)"]),
    label=st.sampled_from(["", "Loss (nats)", "é\n"]),
    unit=st.sampled_from(["", "%"]),
    digits=st.sampled_from([None, 0, 3]),
    better=st.sampled_from(["", "higher", "lower"]),
)
PARAMETERS = st.dictionaries(
    st.sampled_from(["lr", "release", "mode", "精"]),
    st.sampled_from(["0.1", "1.1", "1.10", "1e400", "-0", "true", "", "a,b", "精", "=1"]),
    max_size=3,
)
CODES = st.sampled_from([None, Code(snapshot="0f" * 32), Code(snapshot="ab" * 32, commit="1" * 40), Code()])
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)


@st.composite
def jobs_of_a_study(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Searches, what rests on them, and what does not; some of it failed."""
    found: list[dict[str, Any]] = []
    presets = draw(st.lists(st.sampled_from(["demo", "report"]), min_size=1, max_size=2, unique=True))
    for method, seed in draw(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 3)), max_size=4, unique=True)):
        config = {"method": method, "readouts": (1, 2)} | draw(
            st.sampled_from([{}, {"tau": 0.6}, {"width": 1.0}, {"lr": 0.5}])
        )
        found.append({"kind": "search", "config": config, "seed": seed, "preset": draw(st.sampled_from(presets))})
    for number, search in enumerate(list(found)):
        for epoch, kind, repeat in itertools.product((1, 2), ("evaluate", "random-baseline"), range(2)):
            if not draw(st.booleans()):
                continue
            config = {"search": number + 1, "search_epoch": epoch, "method": search["config"]["method"]}
            config |= {"repeat": repeat} if repeat else {}
            config |= {"match": "count"} if kind == "random-baseline" else {}
            found.append({"kind": kind, "config": config, "seed": search["seed"], "preset": search["preset"]})
    for kind, seed, repeat in draw(
        st.lists(
            st.tuples(
                st.sampled_from(["evaluate", "random-baseline", "individual", "command", "evolve"]),
                st.integers(0, 2),
                st.integers(0, 2),
            ),
            max_size=6,
            unique=True,
        )
    ):
        own: dict[str, Any] = {"evaluate": {"architecture": "vgg19"}, "command": {"argv": ["true", "{seed}"]}}.get(
            kind, {}
        )
        if kind == "command":
            names = st.dictionaries(st.sampled_from(["lr", "epochs", "seed", "mode", "精"]), TEXTS, max_size=2)
            own = own | {"name": draw(TEXTS), "parameters": draw(names)}
            if draw(st.booleans()):  # of kind version 2: typed parameters, and a label that is no part of it
                values = {
                    name: parameter(text) if draw(st.booleans()) else name_of_text(text)
                    for name, text in draw(PARAMETERS).items()
                }
                quoted = tuple(sorted(name for name, one in values.items() if one.quoted))
                own |= {"name": "", "folder": draw(st.sampled_from(["", "a", "/b"])), "quoted": quoted}
                own |= {"parameters": {name: one.value for name, one in values.items()}}
        elif kind in ("evaluate", "random-baseline") and repeat:
            own = own | {"repeat": repeat}
        if kind == "evaluate" and draw(st.booleans()):
            own = own | {"architecture": "0-2,3-7", "epochs": draw(st.sampled_from([150, 300]))}
        found.append({"kind": kind, "config": own, "seed": seed, "preset": draw(st.sampled_from(presets))})
    for one in found:
        names = st.sampled_from(["test_accuracy", "params", "shortcuts", "train_loss", "val_accuracy", *ODD])
        one["metrics"] = draw(st.dictionaries(names, st.one_of(NUMBERS, st.none()), max_size=5))
        if draw(st.integers(0, 3)):
            one["metrics"] |= {"test_accuracy": draw(st.floats(0, 100)), "params": 2e7, "shortcuts": 2.0}
        one["failed"] = draw(st.integers(0, 5)) == 0
        one["edges"] = draw(EDGE_SETS)
        one["gpu"] = draw(st.sampled_from([0.0, 0.1, 7200.0]))
        one["device"] = draw(st.sampled_from(["", "made-up GPU"]))
        one["code"] = draw(st.sampled_from(["0.1.0", "0.2.0"]))
        one["label"] = draw(st.one_of(st.just(""), st.sampled_from(["first", "second"]), TEXTS))
        one["dropped"] = draw(st.sampled_from(["", "", "", "diverged"]))
        one["program"] = draw(CODES)
        one["declared"] = draw(st.dictionaries(st.sampled_from(["test_accuracy", "train_loss", " a "]), DECLARED))
        one["flags"] = draw(st.sampled_from([{}, {"match": "nearest of 100000 draws, 6.1 % off"}, {"é": "ü\n"}]))
    return found


def fill(store: Store, study: str, jobs: Sequence[dict[str, Any]]) -> None:
    """The jobs, ended, as if they had run."""
    with store.write() as writer:
        first = int(writer.connection.exec_driver_sql("SELECT coalesce(max(id), 0) + 1 FROM job").scalar_one())
        templates, new, kept, seen = [], [], [], set()
        for place, one in enumerate(jobs):
            kind = kind_named(one["kind"])
            given = dict(one["config"])
            if "search" in given:
                given["search"] += first - 1
            config = kind.configure(given, one["preset"])
            (key,) = kind.keys(config, [one["seed"]])
            if key in seen:
                continue
            seen.add(key)
            launching = Launching(
                backend="local", fingerprint=Fingerprint(version=one["code"], source="", commit=None),
                label=one["label"], code=one["program"], options=Reported(metrics=one["declared"]).options(),
            )  # fmt: skip
            built = msgspec.to_builtins(config)
            dataset = getattr(config, "dataset", "")
            templates.append(
                Template(
                    kind=kind.name, kind_version=kind.version, preset=one["preset"], config=built, dataset=dataset,
                    launching=launching,
                )
            )  # fmt: skip
            new.append(NewJob(first + place, len(templates) - 1, one["seed"], key))
            kept.append(one)
        if not new:
            return
        writer.decide([Submit(study=study, templates=tuple(templates), jobs=tuple(new), at=AT)])
        tasks = tuple(DispatchedTask(job.id, 1, 1) for job in new)
        token = f"orch-{first:016x}"
        writer.decide([Dispatch(token=token, backend="local", slot="cpu:0", tasks=tasks, at=AT)])
        for job, one in zip(new, kept, strict=True):
            if one["failed"]:
                writer.decide([Ended(job=job.id, attempt=1, cause=Cause.ERROR, then="failed", error="ü\nx", at=AT)])
                continue
            started = Started(
                job=job.id, attempt=1, generation=1, token=token, index=0, restart=0, node="n", host="h", pid=1,
                process_start=0.0, boot_id="b", code_changed=one["gpu"] == 0.1, at=AT,
            )  # fmt: skip
            edges = None if one["edges"] is None else Architecture(edges=one["edges"])
            writer.decide(
                [
                    Accepted(
                        job=job.id, attempt=1, execution="e0-000000", generation=1, started=started,
                        metrics=one["metrics"], architecture=edges, flags=one["flags"], at=AT,
                    )
                ]
            )  # fmt: skip
            writer.connection.exec_driver_sql(
                "UPDATE execution SET gpu_seconds = ?, device_name = ? WHERE job_id = ?",
                (one["gpu"], one["device"], job.id),
            )


def drop(store: Store, study: str, jobs: Sequence[dict[str, Any]]) -> None:
    """A change of mind about some of them, by their places in the study."""
    with store.write() as writer:
        sql = "SELECT id FROM job WHERE study_id = (SELECT id FROM study WHERE name = ?) ORDER BY id"
        ids = [row[0] for row in writer.connection.exec_driver_sql(sql, (study,))]
        chosen = tuple(job for job, one in zip(ids, jobs, strict=False) if one["dropped"])
        if chosen:
            writer.decide([Drop(jobs=chosen, because="diverged", at=AT)])


def rows_of(store: Store, study: str) -> list[ResultRow]:
    with store.read() as connection:
        return results.rows(connection, study)


def exported(store: Store, study: str, format: str) -> str:
    with store.read() as connection:
        names = imports.names(connection, study)
    return render(records(rows_of(store, study), names), format)


def numbered(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Jobs by their place, searches too: ids are a store's own. Those that were dropped: in the order of their rows."""
    place = {row.job: number for number, row in enumerate(rows, 1)}
    found = []
    for row in rows:
        config = dict(row.config)
        if config.get("search"):
            config["search"] = place.setdefault(config["search"], 1000 + len(place))
        found.append(replace(row, job=place[row.job], config=config))
    return found


def tables(rows: Sequence[ResultRow]) -> str:
    """Every table of these rows, as JSON: Table 2 with its statistics, and groups by many keys."""
    found: list[Any] = []
    for table in table2.build_all(rows):
        found += [table.contract(), stats.compute(table).contract()]
    if rows:
        metrics = sorted({name for row in rows for name in row.metrics} | {"test_accuracy", "gpu_hours", "params_m"})
        for by in (["kind"], ["kind", "seed", "state"], ["architecture", "epochs"], ["width", "method", "search_epoch"],
                   ["code", "device_name"], ["config.search", "repeat"], ["lr"], ["label"], ["name", "release"],
                   ["config.quoted", "folder"]):  # fmt: skip
            try:
                found.append(generic.group(rows, by, metrics).contract())
            except Exception as error:
                found.append(f"{type(error).__name__}: {error}")
    shown = [(row.label, row.live, {name: vars_of(one) for name, one in row.declared.items()}) for row in rows]
    return json.dumps([*found, *shown, *several(rows, "code"), *several(rows, "gpu")], sort_keys=True)


def vars_of(declared: Declared) -> Any:
    """What tables say of a metric; the pattern that found it stays where the program ran."""
    return msgspec.to_builtins(msgspec.structs.replace(declared, pattern=""))


COUNTER = itertools.count()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store, Path]:
    folder = tmp_path_factory.mktemp("exchange")
    return Store(folder / "a" / ".orch", create=True), Store(folder / "b" / ".orch", create=True), folder


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(jobs=jobs_of_a_study())
def test_the_tables_are_the_same_elsewhere(
    stores: tuple[Store, Store, Path], format: str, jobs: list[dict[str, Any]]
) -> None:
    here, there, folder = stores
    study = f"s{next(COUNTER)}"
    fill(here, study, jobs)
    drop(here, study, jobs)
    before = rows_of(here, study)
    text = exported(here, study, format)
    path = folder / f"r.{format}"
    path.write_bytes(text.encode())
    if not before:
        return
    found = take_in(there, study, read(path), path.name)
    after = rows_of(there, study)
    assert len(found.created) == len(before) and found.failed == sum(row.state == JobState.FAILED for row in before)
    assert tables(numbered(after)) == tables(numbered(before))
    assert exported(there, study, format) == text, "an imported study is exported as it came"
    assert take_in(there, study, read(path), path.name).created == (), "importing it again changes nothing"
    assert take_in(here, study, read(path), path.name).created == (), "nor where the jobs themselves are"
