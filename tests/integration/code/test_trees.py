"""The tree that a snapshot is of: two with one code, other paths into it, empty folders, and one that was damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.node import worktree
from jobs.snapshots import SnapshotError, folder_of
from orchestrator.code import mentions
from orchestrator.code.snapshots import Taken, holding, take
from orchestrator.code.tree import Limits, look, root_of
from tests.integration.code.test_snapshots import Project, git


def taken_of(folder: Path, code: Path, aliases: dict[str, str] | None = None) -> Taken:
    with holding(code):
        return take(code, folder, str(folder), Limits(), code.parent, aliases)


def test_two_trees_with_the_same_code_are_two(tmp_path: Path) -> None:
    """Jobs of the first clone ran in its live folder once the second one was submitted."""
    code = tmp_path / "store" / "code"
    found = []
    for name in ("a", "b"):
        project = Project(tmp_path / name, with_git=True)
        project.file("train.py", "1")
        project.file(".gitignore", "data/\n")
        project.file("data/x", name)
        found.append(taken_of(project.folder, code))
    assert found[0].snapshot == found[1].snapshot and [one.new for one in found] == [True, False]
    for name, one in zip(("a", "b"), found, strict=True):
        tree = worktree.make(
            code,
            one.snapshot.hash,
            tmp_path,
            tmp_path / f"work-{name}",
            root=str(tmp_path / name),
            origin=one.origin_name,
        )
        assert tree.place(tmp_path / name / "train.py") == tree.home / "train.py"
        assert (tree.home / "data/x").read_text() == name


def test_the_commit_is_that_of_the_submit(tmp_path: Path) -> None:
    """Submitted with changes, then committed: the same code, and another commit."""
    project = Project(tmp_path / "p", with_git=True)
    project.file("train.py", "1")
    git(project.folder, "add", "train.py")
    git(project.folder, "commit", "-qm", "one")
    clean = project.take()
    assert not clean.dirty  # the store inside it is no change
    project.file("train.py", "2")
    before = project.take()
    git(project.folder, "commit", "-qam", "two")
    after = project.take()
    assert before.snapshot == after.snapshot and not after.new
    assert (before.commit, before.dirty) == (clean.commit, True)
    assert after.commit not in (None, clean.commit) and not after.dirty


@pytest.mark.parametrize("with_git", [True, False])
def test_empty_folders_are_there_to_be_written_to(tmp_path: Path, with_git: bool) -> None:
    project = Project(tmp_path / "p", with_git=with_git)
    project.file("train.py", "1")
    project.file(".orchignore", "data/\n")
    project.file("data/deep/x", "1")
    (project.folder / "out/deep").mkdir(parents=True)
    taken = project.take()
    assert taken.origin.folders == ("out", "out/deep") and taken.origin.outside == ("data",)
    tree = project.tree(taken)
    (tree.home / "out/deep/model.pt").write_text("1")
    assert tree.settle() == ["out/deep/model.pt"]
    assert list(project.folder.joinpath("out/deep").iterdir()) == []


@pytest.mark.parametrize("ignore", ["", "our-lab/\n"])
@pytest.mark.parametrize("with_git", [True, False])
def test_the_folder_of_a_lab_is_nobodys_code(tmp_path: Path, with_git: bool, ignore: str) -> None:
    """Of a host without SLURM it holds all of it unpacked, and everywhere the key of the lab."""
    project = Project(tmp_path / "p", with_git=with_git)
    project.file("train.py", "1")
    project.file(".gitignore", ignore)
    if with_git:
        git(project.folder, "add", ".")
        git(project.folder, "commit", "-qm", "one")
    for name in ("munge.key", "lab.json", "packages/debian-12/usr/bin/sbatch", "state/heartbeat"):
        project.file(f"tools/our-lab/{name}", "1")
    project.file("tools/munge.key", "of a program that has one too")
    if with_git:
        git(project.folder, "add", "tools/munge.key")
        git(project.folder, "commit", "-qm", "two")
    taken = project.take()
    tree = look(project.folder, Limits(), project.folder / ".orch")
    assert set(tree.files) == {".gitignore", "train.py", "tools/munge.key"}
    assert taken.origin.folders == taken.origin.outside == () and not taken.dirty
    assert list(project.tree(taken).home.glob("**/lab.json")) == []


def test_other_paths_into_the_tree_are_redirected(tmp_path: Path) -> None:
    """A folder behind a link, and the project's place before it was moved: the program ran from the live folder."""
    project = Project(tmp_path / "real/p", with_git=False)
    project.file("sub/train.py", "1")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "deep").symlink_to("real/p/sub")
    words = ["--file", f"--x={tmp_path}/link/p/sub/train.py", f"{tmp_path}/deep/train.py", "/etc/hosts"]
    found = mentions.aliases(project.folder, ".", words, {"PWD": f"{tmp_path}/link/p"})
    assert found == {str(project.folder): "", f"{tmp_path}/link/p": "", f"{tmp_path}/deep": "sub"}
    with holding(project.code):
        taken = take(project.code, project.folder, ".", Limits(), project.folder / ".orch", found)
    (tmp_path / "real/p").rename(tmp_path / "q")
    code, home = tmp_path / "q/.orch/code", tmp_path / "work"
    tree = worktree.make(code, taken.snapshot.hash, tmp_path / "q", home, origin=taken.origin_name)
    assert [tree.redirect(word) for word in words] == [
        "--file", f"--x={home}/sub/train.py", f"{home}/sub/train.py", "/etc/hosts"
    ]  # fmt: skip
    assert tree.redirect(f"{tmp_path}/real/p/sub:{tmp_path}/q") == f"{home}/sub:{home}"


