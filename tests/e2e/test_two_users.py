"""Two people of one machine: who may look into a store, who changes it, and whose orders are run."""

from __future__ import annotations

import importlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.users import Person, called, people

ROWS = "kind,method,search_epoch,seed,dataset,test_accuracy,params,shortcuts\n" + "".join(
    f"evaluate,A,150,{seed},cifar10,{93 + seed / 10},1000,7\n" for seed in range(3)
)
LOOKING = [
    ("status",),
    ("status", "--json"),
    ("show", "1"),
    ("explain", "1"),
    ("table",),
    ("table", "--by", "kind", "--metric", "test_accuracy"),
    ("nodes",),
    ("export",),
]
CHANGING = [
    ("submit", "command", "--", "true"),
    ("cancel", "1"),
    ("retry", "1"),
    ("import", "rows.csv"),
    ("clean", "--yes"),
    ("rebuild",),
    ("supervise", "--until-idle"),
    ("nodes", "--clear-all"),
]


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Person, Person, Path]]:
    """Alice, Bob, and a folder of this machine that both can reach, with one of Alice's in it."""
    # not below pytest's own folder, which each of its runs closes to others again
    with people() as (alice, bob), tempfile.TemporaryDirectory(prefix="two-users-") as name:
        place = Path(name)
        place.chmod(0o755)
        warm = place / "warm"
        warm.mkdir()
        (warm / "rows.csv").write_text(ROWS)
        store = ("--store", str(warm / ".orch"))
        assert called("import", str(warm / "rows.csv"), *store)[0] == 0
        for command in (*LOOKING, *CHANGING[1:3], CHANGING[4], ("nodes", "--clear-all"), ("doctor",)):
            called(*command, *store)
        importlib.import_module("orchestrator.supervision.process")
        importlib.import_module("mmap")
        yield alice, bob, place


def own_folder(place: Path, name: str, person: Person, mode: int = 0o2755) -> Path:
    folder = place / name
    folder.mkdir()
    os.chown(folder, person.uid, person.groups[-1] if len(person.groups) > 1 else person.gid)
    folder.chmod(mode)
    return folder


def filled(folder: Path, alice: Person, toml: str = "") -> Path:
    """A store of Alice's with three results."""
    (folder / "rows.csv").write_text(ROWS)
    if toml:
        (folder / "orch.toml").write_text(toml)
        os.chown(folder / "orch.toml", alice.uid, alice.gid)
    code, text = alice.orch("import", "rows.csv", cwd=folder)
    assert code == 0, text
    return folder / ".orch"


def state(root: Path) -> dict[str, tuple[int, int, int, int]]:
    found = {}
    for path in (root, *sorted(root.rglob("*"))):
        facts = path.lstat()
        found[str(path)] = (facts.st_mode, facts.st_uid, facts.st_size, facts.st_mtime_ns)
    return found


def test_a_store_is_its_owners_alone_unless_they_say_so(pair: tuple[Person, Person, Path]) -> None:
    alice, bob, place = pair
    folder = own_folder(place, "closed", alice)
    root = filled(folder, alice)
    for command in (*LOOKING, ("submit", "command", "--", "true")):
        code, text = bob.orch(*command, cwd=folder, extra={"ORCH_STORE": str(root)})
        assert code == 2 and f"belongs to user id {alice.uid} ({alice.name})" in text, (command, text)
    assert 'readable = "group"' in bob.orch("status", cwd=folder)[1]


def test_a_colleague_looks_and_changes_nothing(pair: tuple[Person, Person, Path]) -> None:
    alice, bob, place = pair
    folder = own_folder(place, "open", alice)
    root = filled(folder, alice, '[store]\nreadable = "group"\n')
    modes = {oct(path.lstat().st_mode & 0o777) for path in root.rglob("*")} | {oct(root.stat().st_mode & 0o777)}
    assert modes == {"0o750", "0o640"}
    before = state(root)
    for command in LOOKING:
        code, text = bob.orch(*command, cwd=folder)
        assert code == 0, (command, text)
        assert any(one in text for one in ("93.1", "93.10", "imported", "no strikes")), (command, text)
    for command in CHANGING:
        code, text = bob.orch(*command, cwd=folder)
        assert code == 2 and "belongs to" in text and "Traceback" not in text, (command, text)
    assert state(root) == before
    assert not [path for path in folder.rglob("*") if path.lstat().st_uid == bob.uid]


