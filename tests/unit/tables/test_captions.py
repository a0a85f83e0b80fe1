"""What stands above a table that nobody laid out."""

from __future__ import annotations

from orchestrator.tables.default import LONGEST_CAPTION, parts
from tests.helpers.plausible import row


def test_code_of_a_shell_is_cut_in_its_caption() -> None:
    code = "for i in 1 2 3; do\n  echo $i; done; printf '{\"acc\": 1}' > $ORCH_RESULT; echo all is done"
    short = "echo acc 1 > a/b"
    made = [
        row(1, kind="command", config={"argv": ["sh", "-c", code]}),
        row(2, kind="command", config={"argv": ["sh", "-c", short]}),
        row(3, kind="command", config={"argv": ["python", "train.py"]}),
    ]
    titles = [part.title for part in parts(made)]
    assert len(titles) == 3 and all("\n" not in title and len(title) <= LONGEST_CAPTION for title in titles)
    assert titles[0].startswith("-c for i in 1 2 3; do echo $i;") and titles[0].endswith("…")
    assert titles[1:] == [f"-c {short}", "train.py"]