def test_relative_paths_that_leave_the_tree_stay_what_they_were(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=False)
    project.file("sub/train.py", "1")
    (tmp_path / "data").mkdir()
    tree = project.tree(project.take())
    for word in ("../../data", "data=../../data", "--data=../../data"):
        assert tree.outside_again(word, project.folder / "sub") == word.replace("../../data", f"{tmp_path}/data")
    for word in ("../train.py", "../../nowhere", "a=b"):
        assert tree.outside_again(word, project.folder / "sub") == word


def test_a_folder_that_git_ignores_is_a_tree_of_its_own(tmp_path: Path) -> None:
    """Its whole content was a link to the live folder."""
    project = Project(tmp_path / "p", with_git=True)
    project.file(".gitignore", "runs/\n")
    project.file("runs/one/train.py", "1")
    project.file("runs/forced/train.py", "1")
    git(project.folder, "add", "-f", "runs/forced/train.py")
    assert root_of(project.folder / "runs/one", tmp_path / "elsewhere") == project.folder / "runs/one"
    assert root_of(project.folder / "runs/one", project.folder / "runs") == project.folder / "runs/one"
    assert root_of(project.folder / "runs/forced", project.folder) == project.folder
    found = look(project.folder / "runs/one", Limits(), project.folder / ".orch")
    assert list(found.files) == ["train.py"] and found.commit is None


def test_what_a_command_names_and_is_not_kept_is_said(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", with_git=True)
    project.file(".gitignore", "local.yaml\nenv/\n")
    project.file("local.yaml", "1")
    project.file("env/pyvenv.cfg", "")
    project.file("env/bin/torchrun", "")
    outside = tmp_path / "o.txt"
    outside.write_text("")
    left = list(project.take().origin.outside)
    argv = ["env/bin/torchrun", "local.yaml", "--x=local.yaml", "y=../o.txt", str(outside), "/data/none", "train.py"]
    assert mentions.not_kept(argv, project.folder, project.folder, left) == [
        f"not kept: {project.folder}/local.yaml is left out of the code (ignored), and is read as it will be when a "
        "job starts",
        f"not kept: {outside} lies outside {project.folder}, and is read as it will be when a job starts",
    ]
    many = [str(outside.with_name(f"{number}")) for number in range(9)]
    for name in many:
        Path(name).write_text("")
    said = mentions.not_kept(["python", *many], project.folder, project.folder, left)
    assert len(said) == mentions.MOST and "6 more files" in said[-1]


@pytest.mark.parametrize("how", ["changed", "gone", "shorter"])
def test_a_damaged_snapshot_is_taken_anew(tmp_path: Path, how: str) -> None:
    """'orch retry takes the code anew', it said, and took the damaged one again."""
    project = Project(tmp_path / "p", with_git=False)
    project.file("train.py", "good")
    taken = project.take()
    kept = folder_of(project.code, taken.snapshot.hash) / "train.py"
    kept.chmod(0o644)
    if how == "gone":
        kept.unlink()
    else:
        kept.write_text("evil" if how == "changed" else "")
        later = kept.stat().st_mtime_ns + 1_000_000
        os.utime(kept, ns=(later, later))
    with pytest.raises(SnapshotError, match=r"train\.py"):
        project.tree(taken)
    again = project.take()
    assert again.new and again.snapshot == taken.snapshot and not project.take().new
    assert (project.tree(again).home / "train.py").read_text() == "good"
