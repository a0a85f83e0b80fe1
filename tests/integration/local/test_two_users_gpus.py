"""Two real users and one GPU: nobody takes, removes or forges another's hold, and of two at once one gets it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.errors import BackendError
from slurm.backend import LimitReached
from slurm.local import processes
from slurm.local.gpulocks import GpuLocks
from slurm.local.slots import Share
from tests.helpers.users import Person, people

KEY = "GPU-1"


@pytest.fixture
def shared() -> Iterator[tuple[Person, Person, Path]]:
    with people() as (alice, bob), tempfile.TemporaryDirectory(prefix="two-gpus-") as name:
        Path(name).chmod(0o1777)
        yield alice, bob, Path(name)


def take(folder: Path, parts: int = 1, index: int = 0) -> str:
    """'' for a hold that a worker has now, else who was in the way."""
    locks = GpuLocks(folder)
    try:
        handle = locks.acquire(KEY, Share("0", index, parts), "token")
    except LimitReached as error:
        return str(error)
    worker = subprocess.Popen(["sleep", "30"], start_new_session=True)
    found = processes.process(worker.pid)
    assert found is not None
    locks.started(handle, Share("0", index, parts), "token", worker.pid, found.start)
    os.close(handle)
    return ""


def holds(folder: Path) -> list[tuple[int, int]]:
    """(user, pid) of each hold."""
    return [(one.holder.uid, one.holder.pid or 0) for one in GpuLocks(folder).tenants(KEY) if one.holder]


def end(folder: Path) -> None:
    for _, pid in holds(folder):
        os.kill(pid, 9)
    while holds(folder):
        time.sleep(0.01)


def refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except PermissionError:
        return True
    return False


def test_a_hold_is_its_users_alone(shared: tuple[Person, Person, Path]) -> None:
    alice, bob, folder = shared
    assert alice.run(lambda: take(folder)) == ""
    try:
        (file,) = folder.glob(f"orch-gpus-{alice.uid}/*")

        def attack() -> list[bool]:
            return [
                refused(lambda: file.unlink()),
                refused(lambda: file.write_text("")),
                refused(lambda: file.rename(folder / "mine")),
                refused(lambda: file.parent.rename(folder / "gone")),
                refused(lambda: (file.parent / "x").write_text("")),
                refused(lambda: file.chmod(0o666)),
            ]

        assert bob.run(attack) == [True] * 6
        for parts, index in ((1, 0), (1, 1), (2, 1)):
            text = bob.run(lambda parts=parts, index=index: take(folder, parts, index))
            assert "was taken by somebody else" in text and alice.name in text
        ((uid, _),) = bob.run(lambda: holds(folder))
        assert uid == alice.uid
    finally:
        end(folder)
    assert bob.run(lambda: take(folder)) == ""
    end(folder)


def test_a_lock_on_anothers_dead_hold_keeps_nothing(shared: tuple[Person, Person, Path]) -> None:
    alice, bob, folder = shared
    assert alice.run(lambda: take(folder)) == ""
    (file,) = folder.glob(f"orch-gpus-{alice.uid}/*")
    ready = folder / "ready"

    def keep() -> None:
        with file.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            ready.touch()
            time.sleep(30)

    keeper = bob.start(keep)
    try:
        while not ready.exists():
            time.sleep(0.01)
        end(folder)
        assert alice.run(lambda: take(folder)) == ""
    finally:
        end(folder)
        keeper.kill()


def test_a_forged_hold_names_no_process_of_its_user(shared: tuple[Person, Person, Path]) -> None:
    """Bob writes that Alice, or a process of root's, has the GPU: his file is his, and he has no such process."""
    alice, bob, folder = shared
    assert alice.run(lambda: take(folder)) == ""
    (file,) = folder.glob(f"orch-gpus-{alice.uid}/*")
    text = file.read_text()

    def forge() -> None:
        own = folder / f"orch-gpus-{bob.uid}"
        own.mkdir()
        (own / file.name).write_text(text)

    bob.run(forge)
    assert [uid for uid, _ in alice.run(lambda: holds(folder))] == [alice.uid]
    end(folder)
    assert alice.run(lambda: take(folder)) == ""
    end(folder)


def test_a_folder_taken_in_anothers_name_keeps_them_from_nothing(shared: tuple[Person, Person, Path]) -> None:
    alice, bob, folder = shared
    bob.run(lambda: (folder / f"orch-gpus-{alice.uid}").mkdir())
    assert alice.run(lambda: take(folder)) == ""
    assert [uid for uid, _ in bob.run(lambda: holds(folder))] == [alice.uid]
    end(folder)


def test_a_common_folder_of_another_user_is_refused(shared: tuple[Person, Person, Path]) -> None:
    alice, bob, folder = shared
    bob.run(lambda: (folder / "bobs").mkdir(mode=0o755))

    def ask() -> str:
        try:
            GpuLocks(folder / "bobs").tenants(KEY)
        except BackendError as error:
            return str(error)
        return ""

    assert f"belongs to {bob.name}" in alice.run(ask)


def test_of_two_users_at_once_exactly_one_gets_the_gpu(shared: tuple[Person, Person, Path]) -> None:
    alice, bob, folder = shared
    won = {alice.uid: 0, bob.uid: 0}
    for number in range(12):
        gate = folder / f"go-{number}"

        def race(gate: Path = gate) -> str:
            while not gate.exists():
                pass
            return take(folder)

        racers = [person.start(race) for person in (alice, bob)]
        time.sleep(0.05)
        gate.touch()
        told = [racer.result() for racer in racers]
        owners = [uid for uid, _ in holds(folder)]
        assert len(owners) <= 1 and told.count("") == len(owners), told
        for uid in owners:
            won[uid] += 1
        with contextlib.suppress(ProcessLookupError):
            end(folder)
    assert sum(won.values()) >= 10  # a tie is broken: nearly always one of them has it
