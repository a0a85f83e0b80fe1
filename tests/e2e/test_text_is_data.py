"""Names, errors and logs of a program reach a terminal, a table and a page as text: nothing in them is obeyed."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from orchestrator.tables import grid
from tests.helpers.cli import ORCH, Orch, until

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202ecba\x08[bold]x[/bold]"
PROGRAM = f"""
import json, os, sys
print({EVIL!r}, "\\x1b[32mgreen\\x1b[0m", "one\\rtwo")
json.dump({{"acc" + {EVIL!r}: 1.5, "=cmd|x": 2.0, "loss": 0.25}}, open(os.environ["ORCH_RESULT"], "w"))
if os.environ["ORCH_SEED"] == "1":
    raise ValueError({EVIL!r})
"""
OWN = re.compile(r"\x1b\[(\?25[lh]|[0-9;]*m|[0-9]*[AGK]|2K)")
"""What orch's own styles and progress are made of."""


@pytest.fixture(scope="module")
def orch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orch]:
    made = Orch(tmp_path_factory.mktemp("text"))
    (made.folder / "evil.py").write_text(PROGRAM)
    made("submit", "command", "--seeds", "2", "--wait", "--", sys.executable, "evil.py", code=1)
    until(lambda: made.supervisor() is None, "the supervisor's end")
    yield made
    made.kill_everything()


def on_terminal(orch: Orch, *arguments: str, **extra: str) -> str:
    """What a command writes to a real terminal."""
    ours, theirs = pty.openpty()
    environment = {**orch.environment, "COLUMNS": "200", "TERM": "xterm-256color", **extra}
    process = subprocess.Popen(
        [*ORCH, *arguments], cwd=orch.folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    data = b""
    try:
        while part := os.read(ours, 65536):
            data += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    process.wait(60)
    return data.decode("utf-8", "surrogateescape")


def obeyed(text: str) -> list[str]:
    """Signs in it that a terminal would act on, but for orch's own."""
    return re.findall(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", OWN.sub("", text))


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["show", "1"],
        ["show", "2"],
        ["explain", "2"],
        ["logs", "1"],
        ["logs", "2"],
        ["table", "--by", "seed", "--metric", "loss,acc" + EVIL],
        ["table", "--by", EVIL, "--metric", "loss"],
        ["export"],
        ["export", "--json"],
        ["status", "--json"],
        ["status", "--study", EVIL],
        ["submit", "command", "--study", EVIL, "--", "true"],
        [EVIL],
        ["status", "--" + EVIL],
    ],
)
def test_a_terminal_shows_and_does_not_obey(orch: Orch, command: list[str]) -> None:
    text = on_terminal(orch, *command)
    assert text.strip() and "defect of orch" not in text
    assert obeyed(text) == []


def test_logs_keep_colours_and_a_pipe_gets_every_byte(orch: Orch) -> None:
    text = on_terminal(orch, "logs", "1")
    assert "\x1b[32mgreen" in text and "\\x1b]0;owned" in text and "one\r\ntwo" in text
    assert "\x1b]0;owned\x07" in on_terminal(orch, "logs", "1", "--raw")
    done = subprocess.run([*ORCH, "logs", "1"], cwd=orch.folder, env=orch.environment, capture_output=True, check=True)
    assert EVIL.encode() in done.stdout and b"one\rtwo" in done.stdout


def test_json_is_json_with_the_same_values(orch: Orch) -> None:
    jobs = json.loads(on_terminal(orch, "status", "--json"))["jobs"]
    assert jobs[0]["metrics"]["acc" + EVIL] == 1.5
    assert jobs[1]["error"].endswith(EVIL) or "owned" in jobs[1]["error"]
    assert obeyed(orch("status", "--json").replace("\n", "")) == []


def test_tables_in_files_hold_text_alone(orch: Orch) -> None:
    metrics = f"loss,acc{EVIL},=cmd|x"
    for suffix in ("md", "tex", "csv", "html"):
        orch("table", "--by", "seed", "--metric", metrics, "--out", f"t.{suffix}")
        text = (orch.folder / f"t.{suffix}").read_text()
        assert "owned" in text and obeyed(text) == [], suffix
    line = (orch.folder / "t.csv").read_text().splitlines()[0]
    assert not re.search(r'(^|,)"?[=+@\t-]', line) and "'=cmd|x" in line


def test_a_metrics_name_is_no_markup_of_a_markdown_table() -> None:
    names = ["val_acc", "a|b", "<img src=x onerror=alert(1)>", "![x](http://tracker)", "`id`", "*b*", "\\"]
    made = grid.markdown(grid.Grid(caption="c", headings=names, rows=[["1"] * len(names)], text_columns=0))
    (line,) = (one for one in made.splitlines() if "val_acc" in one)
    shown = [
        r"val_acc",
        r"a\|b",
        r"\<img src=x onerror=alert(1)>",
        r"!\[x](http://tracker)",
        r"\`id\`",
        r"\*b\*",
        r"\\",
    ]
    assert line == "| " + " | ".join(shown) + " |"


def test_an_export_is_safe_in_a_spreadsheet_and_comes_back_unchanged(orch: Orch) -> None:
    orch("export", "--out", "e.csv")
    text = (orch.folder / "e.csv").read_text()
    assert not re.search(r'(^|,)"?[=+@\t]', text, re.MULTILINE) and "metrics.=cmd|x" in text
    orch("import", "e.csv", "--study", "copy")
    shown = [orch.json("status", "--study", study)["jobs"][0]["metrics"] for study in ("default", "copy")]
    assert shown[0]["=cmd|x"] == 2.0 and {k: shown[1][k] for k in shown[0]} == shown[0]


@pytest.mark.parametrize(
    "options",
    [
        ["--study", "two\nlines"],
        ["--partition", "gpu\n#SBATCH --uid=0"],
        ["--sbatch", "comment=a\nb"],
        ["--sbatch", "comment=a\x1bb"],
        ["--exclude", "n1\nn2"],
        ["--grid", "lr=1,2\n3"],
        ["--set", "name=a\x07b"],
    ],
)
def test_a_control_character_in_a_name_or_an_option_is_refused(orch: Orch, options: list[str]) -> None:
    before = len(orch.jobs())
    done = orch.call("submit", "command", "--no-start", *options, "--", "true")
    assert done.returncode == 2 and ("control character" in done.stderr or "line feed" in done.stderr), done
    assert obeyed(done.stderr.replace("\n", "")) == [] and len(orch.jobs()) == before


def test_lines_in_a_programs_arguments_are_its_own(orch: Orch) -> None:
    orch("submit", "command", "--no-start", "--dry-run", "--", sys.executable, "-c", "a = 1\nprint(a)")


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_terminal_that_cannot_show_a_sign_gets_another(orch: Orch, environment: dict[str, str]) -> None:
    for command in (
        ["status"],
        ["show", "1"],
        ["explain", "2"],
        ["table", "--by", "kind", "--metric", "loss"],
        ["doctor"],
    ):
        text = on_terminal(orch, *command, **environment)
        assert "defect" not in text and text.strip(), (command, text)
    done = subprocess.run(
        [*ORCH, "status", "--json"],
        cwd=orch.folder,
        env={**orch.environment, **environment},
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["jobs"][0]["metrics"]["acc" + EVIL] == 1.5


def test_the_page_holds_no_controls(orch: Orch) -> None:
    orch("report", "--out", "page")
    text = (orch.folder / "page" / "index.html").read_text()
    assert "owned" in text and obeyed(text) == []
