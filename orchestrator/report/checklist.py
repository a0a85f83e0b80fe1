"""The NAS checklist, filled from a study: each item answered by what the store holds, or "not known". Pure.

The items are those of Lindauer & Hutter, Best Practices for Scientific Research on Neural Architecture Search, JMLR
21(243), 2020 (automl.org/nas_checklist.pdf), shortened. What only a person knows stays "not known".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from db.rows import ResultRow
from orchestrator.report.data import ReportData
from orchestrator.report.sections import other_settings, table1
from orchestrator.tables.cells import differing, hours
from orchestrator.tables.grid import Grid
from orchestrator.tables.japanese import japanese, spoken
from orchestrator.tables.keys import text
from orchestrator.tables.render import DATASETS
from orchestrator.tables.values import in_order
from orchestrator.tables.words import Language

UNKNOWN = "not known"
SEARCHING = frozenset({"search", "evolve", "evolve-step", "individual"})
FINAL = frozenset({"evaluate", "random-baseline"})
MOST_SEEDS = 20
METHOD = {
    "search": ("order", "hessian", "alpha_lr", "alpha_weight_decay", "zero_one", "tau", "readouts", "pretrained"),
    "evolve": ("population", "generations", "most_edges"),
}
"""The settings that belong to the method, and not to the training."""


def grid(data: ReportData) -> Grid:
    """The checklist as a table: part, item, answer."""
    rows = data.rows
    searching = [row for row in rows if row.kind in SEARCHING]
    final = [row for row in rows if row.kind in FINAL]
    searches = [row for row in rows if row.kind in ("search", "evolve")]
    release, compare, report = "code", "comparison", "reporting"
    items = [
        (release, "code of the training pipeline of the final architectures", _code(final)),
        (release, "code of the search space", _code(searching)),
        (release, "hyperparameters and seeds of the final evaluation", _settings(final)),
        (release, "code of the NAS method", _code(searching)),
        (release, "hyperparameters and seeds of the NAS method", _method(searches)),
        (compare, "same data set, split, search space and training code for all methods", _same_benchmark(rows)),
        (compare, "confounding factors: hardware, versions, run time", _confounding(data)),
        (compare, "ablation studies", _ablation(searches)),
        (compare, "same evaluation protocol for all methods", _protocol(final)),
        (compare, "performance over time", _over_time(data, searches)),
        (compare, "compared to random search", _random(rows)),
        (compare, "several runs, with their seeds", _runs(final)),
        (compare, "tabular or surrogate benchmarks", UNKNOWN),
        (report, "how hyperparameters were tuned, and its cost", UNKNOWN),
        (report, "time of the whole method, not of the search alone", _time(searching, final)),
        (report, "all details of the setup", _details(data)),
    ]
    return Grid(
        caption="NAS checklist (Lindauer & Hutter, JMLR 21(243), 2020)",
        headings=["part", "item", "answer"],
        rows=[list(item) for item in items],
        text_columns=3,
        notes=["answered from the store alone; not known: only you can tell"],
    )


def spoken_grid(data: ReportData, lang: Language) -> Grid:
    """The same in a language: its items and answers are orch's own words."""
    found = grid(data)
    if lang == "ja":
        found = spoken(replace(found, rows=[[japanese(cell) for cell in row] for row in found.rows]), lang)
    return found


def _code(rows: Sequence[ResultRow]) -> str:
    """Which code ran; whether it was published nobody here knows."""
    found = sorted({row.code for row in rows if row.code})
    if not found:
        return UNKNOWN
    changed = sum(row.code_changed for row in rows)
    more = f"; other code than submitted: {changed} of {len(rows)} jobs" if changed else ""
    return f"kept in the store: {', '.join(found)}{more}; published: not known"


def _settings(rows: Sequence[ResultRow]) -> str:
    lines = table1(rows)
    if not lines:
        return UNKNOWN
    named = {"batch size", "epochs"}  # of which the value alone says nothing
    return "; ".join(
        [*(f"{line.name} {line.value}" if line.name in named else line.value for line in lines), _seeds(rows)]
    )


