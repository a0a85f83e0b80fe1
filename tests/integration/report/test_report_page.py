"""The report page: whole in one file, escaped, and used as a person would in headless Chromium."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from jobs.errors import BadInput
from jobs.words import JobState
from orchestrator.report import page, sections
from orchestrator.report.data import ReportData
from tests.helpers import devtools, plausible
from tests.helpers.plausible import row

EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"
MADE = datetime(2026, 1, 6, 8, 30, tzinfo=UTC)


def data() -> ReportData:
    rows = plausible.study_rows(3)
    rows.append(row(len(rows) + 1, kind="random-baseline", seed=9, accuracy=None, state=JobState.FAILED))
    return ReportData(
        study="synthetic",
        made_at=MADE,
        rows=rows,
        curves=plausible.curves(rows[:12]),
        spans=plausible.spans(rows),
        errors={len(rows): "ValueError: made up"},
        versions={"torch": "2.9.1"},
    )


class Tags(HTMLParser):
    """Counts tags and ids, and gathers what would be loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "data") and value and not value.startswith(("#", "data:")):
                self.loads.append(value)


def test_the_page_is_whole_and_loads_nothing(tmp_path: Path) -> None:
    out = page.write(data(), tmp_path / "new" / "report")
    assert out == tmp_path / "new" / "report" / "index.html" and [*out.parent.iterdir()] == [out]
    text = out.read_text("utf-8")
    tags = Tags(text)
    assert tags.loads == [] and 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in text
    assert len(tags.ids) == len(set(tags.ids))
    assert tags.tags["svg"] >= 6 and tags.tags["script"] == 1
    for wanted in (
        "Accuracy of each architecture (CIFAR-10, preset report",
        "Statistics",
        "SGD(lr=0.0090131, momentum=0.9",
        '<section id="comparisons">',
        "Methods against each other, at the same search epoch",
        "80 of 100 studies",
    ):
        assert wanted in text


def test_everything_from_the_store_is_escaped() -> None:
    rows = [
        replace(
            one, study=EVIL, device_name=EVIL, code=EVIL, flags={"match": EVIL}, config={**one.config, "note": EVIL}
        )
        for one in plausible.study_rows(2)
    ]
    spans = [replace(one, node=EVIL, kind=EVIL) for one in plausible.spans(rows)]
    found = ReportData(
        study=EVIL, made_at=MADE, rows=rows, spans=spans, errors={rows[3].job: EVIL}, versions={EVIL: EVIL}
    )
    text = page.build(found)
    tags = Tags(text)
    assert "alert(1)</script>" not in text and "<img" not in text
    assert tags.tags["script"] == 1 and "&lt;script&gt;alert(1)" in text


def test_failures_say_what_followed() -> None:
    found = sections.failures(data())
    assert len(found) == len([span for span in data().spans if span.cause not in (None, "success")]) > 0
    assert all(re.fullmatch(r"resubmitted as attempt 2 on node-[a-d]: (success|runs)", one.then) for one in found)


def test_settings_are_those_of_table_1() -> None:
    found = {one.name: one.value for one in sections.table1(data().rows)}
    assert found["Scheduler(w)"] == "Step(γ=0.2344, step size=100)"
    assert (found["batch size"], found["epochs"], found["dataset"]) == ("64", "150", "CIFAR-10")
    mixed = sections.table1([row(1), row(2, kind="random-baseline", config={"epochs": 3})])
    assert mixed[-1].value == "150 (evaluate); 3 (random-baseline)"


def test_an_empty_study_is_a_page(tmp_path: Path) -> None:
    text = page.write(ReportData(study="none", made_at=MADE, rows=[]), tmp_path).read_text("utf-8")
    assert "No jobs yet." in text and "nothing to draw: no job has started yet" in text


def test_two_data_sets_have_parts_of_their_own() -> None:
    rows = [*plausible.study_rows(2), row(900, dataset="digits", preset="demo", config={"architecture": "vgg19"})]
    text = page.build(ReportData(study="synthetic", made_at=MADE, rows=rows))
    assert "<h3>CIFAR-10, preset report</h3>" in text and "<h3>digits, preset demo</h3>" in text
    tags = Tags(text)
    assert len(tags.ids) == len(set(tags.ids))


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="choose another --out"):
        page.write(data(), tmp_path / "file")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[devtools.Page]:
    program = devtools.chromium()
    if program is None:
        message = f"Chromium is not installed, so the page was not tried in a browser: {devtools.INSTALL}"
        if os.environ.get("ORCH_REQUIRE_CHROMIUM") == "1":
            pytest.fail(message)
        pytest.skip(message)
    folder = tmp_path_factory.mktemp("browser")
    out = page.write(data(), folder / "report")
    with devtools.browser(program, folder) as tab:
        tab.open(out)
        yield tab


def column(tab: devtools.Page, number: int) -> list[str]:
    script = f"[...document.querySelectorAll('#job-table tbody tr')].map(r => r.cells[{number}].textContent.trim())"
    return [str(one) for one in tab.run(script)]


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_it_round(opened: devtools.Page) -> None:
    before = column(opened, 4)
    opened.click("#job-table th:nth-child(5) button")
    rising = [float(one) for one in column(opened, 4) if one]
    assert rising == sorted(rising) and column(opened, 4) != before
    assert opened.run("document.querySelector('#job-table th:nth-child(5)').ariaSort") == "ascending"
    opened.click("#job-table th:nth-child(5) button")
    falling = column(opened, 4)
    assert [float(one) for one in falling if one] == rising[::-1] and falling[-1] == ""


def test_words_and_states_filter(opened: devtools.Page) -> None:
    total = len(data().rows)
    opened.click("#filter")
    opened.type("evaluate method=A")
    wanted = len([one for one in data().rows if one.kind == "evaluate" and one.config.get("method") == "A"])
    assert opened.run("document.getElementById('shown').textContent") == f"{wanted} of {total}"
    opened.run("filter.value = ''; state.value = 'failed'; state.dispatchEvent(new Event('change'))")
    assert opened.run("document.getElementById('shown').textContent") == f"1 of {total}"
    opened.run("state.value = ''; state.dispatchEvent(new Event('change'))")
    assert opened.run("document.getElementById('shown').textContent") == f"{total} of {total}"


def test_a_click_opens_a_jobs_attempts(opened: devtools.Page) -> None:
    opened.click("#job-table details summary")
    assert opened.run("document.querySelector('#job-table details').open") is True


def test_light_and_dark(opened: devtools.Page, tmp_path: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    opened.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    assert opened.run(ground) == "rgb(255, 255, 255)"
    opened.run("scrollTo({top: 0, behavior: 'instant'})")
    light = opened.screenshot(tmp_path / "light.png")
    opened.click("#theme")
    assert opened.run(ground) == "rgb(20, 23, 28)" and opened.run("theme.textContent") == "Light"
    dark = opened.screenshot(tmp_path / "dark.png")
    assert light.startswith(b"\x89PNG") and dark.startswith(b"\x89PNG") and light != dark
    opened.click("#theme")
    assert opened.run(ground) == "rgb(255, 255, 255)"


def test_the_browser_has_nothing_to_complain_about_and_asks_for_nothing(opened: devtools.Page) -> None:
    assert opened.complaints() == []
    assert [url.startswith("file:") and url.endswith("/index.html") for url in opened.requests()] == [True]
    assert opened.run("document.documentElement.scrollWidth <= innerWidth") is True
