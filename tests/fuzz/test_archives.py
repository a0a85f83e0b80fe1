"""Odd archives: torn or flipped bytes, and whole ones of odd rows. A table or one sentence, and never a traceback.

ORCH_FUZZ_ARCHIVES says how many (a few in `make test`), ORCH_FUZZ_SEED where to begin.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from random import Random

import pytest

from orchestrator.archives import form
from orchestrator.archives.making import make
from orchestrator.cli.main import run
from tests.fuzz.mutation import CONTENTS
from tests.helpers.filled import Filled

FILES = int(os.environ.get("ORCH_FUZZ_ARCHIVES", "40"))
SEED = int(os.environ.get("ORCH_FUZZ_SEED", "1"))
COMMANDS = (("table",), ("table", "--stats"), ("export",), ("show", "1"), ("compare", "--by", "kind"))
LATER = (("report", "--out", "page"), ("plot", "gantt", "--out", "g.svg"))
"""Slower, and so more rarely."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    filled = Filled.make(folder / ".orch")
    for seed, job in enumerate(filled.submit(seeds=range(4), study="t2")):
        made = filled.succeed(job, {"test_accuracy": 90.0 + seed, "params": 1e6})
        filled.epochs(made, [{"test_accuracy": 80.0}, {"test_accuracy": 90.0 + seed}], of=2)
    make(filled.store, "t2", folder / "t2.zip")
    return folder / "t2.zip"


def odd(whole: Path, target: Path, random: Random) -> str:
    """What was done, in words."""
    if random.random() < 0.3:
        change = random.choice(CONTENTS)
        target.write_bytes(change(whole.read_bytes(), random))
        return f"the file: {change.__name__}"
    with zipfile.ZipFile(whole) as file:
        held = {info.filename: file.read(info) for info in file.infolist()}
    read = [name for name in held if name.startswith(("database/", "runs/")) or name in (form.RECORD, form.CLAIM)]
    name = random.choice([*read, *(one for one in read if one.startswith("database/"))])
    change = random.choice(CONTENTS)
    held[name] = change(held[name], random)
    lines = [form.sum_line(hashlib.sha256(data).hexdigest(), one) for one, data in held.items() if one != form.SUMS]
    held[form.SUMS] = "".join(lines).encode()
    with zipfile.ZipFile(target, "w") as file:
        for one, data in held.items():
            file.writestr(one, data)
    return f"{name}: {change.__name__} → {held[name][:300]!r}"


@pytest.mark.timeout(600 + 10 * FILES)
def test_odd_archives(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    refused = 0
    for seed in range(SEED, SEED + FILES):
        random = Random(seed)
        target = tmp_path / "odd.zip"
        what = odd(whole, target, random)
        choice = random.choice(LATER) if random.random() < 0.1 else random.choice((*COMMANDS, ("verify",)))
        words = ("verify", str(target)) if choice == ("verify",) else (*choice, "--archive", str(target))
        with pytest.raises(SystemExit) as ended:
            run(words)
        told = capfd.readouterr()
        allowed = (0, 1, 2) if choice == ("verify",) else (0, 2)
        assert ended.value.code in allowed, f"seed {seed}: {words}: {what}: {told.err}"
        assert "Traceback" not in told.err and "defect" not in told.err, f"seed {seed}: {what}"
        if ended.value.code == 2:
            assert told.err.startswith("Error: ") and told.err.count("\n") == 1, f"seed {seed}: {what}: {told.err}"
            refused += 1
        assert not list(tmp_path.glob("orch-archive-*")), f"seed {seed}: {what}"
    assert refused > FILES // 4