def _method(rows: Sequence[ResultRow]) -> str:
    if not rows:
        return UNKNOWN
    found = []
    for kind, lines in other_settings(rows):
        own = set(METHOD[kind])
        found += [f"{line.name}: {line.value}" for line in lines if line.name in own]
    methods = [text(one) for one in in_order(row.config["method"] for row in rows if row.config.get("method"))]
    return "; ".join([*([f"method: {' / '.join(methods)}"] if methods else []), *found, _seeds(rows)])


def _seeds(rows: Sequence[ResultRow]) -> str:
    seeds = sorted({row.seed for row in rows})
    shown = " ".join(map(str, seeds[:MOST_SEEDS])) + (f" … ({len(seeds)})" if len(seeds) > MOST_SEEDS else "")
    return f"seeds: {shown}"


def _same_benchmark(rows: Sequence[ResultRow]) -> str:
    trained = [row for row in rows if row.dataset]
    if not trained:
        return UNKNOWN
    names = sorted({DATASETS.get(row.dataset, row.dataset) for row in trained})
    codes = sorted({row.code for row in trained if row.code})
    changed = any(row.code_changed for row in trained)
    if len(names) > 1 or len(codes) > 1:
        return f"no: data sets {' '.join(names)}; {len(codes)} codes"
    return f"yes: data set {names[0]}" + ("; one code" if codes and not changed else "; code: not known")


def _confounding(data: ReportData) -> str:
    devices = sorted({row.device_name for row in data.rows if row.device_name})
    if not devices:
        return UNKNOWN
    several = [name for name, found in data.versions.items() if ", " in found]
    hardware = f"one device: {devices[0]}" if len(devices) == 1 else f"{len(devices)} devices: {' / '.join(devices)}"
    versions = f"versions differ: {' '.join(several)}" if several else "versions agree" if data.versions else ""
    return "; ".join(part for part in (hardware, versions) if part)


def _ablation(searches: Sequence[ResultRow]) -> str:
    varied = differing(searches, ("readouts", "eigenvalue_every"))
    if not varied:
        return UNKNOWN
    return "; ".join(f"searches differ in {key}: {' / '.join(map(text, values))}" for key, values in varied.items())


def _protocol(final: Sequence[ResultRow]) -> str:
    if not final:
        return UNKNOWN
    varied = differing(final, ("match", "shortcuts"))
    if varied:
        return f"no: trainings differ in {' '.join(varied)}"
    return f"yes: {len(final)} trainings with the same settings"


def _over_time(data: ReportData, searches: Sequence[ResultRow]) -> str:
    epochs = in_order(row.config.get("search_epoch") for row in data.rows if row.config.get("search_epoch"))
    if not any(curve.points for curve in data.curves):
        return UNKNOWN
    return "yes: learning curves" + (f"; read-outs after epoch {' '.join(map(str, epochs))}" if epochs else "")


def _random(rows: Sequence[ResultRow]) -> str:
    drawn = [row for row in rows if row.kind == "random-baseline"]
    modes = sorted({text(row.config["match"]) for row in drawn if row.config.get("match", "none") != "none"})
    own = [row for row in rows if row.kind == "evolve" and row.config.get("generations") == 1]
    said = [f"yes: {len(drawn)} random architectures"] if drawn else []
    said += [f"matched by {' '.join(modes)}"] if modes else []
    said += [f"random search of the evolution's budget: {len(own)} jobs"] if own else []
    return "; ".join(said) or "no: no random architecture is in this study"


def _runs(final: Sequence[ResultRow]) -> str:
    if not final:
        return UNKNOWN
    seeds = {row.seed for row in final}
    return f"{'yes' if len(seeds) > 1 else 'no'}: {len(final)} trainings; {_seeds(final)}"


def _time(searching: Sequence[ResultRow], final: Sequence[ResultRow]) -> str:
    parts = []
    for unit, attribute in (("GPU", "gpu_seconds"), ("CPU", "cpu_seconds")):
        early, late = (hours(getattr(row, attribute) for row in rows) for rows in (searching, final))
        if early or late:
            shown = ["-" if one is None else f"{one:.2f}" for one in (early, late)]
            parts.append(f"{unit} hours: search {shown[0]}, final trainings {shown[1]}")
    return "; ".join(parts) or UNKNOWN


def _details(data: ReportData) -> str:
    if not data.rows:
        return UNKNOWN
    known = "; versions of what computed are known" if data.versions else "; versions: not known"
    return f"settings, failures and every job are on the page of 'orch report'{known}"
