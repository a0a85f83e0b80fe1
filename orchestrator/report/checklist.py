"""The NAS checklist, filled from a study: each item answered by what the store holds, or "not known". Pure.

The items are those of Lindauer & Hutter, Best Practices for Scientific Research on Neural Architecture Search, JMLR
21(243), 2020, shortened: its 14 best practices, of which the checklist at automl.org/nas_checklist.pdf makes 16
questions. They were read in the paper (github.com/JmlrOrg/v21, 20-056/20-056.pdf); each comment names its practice.
What only a person knows stays "not known".
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
        (release, "code of the training pipeline of the final architectures", _code(final)),  # 1, 3
        (release, "code of the search space", _code(searching)),  # 1
        (release, "hyperparameters and seeds of the final evaluation", _settings(final)),  # 1, 9
        (release, "code of the NAS method", _code(searching)),  # 2, 3
        (release, "hyperparameters and seeds of the NAS method", _method(searches)),  # 2, 9
        (compare, "same data set, split, search space and training code for all methods", _same_benchmark(rows)),  # 4
        (compare, "confounding factors: hardware, versions, run time", _confounding(data)),  # 11
        (compare, "ablation studies", _ablation(searches)),  # 5
        (compare, "same evaluation protocol for all methods", _protocol(final)),  # 6
        (compare, "performance as a function of compute", _over_time(data)),  # 7
        (compare, "compared to random sampling and to random search", _random(rows)),  # 8
        (compare, "several runs of the method, with their seeds", _runs(searches, final)),  # 9
        (compare, "tabular or surrogate benchmarks", UNKNOWN),  # 10
        (report, "how hyperparameters were tuned, and its cost", UNKNOWN),  # 12
        (report, "time of the whole method, not of the search alone", _time(searching, final)),  # 13
        (report, "all details of the setup", _details(data)),  # 14
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
    trained = [row for row in rows if row.dataset and row.kind not in ("evolve", "evolve-step")]  # these train nothing
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


def _over_time(data: ReportData) -> str:
    """What its incumbent would be worth if the search had ended sooner; curves of trainings alone do not tell that."""
    epochs = in_order(row.config["search_epoch"] for row in data.rows if row.config.get("search_epoch"))
    curves = any(curve.points for curve in data.curves)
    if len(epochs) > 1:
        return f"yes: final accuracy of read-outs after search epoch {' '.join(map(str, epochs))}" + (
            "; learning curves" if curves else ""
        )
    return "in part: learning curves of each job" if curves else UNKNOWN


def _random(rows: Sequence[ResultRow]) -> str:
    """Sampling draws one architecture; a search draws many and keeps the best by what the method judges by."""
    drawn = [row for row in rows if row.kind == "random-baseline"]
    modes = sorted({text(row.config["match"]) for row in drawn if row.config.get("match", "none") != "none"})
    own = [row for row in rows if row.kind == "evolve" and row.config.get("generations") == 1]
    said = [f"random sampling: {len(drawn)} architectures" if drawn else "random sampling: no"]
    said += [f"matched by {' '.join(modes)}"] if modes else []
    said += [f"random search: {len(own)} of one generation" if own else "random search: no"]
    return "; ".join(said)


def _runs(searches: Sequence[ResultRow], final: Sequence[ResultRow]) -> str:
    if not searches and not final:
        return UNKNOWN
    seeds = len({row.seed for row in searches})
    said = f"{'yes' if seeds > 1 else 'no'}: {len(searches)} searches; {_seeds(searches)}" if searches else UNKNOWN
    return f"{said}; final trainings: {len(final)}"


def _time(searching: Sequence[ResultRow], final: Sequence[ResultRow]) -> str:
    """End to end: the random architectures are no part of the method, and are told apart."""
    parts = []
    trained = [row for row in final if row.kind != "random-baseline"]
    random = [row for row in final if row.kind == "random-baseline"]
    for unit, attribute in (("GPU", "gpu_seconds"), ("CPU", "cpu_seconds")):
        spent = [hours(getattr(row, attribute) for row in rows) for rows in (searching, trained, random)]
        if any(spent):
            shown = ["-" if one is None else f"{one:.2f}" for one in spent]
            parts.append(
                f"{unit} hours: search {shown[0]}, final trainings {shown[1]}, random architectures {shown[2]}"
            )
    return "; ".join(parts) or UNKNOWN


def _details(data: ReportData) -> str:
    if not data.rows:
        return UNKNOWN
    known = "; versions of what computed are known" if data.versions else "; versions: not known"
    return f"settings, failures and every job are on the page of 'orch report'{known}"
