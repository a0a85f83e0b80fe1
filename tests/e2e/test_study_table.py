"""A table laid out in a study file: what a person writes, and the numbers that stand in every format of it."""

from __future__ import annotations

import csv
import re
import statistics
import sys
from pathlib import Path

import pytest
from scipy import stats

from tests.helpers.cli import Orch

SCORES = {
    ("sgd", "digits"): [80.0, 81.5, 79.25],
    ("adam", "digits"): [84.0, 85.25, 83.5],
    ("sgd", "a_b & <i>"): [70.0, 71.0, 72.5],
}
"""(opt, data) → the accuracy of seeds 0, 1, 2; adam never sees the other data."""
PROGRAM = f"""
import json, os, sys
scores = {SCORES!r}
json.dump({{"val/acc": scores[sys.argv[1], sys.argv[2]][int(sys.argv[3])]}}, open(os.environ["ORCH_RESULT"], "w"))
"""
STUDY = r"""
[study]
name = "mine"
[[experiment]]
name = "train"
command = ["PYTHON", "train.py", "{opt}", "{data}", "{seed}"]
seeds = 3
exclude = [{opt = "adam", data = "a_b & <i>"}]
[experiment.grid]
opt = ["adam", "sgd"]
data = ["a_b & <i>", "digits"]
[experiment.metrics."val/acc"]
label = "Accuracy"
unit = "%"
digits = 2

[table]
rows = ["opt"]
columns = ["data", "metric"]
labels = {opt = "Optimizer"}
values = {opt = {sgd = "[SGD]"}}
order = {data = ["digits"], opt = ["sgd"]}
baseline = {opt = "sgd"}
caption = "What *works*, 100 %"
label = "tab:main"
"""


