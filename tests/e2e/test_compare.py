"""`orch compare` and its figures, as typed: a sweep that was imported, the report's claims, and slips."""

from __future__ import annotations

import pytest
from scipy import stats

from tests.helpers.cli import Orch

A = [93.9, 94.1, 94.0, 93.8, 94.2]
B = [93.7, 94.0, 93.9, 93.9, 93.8]
VGG19 = [93.0, 93.1, 92.9, 93.2, 93.0]


@pytest.fixture
def study(orch: Orch) -> Orch:
    lines = ["kind,method,search_epoch,seed,dataset,test_accuracy,params,shortcuts"]
    for method, values in (("A", A), ("B", B)):
        lines += [f"evaluate,{method},50,{n},cifar10,{value},21000000,{9 + n}" for n, value in enumerate(values)]
    lines += [f"evaluate,,,{n},cifar10,{value},20040522,0" for n, value in enumerate(VGG19)]
    (orch.folder / "rows.csv").write_text("\n".join(lines) + "\n")
    orch("import", "rows.csv")
    return orch


def test_the_reports_claims_as_typed(study: Orch) -> None:
    found = study.json("compare")
    (methods,) = [one for one in found["families"] if one["title"].startswith("Methods")]
    (only,) = methods["comparisons"]
    theirs = stats.ttest_rel(A, B)
    assert (only["first"], only["second"], only["pairs"]) == ("A 50", "B 50", 5)
    assert only["p"] == pytest.approx(theirs.pvalue)
    assert only["smallest"] > 0 and only["needed"] > 5
    study("compare", "--out", "claims.md")
    text = (study.folder / "claims.md").read_text()
    assert "smallest shown" in text and "A 50 − vgg19" in text
    assert "smallest" in study("compare")
    study("compare", "--lang", "ja", "--out", "ja.md")
    assert "示し得た最小の差" in (study.folder / "ja.md").read_text()


def test_any_study_by_keys_and_its_figures(study: Orch) -> None:
    given = ["--by", "method", "--filter", "method=A,B", "--baseline", "method=B", "--margin", "0.3"]
    found = study.json("compare", *given)
    (only,) = found["comparisons"]
    assert (only["first"], only["second"]) == ("A", "B") and only["equivalence"]["margin"] == 0.3
    study("compare", *given, "--out", "c.csv")
    assert (study.folder / "c.csv").read_text().startswith("table,metric,first,second")
    for name in ("forest", "paired", "profile"):
        study("plot", name, "--x", "method", "--y", "test_accuracy", "--filter", "method=A,B", "--out", f"{name}.svg")
        assert (study.folder / f"{name}.svg").stat().st_size > 5000


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--margin", "-1"], "--margin must be a positive number"),
        (["--by", "method", "--baseline", "method>A"], "--baseline names one group"),
        (["--by", "methodd"], "did you mean 'method'"),
        (["--by", "dataset"], "nothing to compare"),
        (["--filter", "seed=99"], "no job to compare"),
    ],
)
def test_a_slip_is_one_sentence(study: Orch, given: list[str], said: str) -> None:
    failed = study.call("compare", *given)
    assert failed.returncode == 2 and said in failed.stderr and "Traceback" not in failed.stderr
