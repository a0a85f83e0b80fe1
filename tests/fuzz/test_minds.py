"""Odd id ranges, filters and study files: exit 0, 1 or 2 with one sentence, never 70, and nothing half-written.

ORCH_FUZZ_MINDS says how many of each (a few in `make test`, 1,000 in `make chaos`), ORCH_FUZZ_SEED where to begin.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from random import Random

import pytest

from db.store import Store
from orchestrator.supervision import starting
from tests.fuzz import runs
from tests.simulation.patches import memory_folder

MINDS = int(os.environ.get("ORCH_FUZZ_MINDS", "8"))
SEED = int(os.environ.get("ORCH_FUZZ_SEED", "1"))
NUMBERS = ("0", "1", "2", "3", "7", "-1", "999999", "99999999999999999999", "", " ", "1.0", "x", "٣", "+1", "01")
JOINS = ("-", ",", ",,", "--", " - ", "..", ":", "–")
NAMES = ("lr", "seed", "state", "kind", "job", "acc", "parameters.lr", "config.lr", "blocked", "nope", "", "a=b", "é")
SIGNS = ("=", "!=", "<", "<=", ">", ">=", "==", "=<", "~", "", " = ")
VALUES = ("0.1", '"0.1"', "1e999", "nan", "queued", "none", "true", "[1,2]", "[", "'", "a,b", ",", "", "-0", "\x1b[0m")
COMMANDS = (
    ("drop", "--because", "x"), ("keep",), ("show",), ("explain",), ("set", "--time", "5", "--no-start"), ("cancel",),
    ("retry", "--succeeded", "--with-dependents", "--no-start"), ("table", "--by", "kind"),
)  # fmt: skip
STUDY = """[study]
name = "mine"
max_running = 2
[[experiment]]
name = "train"
command = ["true", "{lr}", "{opt}", "{seed}"]
seeds = 2
mem = "1G"
[experiment.grid]
lr = [0.1, 0.01]
opt = ["sgd", "adam"]
[experiment.metrics.acc]
pattern = 'acc ([0-9.]+)'
[[experiment.sub]]
when = {opt = "sgd"}
args = ["{momentum}"]
[experiment.sub.grid]
momentum = [0, 0.9]
[[experiment]]
name = "test"
after = "train"
command = ["true", "{train.out}/model.pt"]
[table]
rows = ["lr"]
"""
PIECES = (
    *NUMBERS, *JOINS, "[", "]", "{", "}", '"', "'", "=", "\n", "nan", "inf", "true", '"1..10"', '"1..999999999"',
    "[[]]", '"log:0:1:5"', "{lr}", "{nope}", "[study]", "[experiment.grid]", "seeds = -1", "\ufeff", "\x00", "1e400",
    "1979-05-27",
)  # fmt: skip


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in [name for name in os.environ if name.startswith(("ORCH_", "SLURM_"))]:
        monkeypatch.delenv(name)
    for name, value in (("ORCH_LOCK_DIR", tmp_path / "locks"), ("ORCH_PRESET", "demo"), ("ORCH_BACKEND", "local")):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(starting, "ensure_supervisor", lambda store: None)
    return tmp_path


def found(seed: int, test: str, what: object, error: BaseException) -> runs.Found:
    replay = f"ORCH_FUZZ_SEED={seed} ORCH_FUZZ_MINDS=1 pytest tests/fuzz/test_minds.py::{test}"
    return runs.Found(f"seed {seed}: {what!r}: {error}\n  replay: {replay}")


def ids(random: Random) -> str:
    word = random.choice(NUMBERS)
    while random.random() < 0.6:
        word += random.choice(JOINS) + random.choice(NUMBERS)
    return word


def words_of(random: Random) -> tuple[str, ...]:
    """A command about jobs: ids, filters, or both."""
    command = random.choice(COMMANDS)
    filters = [
        part
        for _ in range(random.choice((0, 1, 1, 2)))
        for part in ("--filter", random.choice(NAMES) + random.choice(SIGNS) + random.choice(VALUES))
    ]
    named = [ids(random) for _ in range(random.choice((0, 1, 1, 2)))] if command[0] != "table" else []
    return (*command, *filters, *(["--"] if random.random() < 0.8 else []), *named)


@pytest.mark.timeout(60 + 5 * MINDS)
def test_odd_ids_and_filters(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        runs.template(Path(folder) / ".orch")
        monkeypatch.chdir(folder)
        codes = set()
        for seed in range(SEED, SEED + MINDS):
            words = words_of(Random(f"minds {seed}"))
            try:
                with runs.quiet():
                    said = runs.call(*words)
                assert said.code == 0 or said.err.strip() or said.out.strip(), "it ended without a word"
                lines = [line for line in said.err.splitlines() if line.startswith("Error: ")]
                assert said.code != 2 or len(lines) == 1, said.err
            except BaseException as error:
                raise found(seed, "test_odd_ids_and_filters", words, error) from error
            codes.add(said.code)
        assert codes & {0, 2}


def mutated(random: Random) -> str:
    """The study file with some of its text cut, doubled, moved or replaced."""
    text = STUDY
    for _ in range(random.choice((1, 1, 2, 4))):
        start = random.randrange(len(text))
        end = min(len(text), start + random.choice((0, 1, 1, 3, 12)))
        text = text[:start] + random.choice((*PIECES, "", text[start:end] * 2)) + text[end:]
        if random.random() < 0.3:
            lines = text.split("\n")
            lines.insert(random.randrange(len(lines)), lines.pop(random.randrange(len(lines))))
            text = "\n".join(lines)
    return text


@pytest.mark.timeout(60 + 5 * MINDS)
def test_odd_study_files(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        monkeypatch.chdir(folder)
        file = Path(folder) / "study.toml"
        file.write_text(STUDY)
        with runs.quiet():
            assert runs.call("submit", "study.toml", "--dry-run").code == 0, "the sound one"
        for seed in range(SEED, SEED + MINDS):
            text = mutated(Random(f"studies {seed}"))
            file.write_text(text)
            shutil.rmtree(Path(folder) / ".orch", ignore_errors=True)
            try:
                with runs.quiet():
                    said = runs.call("submit", "study.toml", "--no-start")
                made = Path(folder, ".orch", "orch.db").exists() and Store(Path(folder) / ".orch").layout.journal
                assert said.code in (0, 2), said.err
                assert said.code == 0 or (said.err.count("Error: ") == 1 and not (made and any(made.rglob("*.json"))))
            except BaseException as error:
                raise found(seed, "test_odd_study_files", text, error) from error
