"""Study files that are wrong in some odd way, submitted as typed: one sentence with its place, nothing written.

Faults of a single key stand in tests/unit/studyfile/test_reading.py, faults between experiments in test_study_file.py.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.cli import main

HEAD = "[[experiment]]\nname = 'train'\n"
RUNS = HEAD + "command = ['true']\n"
SWEEPS = HEAD + "command = ['true', '{x}']\n"
TRAIN = "study.toml, [[experiment]] 'train'"
THOUSAND = "'1..1000'"
SUB = "[[experiment.sub]]\nwhen = {a = 1}\n"
CIRCLE = "".join(
    f"{HEAD.replace('train', one)}command = ['true']\nafter = '{two}'\n" for one, two in ("ab", "bc", "ca")
)
FAULTS = {
    # names
    RUNS + '"größe" = 3': f"{TRAIN} has no key 'größe': known keys",
    RUNS + '"seeds\u00a0" = 3': "did you mean 'seeds'?",
    RUNS + "seeds = '３'": f"{TRAIN}: seeds must be a whole number (got '３')",
    SWEEPS + 'grid = {"größe" = [1]}': f"{TRAIN}, [experiment.grid]: a parameter's name is a word",
    SWEEPS + "[experiment.grid]\na.b = [1]": f"{TRAIN}, [experiment.grid]: a must be a list of values",
    HEAD.replace("train", "a\\nb").replace("'", '"') + "command = ['true']": "'a\\nb': name must be a word",
    HEAD.replace("train", "a" * 300) + "command = ['true']": f"[[experiment]] '{'a' * 64}': name must be a word",
    HEAD.replace("'train'", "2026-01-01") + "command = ['true']": "name must be text in quotes (got 2026-01-01)",
    "[study]\nname = '.'\n" + RUNS: "[study]: name must be a word",
    "[[study]]\nname = 'a'\n" + RUNS: "[study] must be a table",
    # TOML itself: the line and the table are named
    RUNS + "seeds = 2\nseeds = 3": "(at end of document), below [[experiment]]: seeds = 3",
    RUNS + "[experiment.grid]\nx = [1]\n[experiment.grid]\ny = [1]": "(at line 6, column 17), below [experiment.grid]",
    RUNS + "grid = {x = [1], x = [2]}": "(at line 4, column 25), below [[experiment]]: grid = {x = [1], x = [2]}",
    RUNS + "unused_ok = True": "below [[experiment]]: unused_ok = True",
    RUNS + "seeds = [1 2]": "is no TOML: Unclosed array (at line 4",
    "[study]\nname = 'a\n" + RUNS: "(at line 2, column 10), below [study]: name = 'a",
    "study:\n  name: a\n": "(at line 1, column 6): study:",
    '{"study": {"name": "a"}}': 'is no TOML: Invalid statement (at line 1, column 1): {"study"',
    '[study]\nname = "\\q"': 'below [study]: name = "\\q"',
    SWEEPS + f"grid = {{x = [{'9' * 5000}]}}": "study.toml cannot be read: Exceeds the limit (4300 digits)",
    SWEEPS + f"grid = {{x = {'[' * 2000}1{']' * 2000}}}": "study.toml cannot be read: it is nested too deeply",
    # several processes of one program
    RUNS + "launcher = 'foo'": f"{TRAIN}: launcher takes torchrun, or none (got 'foo')",
    RUNS + "nodes = 0": f"{TRAIN}: nodes must be at least 1 (got 0)",
    RUNS + "nodes = 2": f"{TRAIN}: nodes 2 needs SLURM",
    # what is a setting of the store
    RUNS
    + "[clean]\nkeep = 'last'": "study.toml has no key 'clean': [clean] is for the whole store and stands in orch.toml",
    RUNS + "[experiment.clean]\nkeep = 'last'": f"{TRAIN} has no key 'clean': [clean] is for the whole store",
    "[study.store]\nquota = '1G'\n" + RUNS: "[study] has no key 'store': [store] is for the whole store",
    RUNS + "[notify]\ncommand = 'true'": "study.toml has no key 'notify': [notify] is for the whole store",
    # stages
    CIRCLE: "study.toml, [[experiment]] 'a': after goes round in a circle (a → b → c → a)",
    RUNS + "after = 'train'": f"{TRAIN}: after names 'train', which is no other experiment",
    RUNS + "after = ['train']": f"{TRAIN}: after must be text in quotes",
    RUNS + "after = ''": f"{TRAIN}: after is empty",
    # amounts: counted, never built
    HEAD + "command = ['true', '{a}{b}{c}']\n" + f"grid = {{a = {THOUSAND}, b = {THOUSAND}, c = {THOUSAND}}}": (
        f"{TRAIN}: the sweep has 1000000000 points: at most 1000000 are possible"
    ),
    HEAD + f"command = ['true', '{{a}}']\ngrid = {{a = {THOUSAND}}}\n{SUB}grid = {{b = {THOUSAND}, c = {THOUSAND}}}": (
        f"{TRAIN}: the sweep has at least 1000001 points: at most 1000000"
    ),
    HEAD
    + "command = ['true', '{a}']\ngrid = {a = [1]}\n"
    + "".join(f"{SUB}grid = {{{n} = {THOUSAND}}}\n" for n in "bcd"): (
        f"{TRAIN}: the sweep has at least 1000000000 points"
    ),
    SWEEPS + f"random = {{n = 1000000, seed = 1, x = {{uniform = [0, 1]}}}}\ngrid = {{y = {THOUSAND}}}": (
        f"{TRAIN}: the sweep has 1000000000 points"
    ),
    SWEEPS + f"seeds = 1000000\ngrid = {{x = {THOUSAND}}}": "1000 points with 1000000 seeds are 1000000000 jobs",
    SWEEPS + f"grid = {{x = {THOUSAND}}}\n" + HEAD.replace("train", "test") + "command = ['true', '{y}']\n"
    "after = 'train'\ngrid = {y = '1..2000'}": "[[experiment]] 'test': 2000000 points with 1 seeds are 2000000 jobs",
    RUNS * 1001: "study.toml has 1001 experiments: at most 1000 are possible",
    SWEEPS + "grid = {x = 'lin:0:1:999999999'}": "x cannot be read: 'lin:0:1:999999999' asks for 999999999 values",
    SWEEPS + "grid = {x = '1..10..0'}": "x cannot be read: '1..10..0' names no number",
    RUNS + "seeds = 10000000": f"{TRAIN}: seeds must be from 1 to 1000000",
    # values
    SWEEPS + "grid = {x = [nan]}": f"{TRAIN}, [experiment.grid]: x cannot be nan: nan equals nothing",
    SWEEPS + "params = {x = -nan}": f"{TRAIN}, [experiment.params]: x cannot be -nan",
    SWEEPS + "grid = {x = [12:00:00]}": "x cannot be 12:00:00: a time is no value",
    SWEEPS + 'params = {x = "a\\u0000"}': f"{TRAIN}, [experiment.params]: x holds a NUL, which no program can be given",
    HEAD + 'command = ["true", "a\\u0000b"]': f"{TRAIN}: command holds a NUL",
    HEAD + "command = ['  ']": f"{TRAIN}: command is empty: name a program",
    HEAD + "command = [['python']]": f"{TRAIN}: command must be a list of texts in quotes",
    SWEEPS + "grid = {x = [true, 'true']}": "x has the repeated value 'true'",
    SWEEPS + "grid = {x = [1]}\n[[experiment.sub]]\nwhen = {x = -inf}": "when {x = -inf} never holds: x is never",
    SWEEPS + "grid = {x = [1]}\n[[experiment.sub]]\nwhen = {x = [1, 2]}": "never holds: x is never [1,2], but 1",
    SWEEPS + "grid = {x = [1]}\n[[experiment.sub]]\nwhen = {x = 1}\nparams = {x = 2}": f"{TRAIN}: 'x' is given twice",
    SWEEPS + "grid = {x = [1, 2]}\nexclude = [{x = 1}, {x = 2}]": f"{TRAIN}: exclude leaves no point",
    # what it is given and how it is run
    RUNS + "env = {'A=B' = '1'}": f"{TRAIN}, [experiment.env]: 'A=B' is no variable's name",
    RUNS + "env = {'' = '1'}": f"{TRAIN}, [experiment.env]: '' is no variable's name",
    RUNS + 'env = {A = "\\u0000"}': f"{TRAIN}, [experiment.env]: A holds a NUL",
    RUNS + "env = {ORCH_RESULT = 'x'}": f"{TRAIN}: env ORCH_RESULT would be overwritten",
    RUNS + "env = {RANK = '{seed}'}": f"{TRAIN}: env RANK holds {{seed}}, which is for arguments",
    RUNS + "nodes = 0": f"{TRAIN}: nodes must be at least 1 (got 0)",
    RUNS + "gpus = -1": f"{TRAIN}: gpus must not be negative (got -1)",
    RUNS + "gpu_mem = 'x'": f"{TRAIN}: gpu_mem takes a size",
    RUNS + "checkpoint_every = 'nan'": f"{TRAIN}: checkpoint_every must be a number of seconds from 0 on",
    RUNS + "retry_oom_mem = '0'": f"{TRAIN}: retry_oom_mem must be above 1",
    RUNS + "time = 01:00:00": f"{TRAIN}: time must be a number or text in quotes (got 01:00:00)",
    RUNS + "result_file = []": f"{TRAIN}: result_file is empty",
    RUNS + "stop_signal = 'SIGFOO'": f"{TRAIN}: stop_signal takes one of",
    RUNS + "device = 'gpu'": f"{TRAIN}: unknown device 'gpu': use auto, cpu or cuda",
    RUNS + 'metrics = {acc = {pattern = "(\\u0000)"}}': f"{TRAIN}, [experiment.metrics.acc]: pattern holds a NUL",
    RUNS + "metrics = {acc = {pattern = ['(x)']}}": "[experiment.metrics.acc]: pattern is a text",
}


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[object]:
    """Submits, and gives the one sentence of a refusal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCH_BACKEND", "local")
    monkeypatch.setenv("ORCH_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.delenv("ORCH_STORE", raising=False)

    def submit(name: str) -> str:
        began = time.monotonic()
        with pytest.raises(SystemExit) as ended:
            main.run(["submit", name, "--no-start"])
        said = capsys.readouterr()
        assert (ended.value.code, said.out) == (2, ""), (name, said)
        assert said.err.startswith("Error: ") and said.err.strip().count("\n") == 0, said.err
        assert not (tmp_path / ".orch").exists() and time.monotonic() - began < 20
        return said.err.removeprefix("Error: ").strip()

    yield submit


@contextmanager
def little_memory() -> Iterator[None]:
    """2 GB more than now: what is built before it is counted does not fit."""
    kept = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), kept[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, kept)


