"""`--slices` where it cannot be: on this host, and where it makes no sense."""

from __future__ import annotations

from tests.helpers.cli import Orch


def test_slices_are_for_slurm_and_a_bad_one_is_named(orch: Orch) -> None:
    said = orch.call("submit", "command", "--slices", "30m", "--backend", "local", "--no-start", "--", "true")
    assert said.returncode == 0
    assert "note: without effect, since the jobs run on this host: slices" in said.stderr
    refused = orch.call("set", "1", "--slices", "auto", "--no-start")
    assert refused.returncode == 2 and "job 1 runs on this host: --slices is for SLURM" in refused.stderr
    refused = orch.call("submit", "command", "--slices", "soon", "--", "true")
    assert refused.returncode == 2
    assert (
        "--slices takes a time of at least a minute such as 30m or 2h, 'off' or 'auto' (got 'soon')" in refused.stderr
    )