def test_root_looks_and_leaves_nothing_behind(pair: tuple[Person, Person, Path]) -> None:
    alice, _, place = pair
    folder = own_folder(place, "rooted", alice)
    root = filled(folder, alice)
    before = state(root)
    for command in LOOKING:
        code, text = called(*command, "--store", str(root))
        assert code == 0, (command, text)
    code, text = called("cancel", "1", "--store", str(root))
    assert code == 2 and f"only {alice.name} changes it" in text
    assert state(root) == before


def test_a_colleague_sees_what_is_written_at_this_moment(pair: tuple[Person, Person, Path]) -> None:
    alice, bob, place = pair
    folder = own_folder(place, "busy", alice)
    root = filled(folder, alice, '[store]\nreadable = "group"\n')
    told, tell = os.pipe()

    def hold() -> None:
        from db.store import Store

        store = Store(root)
        with store.read():  # the store stays open: its newest pages are in the write-ahead log
            (folder / "more.csv").write_text(ROWS.replace("cifar10", "digits"))
            code, text = called("import", "more.csv")
            assert code == 0, text
            (folder / "held").touch()
            os.read(told, 1)

    running = alice.start(hold, cwd=folder)
    try:
        while not (folder / "held").exists():
            assert os.waitpid(running.pid, os.WNOHANG)[0] == 0, running.result()
        assert (root / "orch.db-wal").stat().st_size > 0
        code, text = bob.orch("status", cwd=folder)
        assert code == 0 and "6 succeeded" in text, text
    finally:
        os.write(tell, b"x")
    running.result()
    assert "6 succeeded" in bob.orch("status", cwd=folder)[1]


def test_orders_that_somebody_else_could_write_are_not_run(pair: tuple[Person, Person, Path]) -> None:
    alice, bob, place = pair
    folder = own_folder(place, "forged", alice)
    root = filled(folder, alice)
    journal = root / "runs" / "journal" / "0"
    for path in (root, root / "runs", root / "runs" / "journal", journal):
        os.chown(path, alice.uid, bob.groups[-1])
        path.chmod(0o2770)
    newest = sorted(journal.iterdir())[-1]
    number = int(newest.stem) + 1

    def forge() -> str:
        path = journal / f"{number:09d}.json"
        path.write_text('{"format": 1, "entries": []}')
        return str(path)

    forged = Path(bob.run(forge))
    for command in ("status", "supervise", "rebuild"):
        code, text = alice.orch(command, cwd=folder)
        assert code == 2 and f"chmod -R go-w {root}" in text, text
    subprocess.run(["chmod", "-R", "go-w", str(root)], check=True)
    code, text = alice.orch("import", "rows.csv", "--study", "x", cwd=folder)
    assert code == 2 and str(forged) in text and bob.name in text and "chown -h" in text, text
    forged.unlink()
    assert alice.orch("import", "rows.csv", "--study", "x", cwd=folder)[0] == 0


def test_what_is_planted_in_a_sticky_folder_is_refused(pair: tuple[Person, Person, Path]) -> None:
    alice, bob, place = pair
    sticky = place / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    work = own_folder(sticky, "work", alice)

    def plant() -> None:
        (sticky / "orch.toml").write_text('[slurm]\nsetup = ["touch /tmp/owned"]\n')
        (sticky / ".orch").mkdir(mode=0o755)

    bob.run(plant)
    for command in (("status",), ("submit", "command", "--", "true"), ("supervise",)):
        code, text = alice.orch(*command, cwd=work)
        assert code == 2 and bob.name in text and "--store" in text, text
        named = [*command[:2], "--store", str(sticky / "mine"), *command[2:]]
        code, text = alice.orch(*named, cwd=work)
        assert code == 2 and "orch.toml" in text and bob.name in text, text
    assert not (sticky / "mine").exists()


def test_a_link_that_somebody_else_made_is_not_followed(pair: tuple[Person, Person, Path]) -> None:
    alice, bob, place = pair
    folder = own_folder(place, "linked", alice)
    root = filled(folder, alice)
    root.rename(folder / "moved")
    folder.chmod(0o1777)
    bob.run(lambda: (folder / ".orch").symlink_to(folder / "moved"))
    code, text = alice.orch("status", cwd=folder)
    assert code == 2 and bob.name in text, text
    (folder / ".orch").unlink()
    alice.run(lambda: (folder / ".orch").symlink_to(folder / "moved"))
    assert alice.orch("status", cwd=folder)[0] == 0
