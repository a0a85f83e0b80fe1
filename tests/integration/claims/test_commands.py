"""`orch claim` and `orch verify` as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from db.layouts import Layout, Layouts
from orchestrator.claims import records
from orchestrator.cli.main import run
from orchestrator.submitting import changing
from orchestrator.submitting.changing import Selection
from tests.integration.claims.conftest import BAD, Lab

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(lab: Lab, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    for name in ("ORCH_STORE", "ORCH_STUDY", "ORCH_PRESET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(lab.folder)
    monkeypatch.setenv("ORCH_LOCK_DIR", str(lab.folder / "locks"))

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            run(words)
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def test_a_claim_is_checked_where_there_is_no_store(lab: Lab, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.run()
    code, out, _ = typed("claim", "--out", "t.claim")
    assert code == 0 and "head " in out
    elsewhere = lab.folder / "elsewhere"
    elsewhere.mkdir()
    (lab.folder / "t.claim").rename(elsewhere / "t.claim")
    (lab.folder / ".orch").rename(lab.folder / "gone")
    monkeypatch.chdir(elsewhere)
    head = out.split("head ", 1)[1].split()[0]
    code, out, err = typed("verify", "t.claim", "--against", head)
    assert (code, err) == (0, "") and "5 of 5 seeds; none dropped" in out and "it goes on from the head" in out
    assert not (elsewhere / ".orch").exists()


def test_a_finding_is_said_and_ends_with_1(lab: Lab, typed: Typed) -> None:
    ids = lab.run()
    changing.drop(lab.filled.store, Selection(ids=[ids[BAD]]), "diverged")
    _, out, _ = typed("claim", "--out", "t.claim", "--json")
    assert json.loads(out)["head"].startswith(f"{len(lab.loaded().files)}:")
    code, out, _ = typed("verify", "t.claim", "--json")
    said = json.loads(out)
    assert code == 1 and not said["sound"] and said["equal"] and not said["anchored"]
    assert [(one["what"], one["seed"]) for one in said["findings"]] == [("dropped", BAD)]
    assert said["rows"] == [{"row": "random", "have": 4, "asked": 5}]


def test_a_filter_of_the_study_file_that_leaves_a_seed_out_is_named(lab: Lab, typed: Typed) -> None:
    lab.run()
    with lab.filled.store.write() as writer:
        table = Layout(rows=("kind",), metrics=("test_accuracy",), filters=("test_accuracy>80",))
        writer.decide([Layouts(study="default", tables=(table,), at=lab.filled.tick())])
    typed("claim", "--out", "t.claim")
    code, out, _ = typed("verify", "t.claim")
    assert code == 1 and "table leaves 1 job out by test_accuracy>80" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("claim", "--out", "no/such/x.claim"), "cannot write"),
        (("claim", "--out", "x.claim", "--study", "nobody"), "nobody"),
        (("verify", "gone.claim"), "cannot read 'gone.claim'"),
        (("verify", ".orch"), "cannot read '.orch'"),
        (("verify", "t.claim", "--against", "17:abc"), "neither a claim nor a head"),
    ],
)
def test_bad_input_is_one_sentence(lab: Lab, typed: Typed, words: tuple[str, ...], said: str) -> None:
    lab.run([0])
    assert typed("claim", "--out", "t.claim")[0] == 0
    code, out, err = typed(*words)
    assert code == 2 and out == "" and said in err and err.count("\n") == 1


def test_a_damaged_journal_makes_no_claim(lab: Lab, typed: Typed) -> None:
    lab.run()
    (lab.filled.store.layout.journal / "0" / "000000002.json").write_bytes(b"{")
    code, _, err = typed("claim", "--out", "t.claim")
    assert code == 2 and "000000002.json" in err and not (lab.folder / "t.claim").exists()


def forged(lab: Lab, before: bytes, after: bytes) -> None:
    """`f.claim`: the claim of the store, with other bytes in it."""
    _, data = records.load(lab.claim())
    assert before in data
    (lab.folder / "f.claim").write_bytes(records.pack(data.replace(before, after)))


def test_what_a_claim_says_reaches_no_terminal_as_it_is(lab: Lab, typed: Typed) -> None:
    ids = lab.run([0, 1])
    changing.drop(lab.filled.store, Selection(ids=[ids[1]]), "diverged")
    forged(lab, b'"because":"diverged"', b'"because":"\\u001b[31m"')
    code, out, _ = typed("verify", "f.claim")
    assert code == 1 and "\x1b" not in out and "\\x1b[31m" in out


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"dataset":"digits"', b'"dataset":{}'),
        (b'"preset":"demo"', b'"preset":[]'),
        (b'"test_accuracy":90.25', b'"test_accuracy":"x"'),
        (b'"config":{', b'"config":{"search_epoch":[1],"method":{},'),
        (b'"state":"succeeded"', b'"state":"gone"'),
    ],
)
def test_a_claim_of_odd_values_is_a_sentence(lab: Lab, typed: Typed, before: bytes, after: bytes) -> None:
    lab.run([0, 1])
    forged(lab, before, after)
    code, out, err = typed("verify", "f.claim")
    assert (code == 2 and out == "" and "'f.claim'" in err and err.count("\n") == 1) or (code == 1 and err == "")
