"""Workers of orch's own kinds in a bundle: a fork that has torch computes the same bits as a new interpreter."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest

from jobs.files import now, read_json, write_json
from jobs.kind import kind_named
from jobs.node import warmth
from jobs.records import JobFile, Outcome, Terms
from jobs.resources import Resources
from tests.helpers.cli import until
from tests.helpers.node import Node

TINY = {"dataset": "digits", "epochs": 1, "width": 0.02, "train_images": 40}
SMALL = Resources(memory_mb=2000, minutes=60)


def job(node: Node, number: int, seed: int) -> None:
    config = kind_named("random-baseline").configure(TINY, "demo")
    record = JobFile(
        id=number, study="default", kind="random-baseline", kind_version=1, seed=seed,
        config=msgspec.to_builtins(config), preset="demo", key="k", cwd=str(node.cwd), created_at=now(),
    )  # fmt: skip
    node.layout.job(number).mkdir(parents=True)
    write_json(node.layout.job(number) / "job.json", record)


def results(root: Path, *, cold: bool) -> tuple[list[dict[str, float | None]], set[bool]]:
    """Of seeds 3 and 4 side by side; and whether their workers were interpreters of their own."""
    root.mkdir()
    node = Node(root)
    for number, seed in ((1, 3), (2, 4)):
        job(node, number, seed)
    terms = Terms(device="cpu", cwd=str(root), options={"cold": cold} if cold else {})
    folder = node.submission(jobs=(1, 2), terms=terms, bundle=2, at_once=2, resources=SMALL)
    runner = node.start(folder)
    until(lambda: len(psutil.Process(runner.pid).children()) == 2, "two workers")
    own = {"jobs.node.bundled" in one.cmdline() for one in until(lambda: _begun(runner, node), "both begin")}
    assert runner.wait(120) == 0
    found = [read_json(node.layout.executions(one, 1)[0] / "outcome.json", Outcome) for one in (1, 2)]
    assert all(one is not None and one.ending == "success" for one in found), found
    return [one.result for one in found if one is not None], own


def _begun(runner: subprocess.Popen[bytes], node: Node) -> list[psutil.Process]:
    there = all(node.layout.executions(one, 1) for one in (1, 2))
    return psutil.Process(runner.pid).children() if there else []


def test_a_fork_that_has_torch_computes_the_same_bits(tmp_path: Path) -> None:
    warm, forked = results(tmp_path / "warm", cold=False)
    cold, own = results(tmp_path / "cold", cold=True)
    assert forked == {False} and own == {True}
    timed = ("seconds", "speed", "images_per_s")
    kept = [[{k: v for k, v in one.items() if not k.endswith(timed)} for one in some] for some in (warm, cold)]
    assert kept[0] == kept[1] and kept[0][0] != kept[0][1], "as each alone, and not as each other"


CHECK = """
import os
from jobs.kind import kind_named
from jobs.node import warmth
assert warmth.warm(kind_named("random-baseline")) is True
assert warmth.is_single() and "OPENBLAS_NUM_THREADS" not in os.environ
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
assert warmth.warm(kind_named("random-baseline")) is False
"""


def test_a_second_thread_makes_it_cold() -> None:
    subprocess.run([sys.executable, "-c", CHECK], check=True, timeout=120, cwd=Path(__file__).parents[3])


def test_a_kind_of_another_package_is_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = kind_named("random-baseline")
    monkeypatch.setattr(type(kind), "function", lambda self: pytest.fail("its code is not in place yet"))
    assert warmth.warm(replace(kind, run="their.module:run")) is False
