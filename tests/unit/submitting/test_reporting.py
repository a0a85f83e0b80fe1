"""Where a program's numbers are, as a person types it: each slip is refused in one sentence that names it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.changes import Change
from jobs.errors import BadInput
from jobs.numbers import events
from jobs.reported import Declared, Reported
from orchestrator.submitting.reporting import check, declaration, of_words, over, remarks


def asked(files: str = "", metric: str = "", declare: str = "", folder: str = "", *more: str) -> Reported:
    """One of each option, where it is not empty; `more`: further --metric."""
    one, about, below = [[word] if word else [] for word in (files, declare, folder)]
    return of_words(one, [word for word in (metric, *more) if word], about, below)


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        (("{out}/",), "--result-file '{out}/' is a folder: name the file in it"),
        (("{out}",), "is a folder"),
        (("{ot}/m.json",), "uses {ot}, which is not defined: did you mean {out}?"),
        (("{learning}.json",), "uses {learning}, which is not defined: use seed, job, out, lr"),
        (("*.json",), "takes no wildcards: name one file"),
        (("a\nb",), "holds a control character"),
        (("", "acc"), r"--metric takes NAME=PATTERN, like 'test_acc=Accuracy: ([\d.]+)' (got 'acc')"),
        (("", "=(x)"), "--metric takes NAME=PATTERN"),
        (("", "acc="), "--metric takes NAME=PATTERN"),
        (("", "acc=("), "the pattern of 'acc' is no regular expression"),
        (("", "acc=x"), "the pattern of 'acc' has no group"),
        (("", r"acc=(\d)(\d)"), "has 2 groups"),
        (("", "acc=(x)", "", "", "acc=(y)"), "--metric names 'acc' twice"),
        (("", "lr=(x)"), "'lr' is a parameter of these jobs already"),
        (("", "seed=(x)"), "'seed' means something else in tables"),
        (("", "gpu_hours=(x)"), "means something else in tables"),
        (("", "config.x=(x)"), "means something else in tables"),
        (("", "a,b=(x)"), "no comma"),
        (("", "a\tb=(x)"), "holds a control character"),
        (("", "epoch=(x)"), "'epoch' only says where other printed metrics stand"),
        (("", "", "acc"), "--declare takes NAME: then some of label=…, unit=…, digits=…, better=…"),
        (("", "A=(x)", "acc: label=A"), "'A' and 'acc' are both called 'A', and nobody could tell them apart"),
        (("", "", "acc: colour=red"), "it has no 'colour'"),
        (("", "", ": unit=%"), "--declare takes NAME"),
        (("", "", "acc: digits=many"), "digits is a whole number from 0 to 12 (got 'many')"),
        (("", "", "acc: digits=99"), "digits is a whole number"),
        (("", "", "acc: better=up"), "better is 'higher' or 'lower' (got 'up')"),
        (("", "", "acc: unit=%, unit=x"), "says unit twice"),
        (("", "", "epoch: unit=s"), "says where other metrics stand, and is none itself"),
        (("", "", "", "{ot}"), "--tensorboard '{ot}' uses {ot}"),
    ],
)
def test_a_slip_is_named_in_one_sentence(given_: tuple[str, ...], told: str) -> None:
    with pytest.raises(BadInput) as refused:
        check(asked(*given_), ["lr"])
    assert told in str(refused.value) and "\n" not in str(refused.value)


def test_the_same_twice_and_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=r"--result-file names 'm\.json' twice"):
        check(Reported(result_files=("m.json", "m.json")), [])
    with pytest.raises(BadInput, match="--declare names 'acc' twice"):
        of_words([], [], ["acc: unit=%", "acc: digits=1"], [])
    check(Reported(tensorboard=("{out}",)), [])
    monkeypatch.setattr(events, "is_installed", lambda: False)
    with pytest.raises(BadInput, match=r"needs the package tensorboard .*: pip install 'orch\[tensorboard\]'"):
        check(Reported(tensorboard=("{out}",)), [])


def test_what_is_said_of_a_metric() -> None:
    declared = ["acc: label=Accuracy, on test,unit=%, digits=1", "b:better=lower"]
    found = of_words(["{out}/m"], ["acc=acc=(x)"], declared, [])
    assert found.metrics == {
        "acc": Declared(pattern="acc=(x)", label="Accuracy, on test", unit="%", digits=1),
        "b": Declared(better="lower"),
    }
    check(found, ["lr"])
    assert declaration("x", {"digits": 2, "better": "higher"}) == Declared(digits=2, better="higher")
    wrong = {"did you mean 'digits'": {"digit": 2}, "unit is a text": {"unit": 5}, "0 to 12": {"digits": True}}
    for told, about in wrong.items():
        with pytest.raises(BadInput, match=told):
            declaration("[experiment.metrics.acc]", about)


def test_a_declaration_alone_leaves_the_patterns() -> None:
    before = {"metrics": {"acc": {"pattern": "(x)", "unit": "m"}, "f1": {"pattern": "(y)"}}}
    change = Change(options=of_words([], [], ["acc: unit=%", "b: digits=1"], []).options())
    assert over(change, before).options["metrics"] == {
        "acc": {"pattern": "(x)", "unit": "%"},
        "f1": {"pattern": "(y)"},
        "b": {"digits": 1},
    }
    anew = Change(options=of_words([], ["acc=(z)"], [], []).options())
    assert over(anew, before).options["metrics"] == {"acc": {"pattern": "(z)"}}
    assert over(Change(), before) == Change()


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_is_typed_is_taken_or_refused(metric: str, declare: str) -> None:
    try:
        check(asked("", metric, declare), [])
    except BadInput as error:
        assert "\n" not in str(error) or "\n" in metric + declare


def test_a_file_that_all_jobs_share_is_remarked_on() -> None:
    reported = Reported(result_files=("m.json", "/data/m.json", "/data/{seed}.json"))
    assert remarks(reported, 1, live=True) == []
    assert [text.partition(":")[0] for text in remarks(reported, 3, live=False)] == ["/data/m.json"]
    assert [text.partition(":")[0] for text in remarks(reported, 3, live=True)] == ["m.json", "/data/m.json"]
