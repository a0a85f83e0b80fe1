"""What `orch doctor` reads of sinfo and sacctmgr."""

from __future__ import annotations

import pytest

from slurm.cluster.probe import Partition, parse_limits, parse_partitions, probe


def test_partitions_are_summed_over_states_and_kinds_of_nodes() -> None:
    text = "main*|2|idle|gpu:4(S:0-1)|1-00:00:00\nmain*|1|down*|gpu:a100:8,shard:16|1-00:00:00\n"
    text += "cpu|3|mixed|(null)|infinite\nbad\n"
    assert parse_partitions(text) == (
        Partition(name="main", nodes=3, usable=2, gpus=16, time_limit="1-00:00:00", default=True),
        Partition(name="cpu", nodes=3, usable=3, gpus=0, time_limit="infinite"),
    )


def test_limits_of_associations() -> None:
    text = "lab||10|50||\nlab|gpu||20|100|\n\n"
    assert parse_limits(text) == {
        "MaxJobs of account lab": 10,
        "MaxSubmit of account lab": 50,
        "MaxSubmit of account lab in partition gpu": 20,
        "GrpJobs of account lab in partition gpu": 100,
    }


def test_a_host_without_slurm_is_a_finding_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = probe()
    assert not found.installed and "PATH" in found.errors["clients"]