def mean_text(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"


def test_a_table_as_the_file_lays_it_out(orch: Orch) -> None:
    folder = orch.folder / "project"
    folder.mkdir()
    (folder / "train.py").write_text(PROGRAM)
    file = folder / "study.toml"
    file.write_text(STUDY.replace("PYTHON", sys.executable))
    assert "laid out the table that 'orch table' shows" in orch("submit", str(file), "--no-start")

    shown = orch("table")
    assert "What *works*, 100 %" in shown and "pending" in shown, "no results yet, and no numbers"

    orch("submit", str(file), "--wait")
    sgd, adam, other = (SCORES[key] for key in [("sgd", "digits"), ("adam", "digits"), ("sgd", "a_b & <i>")])
    paired = stats.ttest_rel(adam, sgd)
    low, high = paired.confidence_interval(0.95)
    gain = statistics.mean(adam) - statistics.mean(sgd)
    delta = f"+{gain:.2f} (+{low:.2f} to +{high:.2f}), p = {paired.pvalue:.3f}".replace("p = 0.000", "p < 0.001")
    formats = {}
    for format in ("md", "tex", "html", "csv"):
        orch("table", "--out", f"t.{format}")
        formats[format] = (orch.folder / f"t.{format}").read_text()

    lines = formats["md"].splitlines()
    assert lines[0] == r"**What \*works\*, 100 %**"
    assert lines[2] == (
        r"| Optimizer | digits · Accuracy (%) | digits · Δ Accuracy (%) | a_b & \<i> · Accuracy (%) | "
        r"a_b & \<i> · Δ Accuracy (%) |"
    )
    assert lines[4] == rf"| \[SGD] | {mean_text(sgd)} | - | {mean_text(other)} | - |"
    assert lines[5] == f"| adam | **{mean_text(adam)}** | {delta.replace('<', chr(92) + '<')} | - | - |", (
        "a hole is '-'"
    )

    tex = formats["tex"]
    assert r"\caption{What *works*, 100 \%}\label{tab:main}" in tex
    assert r"& \multicolumn{2}{c}{digits} & \multicolumn{2}{c}{a\_b \& $<$i$>$} \\" in tex
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}" in tex
    assert "\n    {[}SGD] & " in tex, r"no argument of the \\ before it"
    body = tex[tex.index(r"\toprule") : tex.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {4}

    html = formats["html"]
    assert (
        '<th scope="colgroup" colspan="2">digits</th><th scope="colgroup" colspan="2">a_b &amp; &lt;i&gt;</th>' in html
    )
    assert f"<strong>{mean_text(adam)}</strong>" in html and "<i>" not in html

    records = list(csv.DictReader(formats["csv"].splitlines()))
    (row,) = [one for one in records if one["opt"] == "adam"]
    assert len(records) == 3 and {len(one) for one in records} == {len(row)}
    assert float(row["val/acc_mean"]) == pytest.approx(statistics.mean(adam))
    assert float(row["val/acc_baseline_difference"]) == pytest.approx(gain)
    assert float(row["val/acc_baseline_p"]) == pytest.approx(paired.pvalue)
    assert float(row["val/acc_baseline_low"]) == pytest.approx(low)
    told = orch.json("table", "--study", "mine")
    assert told["label"] == "tab:main" and told["columns_by"] == ["data", "metric"]
    assert [one["metrics"]["val/acc"]["best"] for one in told["rows"] if one["by"]["opt"] == "adam"] == [True]

    again = "changed the layout of 'orch table': baseline, caption"
    text = file.read_text().replace('baseline = {opt = "sgd"}\n', "").replace("What *works*, 100 %", "Anew")
    file.write_text(text)
    assert again in orch("submit", str(file), "--no-start")
    assert again not in orch("submit", str(file), "--no-start")
    before = orch("table")
    assert "Anew" in before and "Δ" not in before
    orch("report", "--out", "page")
    assert "<caption>Anew</caption>" in (orch.folder / "page" / "index.html").read_text()

    orch("export", "--out", "e.jsonl")
    elsewhere = orch.folder / "elsewhere" / ".orch"
    elsewhere.parent.mkdir()
    orch("import", "e.jsonl", "--study", "mine", "--store", str(elsewhere))
    assert orch("table", "--study", "mine", "--store", str(elsewhere)) == before
    orch("export", "--study", "mine", "--store", str(elsewhere), "--out", "again.jsonl")
    assert (orch.folder / "again.jsonl").read_text() == (orch.folder / "e.jsonl").read_text()
    orch.call("supervise", "--stop")  # where one is still there
    orch.rebuild()
    assert orch("table") == before


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('rows = ["opt"]', 'rows = ["opt_"]', "rows names 'opt_', which no job has: did you mean 'opt'?"),
        ('columns = ["data", "metric"]', 'columns = ["dat"]', "columns names 'dat', which no job has"),
        ('columns = ["data", "metric"]', 'columns = ["opt"]', "columns has 'opt', which is in the table twice"),
        ('rows = ["opt"]', "rows = [1]", "rows must be a list of texts in quotes"),
        ('baseline = {opt = "sgd"}', 'baseline = {opt = "sdg"}', "baseline (opt = sdg) matches no row"),
        (
            'baseline = {opt = "sgd"}',
            'baseline = {data = "digits"}',
            "baseline names 'data', which is no key of the rows",
        ),
        ('rows = ["opt"]\ncolumns = ["data", "metric"]', 'rows = ["opt", "data"]', "matches 2 rows"),
        ('data = ["digits"], opt', 'data = ["digit"], opt', "order: data is never digit: did you mean 'digits'?"),
        ('label = "tab:main"', 'label = "a}b"', "label must be a name for"),
        (
            'values = {opt = {sgd = "[SGD]"}}',
            'values = {opt = {sgd = "SGD", adam = "SGD"}}',
            "[table], values: opt 'sgd' and 'adam' are both called 'SGD'",
        ),
        ('{sgd = "[SGD]"}', '{sgd = "adam"}', "[table], values: opt 'sgd' and 'adam' are both called 'adam'"),
        (
            'labels = {opt = "Optimizer"}',
            'labels = {sgd = "A", adam = "A"}',
            "[table], labels: 'sgd' and 'adam' are both called 'A'",
        ),
        (
            'labels = {opt = "Optimizer"}',
            'labels = {opt = "data"}',
            "[table], labels: 'opt' and 'data' are both called",
        ),
        (
            "[table]",
            "[table]\nfilter = ['opt']",
            "[table], filter: cannot read the filter 'opt': write it as key=value",
        ),
        ("[table]", "[table]\nfilter = ['val/acc>x']", "[table], filter: cannot compare val/acc > 'x': only numbers"),
        ("[table]", "[table]\nfilter = ['state=dne']", "[table], filter: there is no state 'dne'"),
        ("[table]", "[table]\nfilter = ['opt=sdg']", "[table], filter: opt=sdg keeps no job: did you mean 'sgd'?"),
        ("[table]", "[table]\nfilter = ['opt<3']", "[table], filter: opt<3 keeps no job: known: adam, sgd"),
        (
            "digits = 2\n",
            'digits = 2\n[experiment.metrics.top]\nlabel = "Accuracy"\nunit = "%"\n',
            "[table], labels: 'val/acc' and 'top' are both called 'Accuracy'",
        ),
        ("[table]", "[table]\nrow = 1", "[table] has no key 'row': did you mean 'rows'?"),
        ("[table]", "[table]\ndigits = 99", "digits must be from 0 to 12 (got 99)"),
        ("[table]", '[table]\nshow = "median_"', "show cannot show 'median_'"),
        ("[table]", "[table]\nbest = 1", "best must be true or false (got 1)"),
    ],
)
def test_a_faulty_table_is_refused_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    from jobs.errors import BadInput
    from orchestrator.studyfile.points import expand
    from orchestrator.studyfile.reading import parse
    from orchestrator.submitting.layouts import check

    assert old in STUDY
    path = tmp_path / "study.toml"
    with pytest.raises(BadInput) as caught:
        file = parse(STUDY.replace(old, new, 1), path)
        check(path, file.tables, [(one, expand(one.sweep)) for one in file.experiments])
    assert told in str(caught.value) and str(caught.value).startswith(f"{path}, [table]")


