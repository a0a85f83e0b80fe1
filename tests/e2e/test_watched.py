"""A search that may be collapsing is named in `status`; the checklist is a file; what old searches lack is `-`."""

from __future__ import annotations

from tests.helpers.cli import Orch

ROWS = """kind,method,seed,dataset,preset,test_accuracy,val_accuracy,shortcuts,target_share,eigenvalue_ratio
search,A,0,digits,demo,80,81,10,0.8,1.5
search,A,1,digits,demo,80,82,10,0.2,1.1
search,B,0,digits,demo,80,83,4,,
"""


def test_status_warns_of_a_collapse_and_the_checklist_is_written(orch: Orch) -> None:
    (orch.folder / "searches.csv").write_text(ROWS)
    orch("import", "searches.csv")
    notes = [line for line in orch("status").splitlines() if "collapsing" in line]
    assert notes == [
        "! search 1 may be collapsing: the largest eigenvalue over α grew 1.50-fold (above 1.33: RobustDARTS); 80 % of "
        "its 10 shortcuts end at one block (above 50 %: ours)"
    ]
    orch("drop", "1", "--because", "collapsed")
    assert "collapsing" not in orch("status")
    shown = orch("report", "--checklist")
    assert "| comparison | tabular or surrogate benchmarks | not known |" in shown
    orch("report", "--checklist", "--out", "checklist.md", "--lang", "ja")
    assert "不明" in (orch.folder / "checklist.md").read_text()
    refused = orch.call("report", "--checklist", "--out", "checklist.pdf")
    assert refused.returncode == 2 and "cannot tell the checklist's format from 'checklist.pdf'" in refused.stderr
    assert not (orch.folder / "checklist.pdf").exists()
