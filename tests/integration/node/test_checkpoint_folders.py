"""A program's checkpoint folder: what counts as progress, and how it is handed on whatever lies in it."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.files import now, read_json, write_json
from jobs.node import inheritance, progress
from jobs.node.inheritance import inherit
from jobs.node.progress import Progress, Watch, digest, newest_file, reached
from jobs.records import Outcome
from jobs.words import Cause
from tests.helpers.node import Node, python


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """An earlier execution's checkpoint folder with one checkpoint."""
    folder = tmp_path / "e0" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "model").write_text("7")
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "e1").mkdir()
    return tmp_path / "e1" / "checkpoints"


# ---- progress


CHANGES: dict[str, Callable[[Path], object]] = {
    "another file": lambda folder: (folder / "next").write_text("8"),
    "another size": lambda folder: (folder / "model").write_text("10"),
    "another time": lambda folder: os.utime(folder / "model", ns=(0, 1)),
    "an older file put in": lambda folder: [(folder / "old").write_text(""), os.utime(folder / "old", (0, 0))],
    "another name": lambda folder: (folder / "model").rename(folder / "model-8"),
    "in a folder below": lambda folder: [(folder / "a" / "b").mkdir(parents=True), (folder / "a/b/c").touch()],
    "another link": lambda folder: (folder / "latest").symlink_to("model"),
    "a name that is not UTF-8": lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).touch(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_the_folder_is_progress(earlier: Path, change: str) -> None:
    execution = earlier.parent
    watch = Watch(execution, [])
    assert watch.step == -1 and reached(execution) == -1
    CHANGES[change](earlier)
    assert reached(execution) == 1, "for who reads it, though the worker was killed before it looked"
    watch.look(now=True)
    assert watch.step == 1 and reached(execution) == 1
    watch.look(now=True)
    assert watch.step == 1, "no change, no progress"
    assert read_json(execution / "progress.json", Progress) == watch.kept


def test_an_emptied_folder_is_no_progress(earlier: Path) -> None:
    watch = Watch(earlier.parent, [])
    shutil.rmtree(earlier)
    watch.look(now=True)
    assert watch.step == reached(earlier.parent) == -1


def test_the_count_goes_on_over_executions(earlier: Path, own: Path) -> None:
    """What was only inherited is no progress of the one that inherits."""
    first = Watch(earlier.parent, [])
    (earlier / "model").write_text("18")
    first.look(now=True)
    (earlier / "model").write_text("250")  # its worker was killed before it looked again
    inherit(own, [earlier])
    second = Watch(own.parent, [earlier.parent])
    assert second.step == reached(own.parent) == 2
    (own / "model").write_text("32")
    assert reached(own.parent) == 3


def test_a_count_goes_on_from_what_earlier_versions_wrote(earlier: Path, own: Path) -> None:
    """They kept the newest file's time in the outcome, and that is in the journal's endings too."""
    step = (earlier / "model").stat().st_mtime_ns + 10**9
    outcome = Outcome(ending="interrupted", cause=Cause.PREEMPTED, checkpoint_step=step, at=now())
    write_json(earlier.parent / "outcome.json", outcome)
    inherit(own, [earlier])
    assert Watch(own.parent, [earlier.parent]).step == step
    (own / "more").touch()
    assert reached(own.parent) == step + 1


def test_an_execution_of_an_earlier_version_counts_by_its_newest_file(earlier: Path, own: Path) -> None:
    """One that was killed wrote no outcome; the later one must not be taken for the earlier."""
    older = earlier.parent.with_name("e2") / "checkpoints"
    shutil.copytree(earlier, older)
    os.utime(older / "model", ns=(5, 5))
    assert inherit(own, [earlier, older]) == earlier
    watch = Watch(own.parent, [earlier.parent, older.parent])
    assert watch.step == (earlier / "model").stat().st_mtime_ns


# ---- inheritance


def odd_fifo(folder: Path) -> None:
    os.mkfifo(folder / "odd")


def odd_socket(folder: Path) -> None:
    here = Path.cwd()
    os.chdir(folder)  # a socket's path has 108 bytes at most
    try:
        socket.socket(socket.AF_UNIX).bind("odd")
    finally:
        os.chdir(here)


def odd_device(folder: Path) -> None:
    try:
        os.mknod(folder / "odd", 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root may make a device: /dev/zero among the checkpoints was NOT tried")


def odd_loop(folder: Path) -> None:
    (folder / "odd").symlink_to("odd")


def odd_dangling(folder: Path) -> None:
    (folder / "odd").symlink_to("gone")


def odd_parent(folder: Path) -> None:
    (folder / "odd").symlink_to("..")


def odd_root(folder: Path) -> None:
    (folder / "odd").symlink_to("/")


def odd_name(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\n")).write_text("x")


def odd_deep(folder: Path) -> None:
    for _ in range(200):
        folder = folder / "d"
        folder.mkdir()
    (folder / "end").touch()


@pytest.mark.parametrize(
    "odd",
    [odd_fifo, odd_socket, odd_device, odd_loop, odd_dangling, odd_parent, odd_root, odd_name, odd_deep],
)
def test_whatever_lies_in_the_folder_the_checkpoint_is_handed_on(
    earlier: Path, own: Path, odd: Callable[[Path], None]
) -> None:
    odd(earlier)
    assert inherit(own, [earlier]) == earlier
    assert (own / "model").read_text() == "7"
    assert sum(1 for _ in progress.entries(own)) <= 2, "nothing was followed out of the folder"
    if (earlier / "odd").is_symlink():
        assert (own / "odd").readlink() == (earlier / "odd").readlink()
    assert len(digest(own)) == 16 and newest_file(own) > 0


def test_a_link_by_full_path_into_the_folder_leads_into_the_copy(earlier: Path, own: Path) -> None:
    """Else the new program would write into the earlier execution's checkpoint."""
    (earlier / "sub").mkdir()
    (earlier / "sub" / "latest").symlink_to(earlier / "model")
    inherit(own, [earlier])
    (own / "sub" / "latest").write_text("mine")
    assert (own / "model").read_text() == "mine" and (earlier / "model").read_text() == "7"


def test_a_folder_that_is_a_link_is_not_followed(tmp_path: Path, own: Path) -> None:
    (tmp_path / "e0").mkdir()
    (tmp_path / "e0" / "checkpoints").symlink_to("/")
    assert inherit(own, [tmp_path / "e0" / "checkpoints"]) is None
    assert list(own.iterdir()) == []


def test_what_vanishes_and_comes_while_it_is_copied(earlier: Path, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An orphan still writes there: its temporary file gets its name meanwhile."""
    (earlier / "model.tmp").write_text("88")
    copy = inheritance._file

    def racing(source: Path, goal: Path) -> None:
        if source.name == "model.tmp":
            source.rename(earlier / "model")
        copy(source, goal)

    monkeypatch.setattr(inheritance, "_file", racing)
    assert inherit(own, [earlier]) == earlier
    assert {path.name: path.read_text() for path in own.iterdir()} == {"model": "88"}


def test_a_busy_writer_costs_neither_the_copy_nor_much_time(earlier: Path, own: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            (earlier / f"step{number}.tmp").write_text(str(number))
            (earlier / f"step{number}.tmp").replace(earlier / "model")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert inherit(own, [earlier]) == earlier
    finally:
        stop.set()
        writer.join()
    assert int((own / "model").read_text()) >= 1


def test_what_cannot_be_read_is_left_out_and_named(
    earlier: Path, own: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (earlier / "sick").write_text("x" * 9)
    pread = os.pread

    def failing(handle: int, size: int, offset: int) -> bytes:
        if os.fstat(handle).st_size == 9:
            raise PermissionError(13, "Permission denied")
        return pread(handle, size, offset)

    monkeypatch.setattr(os, "pread", failing)
    assert inherit(own, [earlier]) == earlier
    assert [path.name for path in own.iterdir()] == ["model"]
    assert capfd.readouterr().err == "orch: left out of the earlier checkpoints: 'sick' (Permission denied)\n"


def test_holes_stay_holes(earlier: Path, own: Path) -> None:
    """A terabyte of nothing costs nothing."""
    with (earlier / "map").open("wb") as handle:
        handle.seek(1 << 40)
        handle.write(b"end")
    inherit(own, [earlier])
    with (own / "map").open("rb") as handle:
        handle.seek(1 << 40)
        assert handle.read() == b"end"
    assert (own / "map").stat().st_blocks * 512 < 1 << 20


def test_the_newest_checkpoints_are_inherited_and_never_written_to(tmp_path: Path) -> None:
    old, new, empty, own = (tmp_path / name / "checkpoints" for name in ("old", "new", "empty", "own"))
    for number, folder in enumerate((old, new)):
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "model").write_text(folder.parent.name)
        os.utime(folder / "deep" / "model", ns=(0, 10**18 + number))
    empty.mkdir(parents=True)
    own.parent.mkdir()
    assert inherit(own, (new, old, empty, tmp_path / "none" / "checkpoints")) == new
    assert (own / "deep" / "model").read_text() == "new"
    assert newest_file(own) == 10**18 + 1
    (own / "deep" / "model").write_text("mine")
    assert (new / "deep" / "model").read_text() == "new"
    (tmp_path / "fresh").mkdir()
    assert inherit(tmp_path / "fresh" / "checkpoints", ()) is None
    assert newest_file(tmp_path / "fresh" / "checkpoints") == -1


def test_who_came_further_is_inherited_though_its_files_are_older(earlier: Path, own: Path, tmp_path: Path) -> None:
    """A program may keep old times, and a node's clock may be behind."""
    further = tmp_path / "e9" / "checkpoints"
    shutil.copytree(earlier, further)
    Watch(earlier.parent, [])
    Watch(further.parent, [earlier.parent])
    (further / "model").write_text("25")
    os.utime(further / "model", (0, 0))
    assert inherit(own, [earlier, further]) == further


def test_an_unreadable_newest_folder_gives_way_to_the_one_before(earlier: Path, own: Path, tmp_path: Path) -> None:
    broken = tmp_path / "e9" / "checkpoints"
    broken.mkdir(parents=True)
    os.mkfifo(broken / "model")
    assert inherit(own, [earlier, broken]) == earlier


def test_a_job_goes_on_over_a_folder_full_of_oddities(node: Node) -> None:
    node.job(
        python(
            "import os; os.chdir(os.environ['ORCH_CHECKPOINT_DIR']); open('step', 'w').write('7'); os.mkfifo('pipe'); "
            "os.symlink('/', 'root'); os.symlink('gone', 'dangling'); os.symlink('..', 'up'); os.kill(os.getppid(), 9)"
        )
    )
    assert node.start(node.submission()).wait(60) == -9
    node.job(python("import os; print(open(os.environ['ORCH_CHECKPOINT_DIR'] + '/step').read())"))
    second = node.run(node.submission(2))
    assert (second / "stdout").read_text() == "7\n"
    assert (node.outcome(second).ending, node.outcome(second).checkpoint_step) == ("success", 1)