def test_a_metric_that_is_probably_a_slip_is_said_at_the_submit(orch: Orch) -> None:
    """A warning, not a refusal: a program may report what nobody declares. Two hours in two units are two columns."""
    program = "echo top1=3 top5=4; printf '{\\\"extra\\\": 1}' > $ORCH_RESULT"
    head = f'[[experiment]]\nname = "a"\ncommand = ["sh", "-c", "{program}"]\n'
    metrics = "".join(f"[experiment.metrics.{name}]\npattern = '{name}=(.+)'\n" for name in ("top1", "val_loss"))
    table = '[table]\nmetrics = ["val_los", "top5"]\nlabels = {val_los = "Time", top1 = "Time", val_loss = "Time"}\n'
    table += 'units = {top1 = "h", exta = "s"}\n'
    (orch.folder / "s.toml").write_text(head + metrics + table)
    done = orch.call("submit", "s.toml", "--no-start")
    assert done.returncode == 0 and "laid out the table" in done.stdout
    assert done.stderr.splitlines() == [
        f"warning: [table], {key}: nothing reports 'val_los' yet: did you mean 'val_loss'?"
        for key in ("metrics", "labels")
    ]
    assert "no job has reported 'val_los': did you mean 'val_loss'?" in orch("table")
    with (orch.folder / "s.toml").open("a") as file:
        file.write('filter = ["val_los<9", "colour=red"]\n')
    orch("submit", "s.toml", "--wait")
    told = orch.call("submit", "s.toml", "--no-start").stderr
    assert "[table], units: nothing reports 'exta' yet: did you mean 'extra'?" in told
    assert "[table], filter: nothing reports 'val_los' yet: did you mean 'val_loss'?" in told
    assert (
        "[table], filter: no job is given 'colour' and none has reported it yet: until one does, 'orch table'" in told
    )
