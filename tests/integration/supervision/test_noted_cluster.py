"""A supervisor that was started where no cluster was named takes that of the newest command."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.words import BackendName
from orchestrator.settings import Settings
from orchestrator.supervision import machines
from orchestrator.supervision.machines import makers, note_cluster
from tests.helpers.filled import Filled


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Filled:
    monkeypatch.delenv("SLURM_CONF", raising=False)
    monkeypatch.setattr(machines, "CONFIGURATIONS", (str(tmp_path / "etc" / "slurm.conf"),))
    monkeypatch.setattr(machines.shutil, "which", lambda name: f"/usr/bin/{name}")
    return Filled.make(tmp_path / ".orch")


def conf(folder: Path) -> str:
    folder.mkdir()
    (folder / "slurm.conf").write_text("ClusterName=one\n")
    return str(folder / "slurm.conf")


def named_here(monkeypatch: pytest.MonkeyPatch, own: str | None) -> None:
    """SLURM_CONF of this process, which is taken back at the end of the test."""
    if own is None:
        monkeypatch.delenv("SLURM_CONF", raising=False)
    else:
        monkeypatch.setenv("SLURM_CONF", own)


def found(filled: Filled) -> str | None:
    """The cluster of a supervisor that needs SLURM for the first time."""
    makers(filled.store.layout, Settings())[BackendName.SLURM]()
    return os.environ.get("SLURM_CONF")


def test_the_newest_commands_cluster_stands_in_for_none(
    filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = conf(tmp_path / "one"), conf(tmp_path / "other")
    for typed in (other, one):
        named_here(monkeypatch, typed)
        note_cluster(filled.store.root)
    for own in (None, str(tmp_path / "gone" / "slurm.conf")):
        named_here(monkeypatch, own)
        assert found(filled) == one
    named_here(monkeypatch, other)
    assert found(filled) == other, "it has one of its own"
    Path(one).unlink()
    named_here(monkeypatch, None)
    assert found(filled) is None, "that cluster is gone"


def test_a_hosts_own_configuration_counts_again_where_none_is_named(
    filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named_here(monkeypatch, conf(tmp_path / "one"))
    note_cluster(filled.store.root)
    named_here(monkeypatch, None)
    note_cluster(filled.store.root)
    assert found(filled) is not None, "this host has no other"
    conf(tmp_path / "etc")
    named_here(monkeypatch, None)
    note_cluster(filled.store.root)
    assert found(filled) is None


def test_a_lab_is_found_without_a_note(filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = conf(tmp_path / "lab")
    (tmp_path / "lab" / "lab.json").write_text("{}")
    named_here(monkeypatch, lab)
    note_cluster(filled.store.root)
    assert not (filled.store.root / machines.NOTED).exists()
