"""`--lang ja` is Japanese everywhere: in every figure, table and page no fixed English word is left."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from matplotlib.text import Text

from db.layouts import Layout
from db.registered import Registered, Seed
from db.rows import Curve, ResultRow
from db.seals import Seal, Standing, Verdict
from db.stopping import (
    BY_HAND,
    DECIDED,
    FUTILE,
    GOES_ON,
    OPPOSITE,
    PRECISE,
    UNDECIDED,
    Look,
    Rule,
    Side,
)
from jobs.errors import BadInput
from jobs.words import Cause, JobState
from orchestrator.figures import FIGURES, GENERAL, Axes, FigureData, image, speech
from orchestrator.figures.style import canvas, fit, heading, styled
from orchestrator.report import checklist, page, questions, watched
from orchestrator.report.data import ReportData
from orchestrator.stopping import wording
from orchestrator.stopping.grammar import Compares
from orchestrator.tables import afterthoughts, default, generic, groupstats, render, stats, table2
from orchestrator.tables.generic import MARKED
from orchestrator.tables.grid import Grid
from orchestrator.tables.japanese import japanese, spoken
from tests.helpers import plausible, sweep
from tests.helpers.plausible import row
from tests.integration.figures.test_figures import chosen, data

NAMES = re.compile(
    "synthetic|lr|acc|opt|sgd|adam|lion|train|py|search|evaluate|random|baseline|node|gpu|GPU|CPU|UTC|VGG|vgg|CIFAR|SGD|"
    "Step|Optim|Scheduler|std|Welch|Holm|Hedges|Mann|Whitney|report|orch|table|diff|code|live|fig|curves|pareto|gantt|"
    "seconds|depth|method|metric|made|kill|term|torn|NAS|Lindauer|Hutter|JMLR|RobustDARTS"
)
"""What a person or a kind named, and signs that are the same in Japanese."""


SETTINGS = re.compile(
    r"alpha_lr: .*?zero_one: 0|eigenvalue_every|docs/study\.md|docs/statistics\.md|jobs/seeds\.py|--[a-z]+"
)
"""By their own names in every language."""


def left(text: str) -> list[str]:
    """English words in a text, but names."""
    return [word for word in re.findall(r"[A-Za-z]{3,}", text) if not NAMES.fullmatch(word)]


def words_of(name: str, given: FigureData) -> list[str]:
    with styled():  # the words do not need the font
        figure = FIGURES[name][1](given)
        speech.translate(figure, legends=name not in GENERAL)
        return [found.get_text() for found in figure.findobj(Text) if isinstance(found, Text)]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure(name: str) -> None:
    given = FigureData(rows=sweep.rows(5), axes=Axes(x="lr", y="acc", hue="opt")) if name in GENERAL else chosen(name)
    found = words_of(name, given)
    assert [word for text in found for word in left(text)] == []
    assert any(re.search("[ぁ-んァ-ン一-龥]", text) for text in found)


def texts(grid: Grid) -> list[str]:
    return [grid.caption, *grid.headings, *grid.notes, *(cell for one in grid.rows for cell in one)]


def changed(rows: list[ResultRow]) -> list[ResultRow]:
    """With everything that a footnote tells of."""
    found = [replace(one, code="c1", device_name="g1") for one in rows]
    found[0] = replace(found[0], code="c2", device_name="g2", code_changed=True, live=True)
    found[1] = replace(found[1], dropped="1", rests_on=((7, 2),))
    found[2] = replace(found[2], superseded=1, rests_on=((7, 2),))
    found[3] = replace(found[3], state=JobState.FAILED, metrics={})
    found = [replace(one, rehearsing=True) for one in found]
    seals = (
        Seal(code="c", program="p", verdict=verdict, tried=tried, untried=untried, at=datetime(2026, 1, 1, tzinfo=UTC))
        for verdict in Verdict
        for tried, untried in (({"kill": 5}, ()), ({"kill": 1}, ()), ({"kill": 1}, ("term", "torn")))
    )
    for place, seal in enumerate(seals, start=5):
        found[place] = replace(found[place], resume=Standing(seal=seal, own=True))
    found[4] = replace(found[4], resume=Standing(seal=seal, own=False))
    found[4] = replace(found[4], rests_on=((7, 2),), rests_on_dropped=((7, "1"), (8, "2")))
    return found


def test_every_table() -> None:
    house = changed(plausible.study_rows(4))
    kept = [one for one in house if one.dropped is None]
    (table,) = table2.build_all(kept)
    programs = changed(sweep.rows(5))
    grouped = [
        replace(found, notes=(*found.notes, *afterthoughts.notes(programs)))
        for part in default.parts(programs)
        for found in (replace(part, left_out=3).table(),)
    ]
    grids = [render.to_grid(table, "ja"), *stats.compute(table).grids("ja")]
    for one in grouped:
        grids += [spoken(generic.to_grid(one, show=("mean", "median"), emphasize=True), "ja")]
        grids += groupstats.grids(one, "ja")
    by_epoch = generic.group(plausible.study_rows(3), ["method"], epoch="best", curves=plausible.curves(house))
    grids += [spoken(generic.to_grid(by_epoch), "ja")]
    found = [text for grid in grids for text in texts(grid)]
    assert [(word, text) for text in found for word in left(text)] == []
    assert sum(len(grid.notes) for grid in grids) > 10, "the footnotes were not there"
    assert spoken(grids[0], "en") is grids[0]


def test_the_whole_page() -> None:
    rows = [*plausible.study_rows(3), row(900, kind="random-baseline", seed=9, accuracy=None, state=JobState.FAILED)]
    given = ReportData(
        study="synthetic",
        made_at=datetime(2026, 1, 6, 8, 30, tzinfo=UTC),
        rows=rows,
        curves=plausible.curves(rows[:12]),
        spans=plausible.spans(rows),
        versions={"": "2"},
    )
    shown = page.build(given, "ja")
    assert '<html lang="ja">' in shown
    body = re.sub(r"<(style|script|svg)\b.*?</\1>", "", shown, flags=re.DOTALL)
    body = re.sub(r"<details><summary>.*?</details>", "", body, flags=re.DOTALL)  # settings by their own names
    body = re.sub(r"<tr data-state.*?</tr>", "", body, flags=re.DOTALL)
    body = SETTINGS.sub("", body).replace("&amp;", "&")
    assert [(word, text) for text in re.findall(r">([^<>]+)<", body) for word in left(text)] == []


def test_searches_under_watch_and_every_answer_of_the_checklist() -> None:
    said = {"target_share": 0.75, "shortcuts": 8.0, "discretised_accuracy": 60.0, "eigenvalue_ratio": 2.0}
    plain = plausible.study_rows(4)
    rows = [replace(one, metrics={**one.metrics, **said}) if one.kind == "search" else one for one in plain]
    mixed = [replace(one, code="c1", device_name=f"g{one.job % 2}", code_changed=True, gpu_seconds=9.0) for one in rows]
    seen = [
        Curve(job=one.job, kind="search", seed=one.seed, config={}, points=((50, {"val_accuracy": float(one.job)}),))
        for one in rows
        if one.kind == "search"
    ]
    grids = [spoken(grid, "ja") for grid in watched.grids(rows, seen)]
    assert len(grids[0].notes) > 3 and len(grids) == 2
    for these, versions in ((rows, {}), (mixed, {"lr": "1, 2"}), ([], {})):
        given = ReportData(study="s", made_at=datetime(2026, 1, 6, tzinfo=UTC), rows=these, versions=versions)
        grids.append(checklist.spoken_grid(given, "ja"))
    found = [SETTINGS.sub("", text) for grid in grids for text in texts(grid)]
    assert [(word, text) for text in found for word in left(text)] == []


def test_every_comparison() -> None:
    plain = plausible.study_rows(4)
    again = [
        replace(one, job=one.job + 5000, config={**one.config, "repeat": 1})
        for one in plain
        if one.kind == "evaluate" and one.config.get("method") == "A"
    ]
    programs = sweep.rows(5)
    one_value = [one for one in programs if one.seed < 1 or one.config["parameters"]["opt"] == "sgd"]
    side = Compares(
        metric="acc",
        second={"opt": "sgd"},
        jobs=frozenset(x.job for x in programs if x.config["parameters"]["lr"] == "10"),
    )
    layout = Layout(rows=("opt",), columns=("lr",), metrics=("acc",), baseline={"opt": "sgd"}, caption="1")
    found = [
        questions.answers([*plain, *again], margin=0.5),
        questions.answers(programs, margin=0.5),
        questions.answers(one_value),
        questions.answers(programs, [layout], side),
    ]
    grids = [grid for one in found for grid in one.grids("ja")]
    texts_of = [SETTINGS.sub("", text) for grid in grids for text in texts(grid)]
    assert [(word, text) for text in texts_of for word in left(text)] == []
    captions = " ".join(grid.caption for grid in grids)
    assert all(word in captions for word in ("図 1 の傾き", "分散の由来", "全タスク", "(規則)", "四分位平均"))
    assert found[0].grids("en")[0].rows[0][0] == "A 50 − B 50"
    with pytest.raises(BadInput) as refused:
        questions.answers(
            [replace(one, config={"argv": ["x"], "parameters": {"lr": f"{one.job}"}}) for one in programs]
        )
    assert [word for word in left(japanese(str(refused.value))) if word not in ("baseline", "filter")] == []


def test_every_state_and_cause() -> None:
    for word in [*(cause.replace("_", " ") for cause in Cause), *JobState, "blocked", "imported"]:
        assert japanese(str(word)) != word


def test_names_stay_as_they_are() -> None:
    """Whatever they are: a name may hold a comma, a sign of a phrase, or be in another script."""
    assert japanese("Means: val acc (%)") == "平均: val acc (%)"
    assert japanese("study mean, preset report, n = 12; points: seeds") == (
        "スタディ mean, プリセット report, n = 12; 点: シード"
    )
    assert japanese("1 of 3 dropped by hand: wrong data, twice (jobs 1–2, seed 0, 1)") == (
        "3 件中 1 件を手動で除外: wrong data, twice (ジョブ 1–2, シード 0, 1)"
    )
    assert japanese("¹ failed: jobs 1–3, 7") == "¹ 失敗: ジョブ 1–3, 7"
    assert japanese("pending†") == "未実行†" and japanese(MARKED).startswith("†: 共通")
    for name in ("{0}", "größe", "", "50 %", "a; b", "\\frac{1}{2}"):
        assert japanese(name) == name


def test_a_line_that_is_wider_than_the_figure_is_broken_between_words() -> None:
    figure = canvas(4.0, 3.0)
    heading(figure, "Means: acc", "study s, preset report, n = 30; points: seeds, whiskers: 95 % interval of the mean")
    fit(figure)
    (shown,) = [one.get_text() for one in figure.findobj(Text) if isinstance(one, Text) and "study" in one.get_text()]
    assert shown.count("\n") == 1 and max(map(len, shown.split("\n"))) < 68
    assert shown.replace("\n", " ").endswith("95 % interval of the mean")


def test_a_machine_without_the_font_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: ["/usr/share/fonts/DejaVuSans.ttf"])
    speech.font.cache_clear()
    with pytest.raises(BadInput, match="no font on this machine has Japanese signs: install one"):
        image("gantt", data(), "png", "ja")
    speech.font.cache_clear()


def test_every_sentence_of_a_rule() -> None:
    at = datetime(2026, 11, 27, tzinfo=UTC)
    sides = (Side("1=2", 1), Side("1=3", 2))
    rule = Rule(study="s", text="1=2 > 1=3", metric="4", sides=sides, at_most=30, looks=(12, 15, 30), before=3, at=at)
    narrow = msgspec.structs.replace(rule, sides=sides[:1], margin=0.5)
    ended = Look(study="s", n=12, verdict="decided", p=0.001, bound=0.01, mean=1.0, low=0.5, high=1.5, at=at)
    seeds = [Seed(side=0, seed=0, job=1, state=JobState.RUNNING), Seed(side=1, seed=0, job=2, value=1.0)]
    failed = [Seed(side=0, seed=0, job=1, state=JobState.FAILED)]
    odd = [Seed(side=0, seed=0, job=1, state=JobState.SUCCEEDED, reported=("4",))]
    other = [Seed(side=0, seed=0, job=1, state=JobState.SUCCEEDED, reported=("5",))]
    why = "seed 0 of 1=2 was run again after its number was known"
    found = []
    for one, held in (
        *((Registered(rule=rule, seeds=12), some) for some in (seeds, failed, odd, other, [Seed(side=0, seed=0)])),
        (Registered(rule=rule, seeds=15, look=msgspec.structs.replace(ended, verdict=GOES_ON)), seeds),
        *((Registered(rule=rule, seeds=12, look=ended, verdict=v), ()) for v in (DECIDED, OPPOSITE, FUTILE)),
        (Registered(rule=rule, seeds=12, look=ended, verdict=BY_HAND, why=why), ()),
        (Registered(rule=narrow, seeds=12, look=msgspec.structs.replace(ended, p=None), verdict=PRECISE), ()),
        *(
            (Registered(rule=rule, seeds=12, look=msgspec.structs.replace(ended, why=reason), verdict=UNDECIDED), ())
            for reason in ("the differences do not vary", "the values do not vary", "")
        ),
    ):
        found += [japanese(sentence) for sentence in wording.sentences([one], held)]
    assert [(word, text) for text in found for word in left(text) if word not in ("retry", "orch")] == []
    assert len(set(found)) > 12
