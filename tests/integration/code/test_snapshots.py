"""Code snapshots: what belongs to the code, kept once per content, and a tree of its own for each execution."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jobs.errors import BadInput, StoreError
from jobs.node import worktree
from jobs.odd import from_text, to_text
from jobs.snapshots import Snapshot, SnapshotError, record_of
from orchestrator.code import snapshots as snapshotting
from orchestrator.code.snapshots import Taken
from orchestrator.code.tree import root_of
from tests.helpers.project import Project, git


def paths(snapshot: Snapshot) -> list[str]:
    return [from_text(file.path) for file in snapshot.files]


def test_git_code_is_what_is_tracked_or_untracked_and_not_ignored(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=True)
    project.write(train_py="1", lib__a_py="2", gone_py="3")
    project.file(".gitignore", "data/\n*.log\n.orch/\n")
    git(project.folder, "add", ".")
    git(project.folder, "commit", "-qm", "one")
    (project.folder / "gone.py").unlink()
    project.write(new_py="4")
    project.file("data/big.bin", "x")
    project.file("run.log", "x")
    project.file("lib/__pycache__/a.cpython-311.pyc", "x")
    taken = project.take()
    snapshot, origin = taken.snapshot, taken.origin
    assert paths(snapshot) == [".gitignore", "lib/a.py", "new.py", "train.py"]
    assert origin.outside == ("data", "run.log")
    assert taken.dirty and taken.commit is not None and len(taken.commit) == 40


def test_submodules_and_embedded_repositories_are_taken_with_their_files(tmp_path: Path) -> None:
    other = Project(tmp_path / "other", with_git=True)
    other.write(inner_py="1")
    git(other.folder, "add", "inner.py")
    git(other.folder, "commit", "-qm", "one")
    project = Project(tmp_path / "p", with_git=True)
    project.file(".gitignore", ".orch/\n")
    git(project.folder, "submodule", "add", "-q", str(other.folder), "sub")
    (project.folder / "embedded").mkdir()
    git(project.folder / "embedded", "init", "-q")
    project.file("embedded/e.py", "1")
    project.file("embedded/.gitignore", "out/\n")
    project.file("embedded/out/x", "1")
    taken = project.take()
    snapshot, origin = taken.snapshot, taken.origin
    assert paths(snapshot) == [".gitignore", ".gitmodules", "embedded/.gitignore", "embedded/e.py", "sub/inner.py"]
    assert origin.outside == ("embedded/out",)


def test_a_plain_folder_is_taken_less_what_orchignore_names(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=False)
    project.write(train_py="1")
    project.file(".orchignore", "data/\n")
    project.file("data/x", "1")
    os.mkfifo(project.folder / "pipe")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(project.folder / "s"))
    listening.close()
    taken = project.take()
    snapshot, origin = taken.snapshot, taken.origin
    assert paths(snapshot) == [".orchignore", "train.py"]
    assert origin.outside == ("data",)


@pytest.mark.parametrize("with_git", [True, False])
def test_a_virtual_environment_that_nothing_ignores_is_linked_to(tmp_path: Path, with_git: bool) -> None:
    project = Project(tmp_path / "p", with_git=with_git)
    project.write(train_py="1")
    project.file("env/pyvenv.cfg", "")
    project.file("env/lib/python3.11/site-packages/x.py", "")
    (project.folder / "env/bin").mkdir()
    (project.folder / "env/bin/python").symlink_to(sys.executable)
    taken = project.take(files=1)
    assert paths(taken.snapshot) == ["train.py"] and taken.origin.outside == ("env",)
    assert (project.tree(taken).home / "env/bin/python").exists()


@pytest.mark.parametrize("with_git", [True, False])
def test_what_is_too_large_is_refused_with_its_folders_and_leaves_nothing(tmp_path: Path, with_git: bool) -> None:
    project = Project(tmp_path / "p", with_git=with_git)
    for number in range(30):
        project.file(f"many/{number}", "")
    project.file("few/one", "x" * 3_000_000)
    with pytest.raises(BadInput, match=r"31 files, more than 10.*\.orchignore.*many \(30 files\), few \(1 files\)"):
        project.take(files=10)
    with pytest.raises(BadInput, match=r"3 MB, more than 1.*few \(3 MB\)"):
        project.take(megabytes=1)
    for number in range(6):
        for name in range(number + 1):
            project.file(f"deep/{number}/below/{name}", "")
    five = ", ".join(f"deep/{number} ({number + 1} files)" for number in (5, 4, 3, 2))
    with pytest.raises(
        BadInput, match=rf"largest: many \(30 files\), {five.replace('(', '[(]').replace(')', '[)]')}\)"
    ):
        project.take(files=10)
    assert [path.name for path in project.code.iterdir()] == [".lock"]


def test_the_same_content_is_kept_once_and_files_are_shared_between_snapshots(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=False)
    project.write(a_py="1", b_py="2")
    (project.folder / "b.py").chmod(0o755)
    first = project.take()
    again = project.take()
    assert first.new and not again.new and again.snapshot.hash == first.snapshot.hash
    project.write(a_py="changed")
    second = project.take()
    assert second.new and second.snapshot.hash != first.snapshot.hash
    one, two = project.code / first.snapshot.hash, project.code / second.snapshot.hash
    assert (one / "b.py").stat().st_ino == (two / "b.py").stat().st_ino
    assert (one / "b.py").stat().st_mode & 0o777 == 0o555 and (one / "a.py").stat().st_mode & 0o777 == 0o444
    assert (one / "a.py").read_text() == "1" and (two / "a.py").read_text() == "changed"
    project.write(a_py="1")
    assert project.take().snapshot.hash == first.snapshot.hash


def test_a_snapshot_file_that_somebody_changed_is_not_shared_again_and_starts_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=False)
    project.write(a_py="1", b_py="2")
    first = project.take()
    kept = project.code / first.snapshot.hash / "b.py"
    kept.chmod(0o644)
    kept.write_text("evil")
    with pytest.raises(SnapshotError, match=r"b\.py in the code snapshot .* was changed"):
        project.tree(first)
    project.write(a_py="3")
    second = project.take()
    assert (project.tree(second, "other").home / "b.py").read_text() == "2"


def test_a_record_that_somebody_changed_is_not_believed_and_is_taken_anew(tmp_path: Path) -> None:
    """It names itself, and the files agree with it: its hash does not."""
    project = Project(tmp_path / "p", with_git=False)
    project.write(a_py="1")
    first = project.take()
    name = first.snapshot.hash
    kept, record = project.code / name / "a.py", project.code / f"{name}.json"
    kept.chmod(0o644)
    kept.write_text("2")
    one, two = (hashlib.sha256(text).hexdigest() for text in (b"1", b"2"))
    record.write_text(record.read_text().replace(one, two))
    with pytest.raises(SnapshotError, match=f"the record of the code snapshot {name} was changed"):
        project.tree(first)
    again = project.take()
    assert again.new and again.snapshot.hash == name and one in record.read_text()
    assert (project.tree(again, "other").home / "a.py").read_text() == "1"


def test_an_edit_of_the_same_length_in_the_same_tick_is_seen(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=False)
    seen = set()
    for text in ("aaa", "bbb", "ccc", "ddd"):
        project.write(a_py=text)
        seen.add(project.take().snapshot.hash)
    assert len(seen) == 4


def test_an_execution_writes_into_its_own_tree_only(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=False)
    project.file("sub/log.txt", "one\n")
    project.write(train_py="1", other_py="2")
    taken = project.take()
    first, second = project.tree(taken, "w1"), project.tree(taken, "w2")
    for number, tree in enumerate((first, second)):
        (tree.home / "sub/model.pt").write_text(str(number))
        with (tree.home / "sub/log.txt").open("a") as handle:
            handle.write(f"{number}\n")
    assert (first.home / "sub/log.txt").read_text() == "one\n0\n"
    assert (second.home / "sub/log.txt").read_text() == "one\n1\n"
    assert (project.code / taken.snapshot.hash / "sub/log.txt").read_text() == "one\n"
    assert (project.folder / "sub/log.txt").read_text() == "one\n"
    assert first.settle() == ["sub/log.txt", "sub/model.pt"]
    assert not (first.home / "train.py").exists()
    (second.home / "sub/model.pt").unlink()
    (second.home / "sub/log.txt").unlink()
    assert second.settle() == [] and not second.home.exists()


def test_ignored_entries_are_links_to_the_originals(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=True)
    project.file(".gitignore", "data/\nout.txt\nmissing\n.orch/\n")
    project.write(train_py="1")
    project.file("data/x", "big")
    project.file("out.txt", "")
    project.file("missing", "")
    taken = project.take()
    (project.folder / "missing").unlink()
    tree = project.tree(taken)
    assert (tree.home / "data").is_symlink() and (tree.home / "data/x").read_text() == "big"
    (tree.home / "out.txt").write_text("said")
    assert (project.folder / "out.txt").read_text() == "said"
    assert not (tree.home / "missing").exists()
    assert tree.settle() == [] and (project.folder / "data/x").read_text() == "big"


def test_links_stay_links_and_point_into_the_tree_where_they_did(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=False)
    project.write(lib__a_py="old")
    (tmp_path / "outside").write_text("out")
    for name, target in {
        "near": "lib/a.py",
        "absolute": str(project.folder / "lib/a.py"),
        "up": "../outside",
        "broken": "nowhere",
        "lib/back": "../lib",
    }.items():
        (project.folder / name).symlink_to(target)
    taken = project.take()
    project.write(lib__a_py="new")
    home = project.tree(taken).home
    assert all((home / name).is_symlink() for name in ("near", "absolute", "up", "broken", "lib/back"))
    assert (home / "near").read_text() == (home / "absolute").read_text() == "old"
    assert (home / "lib/back/a.py").read_text() == "old"
    assert (home / "up").read_text() == "out"


def test_arguments_that_name_files_of_the_tree_point_into_the_executions_tree(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=False)
    project.write(a_py="1")
    tree = project.tree(project.take())
    root, home = project.folder, tree.home
    assert tree.redirect(f"{root}/a.py") == f"{home}/a.py"
    assert tree.redirect(f"--config={root}/a.py") == f"--config={home}/a.py"
    assert tree.redirect(f"{root}:{root}/lib:/usr/lib") == f"{home}:{home}/lib:/usr/lib"
    assert tree.redirect(f"{root}2/a.py") == f"{root}2/a.py"
    assert tree.redirect(f"/other{root}/a.py") == f"/other{root}/a.py"
    assert tree.redirect("a.py") == "a.py"
    tree.apart = (root / ".orch",)
    assert tree.redirect(f"--out={root}/.orch/runs/1/out") == f"--out={root}/.orch/runs/1/out"
    assert tree.redirect(f"{root}/.orchard:{root}/.orch:{root}/x") == f"{home}/.orchard:{root}/.orch:{home}/x"


def test_a_moved_project_goes_on(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=True)
    project.file(".gitignore", "data/\n.orch/\n")
    project.write(train_py="1")
    project.file("data/x", "big")
    taken = project.take()
    project.folder.rename(tmp_path / "q")
    home = worktree.make(
        tmp_path / "q/.orch/code", taken.snapshot.hash, tmp_path / "q", tmp_path / "work", origin=taken.origin_name
    ).home
    assert (home / "data/x").read_text() == "big" and (home / "train.py").read_text() == "1"


@pytest.mark.parametrize("name", ["ä ö%41.py", "new\nline.py", os.fsdecode(b"\xff\xfe.py"), "%", "a\\b"])
def test_odd_names_are_kept(tmp_path: Path, name: str) -> None:
    assert from_text(to_text(name)) == name
    project = Project(tmp_path / "p", with_git=False)
    project.file(name, "x")
    taken = project.take()
    assert (project.tree(taken).home / name).read_text() == "x"
    assert not project.take().new


def test_two_submits_at_once_share_one_snapshot(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=False)
    for number in range(50):
        project.file(f"{number}.py", str(number))
    found: list[Taken] = []
    threads = [threading.Thread(target=lambda: found.append(project.take())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({taken.snapshot.hash for taken in found}) == 1 and sum(taken.new for taken in found) == 1


def test_a_file_that_changes_while_it_is_copied_is_copied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "p", with_git=False)
    path = project.file("a.py", "first")
    real, changes = snapshotting._copy_file, iter(["second"])

    def copy(source: Path, target: Path, wanted: str, mode: int) -> None:
        for text in changes:
            path.write_text(text)
        real(source, target, wanted, mode)

    monkeypatch.setattr(snapshotting, "_copy_file", copy)
    assert (project.tree(project.take()).home / "a.py").read_text() == "second"


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path / "p", with_git=False)
    project.write(a_py="1", b_py="2")

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device", "b.py")

    with monkeypatch.context() as patch:
        patch.setattr(snapshotting, "_copy_file", full)
        with pytest.raises(StoreError, match=r"No space left on device.*nothing was submitted"):
            project.take()
    assert [path.name for path in project.code.iterdir()] == [".lock"]
    assert project.take().new


def test_one_that_was_killed_half_way_is_made_anew(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=False)
    for number in range(200):
        project.file(f"{number}.py", str(number))
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from pathlib import Path
from orchestrator.code import snapshots as snapshotting
from orchestrator.code.tree import Limits
real, count = snapshotting._copy_file, [0]
def copy(*given):
    real(*given)
    count[0] += 1
    if count[0] == 100:
        print("half", flush=True)
        import time; time.sleep(60)
snapshotting._copy_file = copy
folder = Path({str(project.folder)!r})
with snapshotting.holding(folder / ".orch/code"):
    snapshotting.take(folder / ".orch/code", folder, ".", Limits(), folder / ".orch")
"""
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"half\n"
    child.kill()
    child.wait()
    assert any(path.name.endswith(".tmp") for path in project.code.iterdir())
    taken = project.take()
    assert taken.new and record_of(project.code, taken.snapshot.hash).exists()
    assert not any(path.name.endswith(".tmp") for path in project.code.iterdir())
    assert len(list(project.tree(taken).home.iterdir())) == 200


def test_the_root_is_the_git_work_tree_else_the_project_else_the_folder(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=False)
    (project.folder / "sub/repo").mkdir(parents=True)
    (tmp_path / "far").mkdir()
    git(project.folder / "sub/repo", "init", "-q")
    assert root_of(project.folder / "sub/repo", project.folder) == project.folder / "sub/repo"
    assert root_of(project.folder / "sub", project.folder) == project.folder
    assert root_of(tmp_path / "far", project.folder) == tmp_path / "far"


def test_what_did_not_change_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path / "p", with_git=False)
    old = time.time() - 100
    for number in range(20):
        os.utime(project.file(f"{number}.py", str(number)), (old, old))
    monkeypatch.setattr(snapshotting, "RACY_NS", -10_000_000_000)  # as if all had been at rest for long
    project.take()
    monkeypatch.setattr(snapshotting, "_read", lambda *given: pytest.fail("a file was read"))
    assert not project.take().new
