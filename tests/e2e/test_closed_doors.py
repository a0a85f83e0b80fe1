"""What a store and its settings let nobody else do, as one user types it: modes, links, who may write what."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.cli import Orch, until

PROGRAM = """
import json, os
here = os.environ["ORCH_STUDY_CWD"]
print("said")
with open(os.environ["ORCH_METRICS"], "a") as metrics:
    metrics.write(json.dumps({"epoch": 1, "loss": 2.0}) + "\\n")
with open(os.environ["ORCH_CHECKPOINT_DIR"] + "/weights", "w") as weights:
    weights.write("w")
open(os.path.join(here, "outside"), "w").close()
with open(os.environ["ORCH_RESULT"], "w") as result:
    json.dump({"accuracy": 90.0}, result)
"""


@pytest.fixture
def orch(tmp_path: Path) -> Iterator[Orch]:
    made = Orch(tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM)
    yield made
    made.kill_everything()


def run_one(orch: Orch, umask: int) -> None:
    orch("submit", "command", "--wait", "--", sys.executable, "program.py", umask=umask)
    until(lambda: orch.supervisor() is None, "the supervisor's end")


def modes(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): stat.S_IMODE(path.lstat().st_mode) for path in (root, *root.rglob("*"))}


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_everything_in_a_store_is_its_owners_whatever_the_umask(orch: Orch, umask: int) -> None:
    run_one(orch, umask)
    found = modes(orch.layout.root)
    assert len(found) > 25 and any(name.endswith("user_metrics.jsonl") for name in found)
    kept = {name: mode for name, mode in found.items() if name.startswith("code/") and name.count("/") > 1}
    kept = {name: mode for name, mode in kept.items() if not name.startswith(("code/software", "code/origins"))}
    assert kept and set(kept.values()) == {0o444}, "code that was kept, in folders that only the owner may enter"
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077 and name not in kept} == {}
    assert stat.S_IMODE((orch.folder / "outside").stat().st_mode) == 0o666 & ~umask
    orch("export", "--out", "results.csv", umask=umask)
    assert stat.S_IMODE((orch.folder / "results.csv").stat().st_mode) == 0o666 & ~umask


def test_the_group_looks_where_the_settings_say_so_and_nobody_ever_writes(orch: Orch) -> None:
    (orch.folder / "orch.toml").write_text('[store]\nreadable = "group"\n')
    run_one(orch, 0o000)
    found = modes(orch.layout.root)
    assert {oct(mode) for name, mode in found.items() if (orch.layout.root / name).is_dir()} == {"0o750"}
    files = {name: mode for name, mode in found.items() if (orch.layout.root / name).is_file()}
    kept = {name for name, mode in files.items() if name.startswith("code/") and mode == 0o444}
    assert kept and {oct(mode) for name, mode in files.items() if name not in kept} == {"0o640"}
    assert stat.S_IMODE((orch.folder / "outside").stat().st_mode) == 0o644  # a program's umask is 022 at least there
    (token,) = orch.layout.submissions.iterdir()
    for place in (token, *(one for one in orch.layout.code.iterdir() if one.is_dir())):
        place.chmod(0o770)
        assert f"{place} can be written by others" in orch.call("status").stderr
        place.chmod(0o750)
    token.rename(orch.folder / "away")
    token.symlink_to(orch.folder / "away")
    assert f"{token} is a symbolic link, not a folder that orch made" in orch.call("status").stderr
    token.unlink()
    (orch.folder / "away").rename(token)
    (orch.folder / "orch.toml").write_text("")
    orch("status")
    assert {
        name: oct(mode) for name, mode in modes(orch.layout.root).items() if mode & 0o077 and name not in kept
    } == {}


@pytest.mark.parametrize(
    "place", ["", "runs", "runs/journal", "runs/journal/0", "runs/submissions", "runs/0", "code", "code/software"]
)
@pytest.mark.parametrize("mode", [0o770, 0o757])
def test_a_folder_that_others_can_write_is_refused_with_its_mend(orch: Orch, place: str, mode: int) -> None:
    orch("submit", "command", "--no-start", "--", "true")
    (orch.layout.runs / "0").mkdir(exist_ok=True, mode=0o700)
    root, path = orch.layout.root, orch.layout.root / place
    path.chmod(mode)
    done = orch.call(*(["status"] if mode == 0o770 else ["submit", "command", "--", "false"]))
    assert done.returncode == 2 and f"chmod -R go-w {root}" in done.stderr, done
    assert str(path) in done.stderr and "Traceback" not in done.stderr
    subprocess.run(["chmod", "-R", "go-w", str(root)], check=True)
    assert orch.states() == ["queued"]


def test_a_stray_file_between_the_folders_stops_nobody(orch: Orch) -> None:
    """What an editor, a desktop or an NFS client leaves there gives no orders; a link is another matter."""
    orch("submit", "command", "--no-start", "--", "true")
    (orch.layout.runs / "7").touch()
    for name in ("5", ".nfs0001", ".DS_Store", "notes~"):
        (orch.layout.journal / name).write_bytes(b"\xff")
    assert orch.json("status")["counts"]["queued"] == 1
    orch.rebuild()
    assert orch.states() == ["queued"]
    (orch.layout.journal / "6").symlink_to(orch.folder)
    assert "6 is a symbolic link, not a folder that orch made" in orch.call("status").stderr


@pytest.mark.parametrize("place", ["runs", "runs/journal", "runs/submissions", "orch.db", "code"])
def test_a_link_in_the_place_of_a_part_is_not_followed(orch: Orch, place: str, tmp_path: Path) -> None:
    orch("submit", "command", "--no-start", "--", "true")
    path = orch.layout.root / place
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere").stat().st_mode
    done = orch.call("status")
    assert done.returncode == 2 and f"{path} is a symbolic link" in done.stderr, done
    assert (tmp_path / "elsewhere").stat().st_mode == before


def test_a_store_behind_ones_own_link_works_and_is_checked_itself(orch: Orch, tmp_path: Path) -> None:
    orch("submit", "command", "--no-start", "--", "true")
    orch.layout.root.rename(tmp_path / "scratch")
    orch.layout.root.symlink_to(tmp_path / "scratch")
    assert orch.json("status")["counts"]["queued"] == 1
    (tmp_path / "scratch").chmod(0o777)
    done = orch.call("status")
    assert done.returncode == 2 and f"chmod -R go-w {tmp_path / 'scratch'}" in done.stderr


def test_a_journal_file_of_somebody_else_is_not_applied(orch: Orch) -> None:
    if os.geteuid() != 0:
        pytest.skip("a file of somebody else was NOT tried: that needs root")
    orch("submit", "command", "--no-start", "--", "true")
    forged = orch.layout.journal / "0" / "000000002.json"
    forged.write_text('{"format": 1, "entries": []}')
    os.chown(forged, 12345, 12345)
    done = orch.call("submit", "command", "--no-start", "--", "false")
    assert done.returncode == 2 and str(forged) in done.stderr and "chown -h root" in done.stderr, done
    assert orch.states() == ["queued"]


def test_folders_down_to_a_store_are_made_for_the_user_alone(orch: Orch) -> None:
    orch("submit", "command", "--no-start", "--store", "a/b/store", "--", "true", umask=0)
    for name in ("a", "a/b", "a/b/store", "a/b/store/runs"):
        assert stat.S_IMODE((orch.folder / name).stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda toml: toml.chmod(0o664), "chmod go-w"),
        (lambda toml: toml.chmod(0o646), "chmod go-w"),
        (lambda toml: toml.parent.chmod(0o777), "chmod go-w"),
        (lambda toml: toml.parent.chmod(0o775), "chmod go-w"),
        (lambda toml: (toml.unlink(), os.mkfifo(toml)), "neither a file nor a folder"),
        (lambda toml: (toml.unlink(), toml.mkdir()), "is a folder"),
        (lambda toml: (toml.unlink(), toml.symlink_to(toml)), "circle"),
    ],
)
def test_settings_that_others_could_write_are_not_read(orch: Orch, spoil: object, says: str) -> None:
    toml = orch.folder / "orch.toml"
    toml.write_text('study = "mine"\n')
    toml.chmod(0o644)
    assert orch.json("status")["study"] == "mine"
    assert callable(spoil)
    spoil(toml)
    done = orch.call("submit", "command", "--no-start", "--", "true")
    assert done.returncode == 2 and says in done.stderr and "orch.toml" in done.stderr, done
    assert not orch.layout.root.exists()
    orch.folder.chmod(0o700)


def test_settings_in_a_sticky_folder_count_where_they_are_ones_own(orch: Orch) -> None:
    toml = orch.folder / "orch.toml"
    toml.write_text('study = "mine"\n')
    orch.folder.chmod(0o1777)
    assert orch.json("status")["study"] == "mine"
    if os.geteuid() == 0:
        os.chown(toml, 12345, 12345)
        done = orch.call("status")
        assert done.returncode == 2 and "belongs to user id 12345, not to you" in done.stderr


@pytest.mark.parametrize("name", ["q?x=1%20#y", "50%j%A", "back\\ slash quo'te\"s-ü"])
def test_stores_with_odd_names_are_themselves(orch: Orch, name: str) -> None:
    """Two stores whose names differ only behind a sign that means something in an address are two."""
    for folder, seeds in ((name, "2"), (name[:1], "1")):
        (orch.folder / folder).mkdir()
        orch("submit", "command", "--seeds", seeds, "--wait", "--", "true", cwd=orch.folder / folder)
    counts = [orch.json("status", cwd=orch.folder / folder)["counts"]["succeeded"] for folder in (name, name[:1])]
    assert counts == [2, 1]
    assert (orch.folder / name / ".orch" / "orch.db").stat().st_size > 0
    assert not [one for one in orch.folder.rglob("*.db*") if one.parent.name != ".orch"]


def test_a_plug_in_in_a_working_folder_that_others_can_write_is_not_loaded(orch: Orch) -> None:
    plugin = orch.folder / "evil-1.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text("[orch.jobs]\nevil = evil:KIND\n")
    (orch.folder / "evil.py").write_text("open('loaded', 'w')\nfrom jobs.kinds.command import KIND\n")
    orch.folder.chmod(0o777)
    done = orch.call("submit", "command", "--store", "mine", "--no-start", "--", "true")
    assert "'evil' is not loaded" in done.stderr and not (orch.folder / "loaded").exists()
    orch.folder.chmod(0o700)
    orch.call("submit", "command", "--store", "mine", "--no-start", "--", "true")
    assert (orch.folder / "loaded").exists()  # in a folder of one's own it is


def test_bytes_that_are_no_utf_8(orch: Orch) -> None:
    """A store may lie below such a name; how a program gets them: test_odd_names.py."""
    odd = os.fsdecode(b"caf\xe9")
    (orch.folder / odd).mkdir()
    store = ["--store", f"{odd}/store"]
    orch("submit", "command", *store, "--wait", "--", "true")
    assert orch.json("status", *store)["counts"]["succeeded"] == 1
    assert "defect" not in orch.call("doctor", *store).stderr


def test_a_store_in_whose_path_slurm_finds_patterns_is_refused(orch: Orch) -> None:
    for name in ("50%j", "back\\slash", "two\nlines"):
        done = orch.call("submit", "command", "--no-start", "--backend", "slurm", "--store", f"{name}/s", "--", "true")
        assert done.returncode == 2 and "SLURM cannot write logs below" in done.stderr, done
        assert not (orch.folder / name).exists()
