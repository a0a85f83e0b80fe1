"""Which line of what a program printed says why it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.node.team import HINT, last_words


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ("", ""),
        ("a\nb\n\n", "b"),
        ("Traceback\nValueError: no\n", "ValueError: no"),
        (
            "Error executing job with overrides: ['lr=1']\nTraceback (most recent call last):\n  File x\n"
            "_pickle.UnpicklingError: Weights only load failed.\n\tdo this\n\n" + HINT + "=1 "
            "for a complete stack trace.\n",
            "_pickle.UnpicklingError: Weights only load failed.",
        ),
        ("lightning.Exception\nSet the environment variable HYDRA_FULL_ERROR=1 for", "lightning.Exception"),
        (f"what\n{HINT}=1 for", f"{HINT}=1 for"),
    ],
)
def test_a_frameworks_hint_is_no_reason(tmp_path: Path, printed: str, why: str) -> None:
    (tmp_path / "stderr").write_text(printed)
    assert last_words(tmp_path / "stderr") == why
    assert last_words(tmp_path / "not there") == ""