def test_each_is_refused_where_it_is_wrong(refused, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert len(FAULTS) > 60
    with little_memory():
        for text, why in FAULTS.items():
            (tmp_path / "study.toml").write_text(text)
            said = refused("study.toml")
            assert why in said and said.startswith("study.toml"), (text[-200:], said)


def test_what_is_no_text_and_no_file(refused, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Nothing of it is waited for: not a FIFO, not a device without an end."""
    file = tmp_path / "study.toml"
    for data, why in {
        RUNS.encode("utf-16"): "is no UTF-8 text at byte 0: save it as UTF-8",
        RUNS.encode() + b"# \xe4": "is no UTF-8 text at byte 51",
        RUNS.replace("\n", "\r").encode(): "is no TOML",
        RUNS.encode() + b"\0": "is no TOML: Invalid statement (at line 4, column 1)",
        b"\0" * 1000: "is no TOML: Invalid statement",
        b"": "has no [[experiment]]",
        b"a = " + b"[" * 900_000: "it is nested too deeply",
        b"#" * 50_000_000: "has more than 1 MB",
        b"\n\na" + b".a" * 50_000 + b" = 1": "a key at line 3 has more than 64 parts",
        b"[[ 'a'" + b' . "b"' * 50_000 + b" ]]": "a key at line 1 has more than 64 parts",
        b"x = {y = 1, a" + b".a" * 50_000 + b" = 1}": "a key at line 1 has more than 64 parts",
    }.items():
        file.write_bytes(data)
        assert why in refused("study.toml")
    file.unlink()
    (tmp_path / "studies.toml").write_text(RUNS)
    assert refused("study.toml").endswith("No such file or directory: did you mean 'studies.toml'?")
    for name in ("study.yaml", "STUDY.TOML", "./study"):
        assert refused(name).startswith(f"'{name}' is no job kind, and a study file's name ends in .toml")
    assert "File name too long" in refused("a" * 300 + ".toml")
    os.mkfifo(file)
    assert "it is no regular file" in refused("study.toml")
    for target, why in {"study.toml": "symbolic links", "/dev/zero": "no regular file", ".": "Is a directory"}.items():
        file.unlink()
        file.symlink_to(target)
        assert why in refused("study.toml")


def test_what_an_editor_leaves_in_a_file_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A byte order mark, the line ends of Windows, and an infinite value, which a clip may have."""
    monkeypatch.chdir(tmp_path)
    text = SWEEPS + "grid = {x = [inf, 1e400]}\n"
    (tmp_path / "study.toml").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    with pytest.raises(SystemExit) as ended:
        main.run(["submit", "study.toml", "--dry-run"])
    assert ended.value.code == 0
    assert "would create 2 jobs" in capsys.readouterr().out
