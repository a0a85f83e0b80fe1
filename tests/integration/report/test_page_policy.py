"""The page runs its own script and nobody else's, and its drawings look as they did: tried in headless Chromium."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator import figures
from orchestrator.figures import FigureData
from orchestrator.report import page
from orchestrator.report.data import ReportData
from orchestrator.report.policy import Classes
from tests.helpers import devtools, plausible

LOOKS = """[...document.querySelectorAll("svg *")].map(e => { const s = getComputedStyle(e); return [e.tagName, s.fill,
s.stroke, s.strokeWidth, s.strokeLinecap, s.strokeLinejoin, s.strokeDasharray, s.strokeMiterlimit, s.opacity,
s.fillOpacity, s.textAnchor, s.font].join(" "); }).filter(t => !t.startsWith("style"))"""
INJECTED = """<script>window.hurt = 1</script><img src="x" onerror="window.hurt = 2">
<a id="trap" href="javascript:window.hurt=3"></a><style>h1 { position: fixed }</style>
<p id="styled" style="position: fixed">x</p>"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[devtools.Page]:
    program = devtools.chromium()
    if program is None:
        message = f"Chromium is not installed, so the page's policy was not tried: {devtools.INSTALL}"
        if os.environ.get("ORCH_REQUIRE_CHROMIUM") == "1":
            pytest.fail(message)
        pytest.skip(message)
    with devtools.browser(program, tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def report() -> ReportData:
    rows = plausible.study_rows(3)
    return ReportData(
        study="s",
        made_at=datetime(2026, 1, 6, tzinfo=UTC),
        rows=rows,
        curves=plausible.curves(rows[:12]),
        spans=plausible.spans(rows),
    )


def test_what_is_written_into_the_page_does_not_run_and_the_page_works(tab: devtools.Page, tmp_path: Path) -> None:
    text = page.build(report())
    assert "unsafe" not in text.split("</head>")[0].split("<style>")[0]
    assert text.count("<main>") == 1
    (tmp_path / "bad.html").write_text(text.replace("<main>", f"<main>{INJECTED}"), "utf-8")
    tab.open(tmp_path / "bad.html")
    tab.run("document.getElementById('trap').click()")
    assert tab.run("String(window.hurt)") == "undefined"
    assert tab.run("getComputedStyle(document.getElementById('styled')).position") == "static"
    assert tab.run("getComputedStyle(document.querySelector('h1')).position") == "static"
    assert any("Content Security Policy" in one for one in tab.complaints())
    tab.click("#filter")
    tab.type("evaluate method=A")
    wanted = len([one for one in report().rows if one.kind == "evaluate" and one.config.get("method") == "A"])
    assert tab.run("document.getElementById('shown').textContent") == f"{wanted} of {len(report().rows)}"


def test_a_figure_fills_the_window_at_a_click_and_goes_back(tab: devtools.Page, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page.build(report()), "utf-8")
    tab.open(tmp_path / "page.html")
    tab.call("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=True)
    try:
        wide = "document.querySelector('#p0-fig1 svg, #large svg').getBoundingClientRect().width"
        assert tab.run(wide) <= 390  # all of it is seen, too small to be read
        tab.click("#p0-fig1 .enlarge")
        assert tab.run("document.getElementById('large').open") is True
        assert tab.run(wide) >= 900
        assert tab.run("document.querySelectorAll('#p0-fig1 svg').length") == 0
        assert tab.run("getComputedStyle(document.querySelector('#large .paper')).overflow") == "auto"
        tab.screenshot(tmp_path / "large.png")
        tab.click("#smaller")
        assert tab.run("document.getElementById('large').open") is False
        assert tab.run("document.querySelectorAll('#p0-fig1 svg').length") == 1
        assert tab.run("document.documentElement.scrollWidth") <= 390  # nothing is wider than a phone
        assert tab.complaints() == []
    finally:
        tab.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("name", ["fig1", "gantt"])
def test_a_drawing_without_style_attributes_looks_the_same(tab: devtools.Page, tmp_path: Path, name: str) -> None:
    svg = figures.image(name, FigureData(rows=report().rows, spans=report().spans), "svg")
    (tmp_path / "raw.html").write_text(f'<div class="paper">{svg[svg.index(b"<svg") :].decode()}</div>', "utf-8")
    looks = Classes()
    drawing = page.inline(svg, "p", "it", looks)
    assert "style" not in drawing
    (tmp_path / "own.html").write_text(f'<style>{looks.sheet()}</style><div class="paper">{drawing}</div>', "utf-8")
    tab.open(tmp_path / "raw.html")
    raw = tab.run(LOOKS)
    tab.open(tmp_path / "own.html")
    own = [one.replace("#p-", "#") for one in tab.run(LOOKS)]
    raw = [one for one in raw if one.split()[0].partition(":")[0].lower() not in ("metadata", "rdf", "cc", "dc")]
    assert len(own) > 50
    assert own == raw


def test_text_that_looks_like_a_style_stays_text() -> None:
    looks = Classes()
    text = '<svg><text class="a" style="fill: red">x style="}body{display:none" y</text></svg>'
    assert looks.take(text) == '<svg><text class="a d0">x style="}body{display:none" y</text></svg>'
    assert looks.sheet() == ".d0{fill: red}"
