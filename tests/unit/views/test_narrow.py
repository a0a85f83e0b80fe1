"""A table in a narrow terminal: an empty column is spared before a text is cut."""

from __future__ import annotations

from orchestrator.views.tables import columns

HEADINGS = ["job", "kind", "seed", "epoch", "tries", "when"]
ROW = ["1", "random-baseline", "0", "", "", "as soon as there is room"]


def test_empty_columns_go_before_a_text_is_cut() -> None:
    for width in (60, 56):
        head, line = columns(HEADINGS, [ROW], width=width, stretch=5, indent=2)
        assert line.plain.endswith("as soon as there is room") and line.cell_len <= width
        assert "epoch" not in head.plain
    assert "epoch" in columns(HEADINGS, [ROW], width=80, stretch=5, indent=2)[0].plain
    full = columns(HEADINGS, [[*ROW[:3], "12", *ROW[4:]]], width=60, stretch=5, indent=2)
    assert "12" in full[1].plain, "what holds something stays"
