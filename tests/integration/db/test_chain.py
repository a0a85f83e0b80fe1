"""A journal that is not whole: what may be set aside, what nobody may go on without, and how an edit is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from db import audit, jobs, journal, rebuild
from db.entries import Lost
from db.journal import JournalDamaged
from db.store import Store
from jobs.words import JobState
from tests.helpers.filled import Filled, change


def files_of(filled: Filled) -> list[Path]:
    folder = filled.store.layout.journal
    return [journal.path_of(folder, number) for number in range(1, journal.last_number(folder) + 1)]


def behind(filled: Filled, files: int) -> list[Path]:
    """Let the database forget its newest decisions, as after a crash or a restored backup: their files."""
    found = files_of(filled)
    copy = filled.store.root / "ahead"
    copy.mkdir()
    ahead = found[-files:]
    for path in ahead:
        path.rename(copy / path.name)
    filled.store.layout.database.unlink()
    store = Store(filled.store.root, create=True, rebuilding=True)
    store.catch_up()
    for path in ahead:
        (copy / path.name).rename(path)
    return ahead


def states(filled: Filled) -> list[JobState]:
    with filled.store.read() as connection:
        return [job.state for job in jobs.select(connection)]


def test_each_file_names_the_hash_of_the_one_before(filled: Filled) -> None:
    filled.submit()
    filled.cancel(1)
    filled.submit(seeds=[5])
    loaded = [journal.load(path) for path in files_of(filled)]
    assert [file.previous for file, _ in loaded] == ["", *(digest for _, digest in loaded[:-1])]
    assert all(len(digest) == 32 for _, digest in loaded)


def test_an_old_journal_is_chained_from_where_it_is(filled: Filled) -> None:
    filled.submit()
    change(filled, "DELETE FROM setting WHERE name = 'journal_hash'")  # as an orch left it that noted none
    filled.cancel(1)
    (_, digest), (second, _) = (journal.load(path) for path in files_of(filled))
    assert second.previous == digest


def test_a_file_that_is_another_one_is_said_and_stops_nobody(filled: Filled) -> None:
    filled.submit(seeds=[0, 1])
    filled.cancel(1)
    filled.cancel(2)
    first, _ = behind(filled, 2)
    first.write_bytes(first.read_bytes() + b" ")
    found = audit.audit(filled.store)
    assert found.losses and not found.refuses() and "all goes on" in found.sentence()
    assert filled.submit(seeds=[5]) == [3]
    assert states(filled) == [JobState.CANCELLED, JobState.CANCELLED, JobState.QUEUED]


def test_what_a_person_went_on_without_stands_in_the_journal(filled: Filled) -> None:
    filled.submit(seeds=[0])
    filled.succeed(1, {"test_accuracy": 90.0})
    accepted = files_of(filled)[-1]
    filled.submit(seeds=[5])
    accepted.write_bytes(b"{")
    rebuild.rebuild(filled.store.root, accept_loss=True)
    file, _ = journal.load(accepted)
    (entry,) = file.entries
    assert isinstance(entry, Lost) and entry.results == (1,) and entry.at is not None
    before = files_of(filled)[files_of(filled).index(accepted) - 1]
    assert file.previous == journal.hash_of(before.read_bytes())


def test_a_torn_last_file_never_counted_and_is_set_aside(filled: Filled) -> None:
    filled.submit(seeds=[0, 1])
    filled.cancel(1)
    (torn,) = behind(filled, 1)
    torn.write_bytes(torn.read_bytes()[:40])
    assert filled.submit(seeds=[5]) == [3]
    assert states(filled) == [JobState.QUEUED] * 3
    assert [path.name for path in torn.parent.iterdir() if "set-aside" in path.name]


@pytest.mark.parametrize("damage", ["torn", "missing"])
def test_nobody_goes_on_without_a_decision_in_the_middle(filled: Filled, damage: str) -> None:
    filled.submit(seeds=[0, 1])
    filled.cancel(1)
    filled.cancel(2)
    first, second = behind(filled, 2)
    if damage == "torn":
        first.write_bytes(first.read_bytes()[:40])
    else:
        first.unlink()
    with pytest.raises(JournalDamaged, match=first.name):
        filled.submit(seeds=[5])
    assert states(filled) == [JobState.QUEUED] * 2 and second.exists()


def test_a_rebuild_gives_nothing_up_without_being_told_to(filled: Filled) -> None:
    filled.submit(seeds=[0, 1])
    filled.cancel(1)
    filled.submit(seeds=[5])
    files_of(filled)[1].write_bytes(b"{")
    with pytest.raises(JournalDamaged, match="--accept-loss"):
        rebuild.rebuild(filled.store.root)
    assert states(filled) == [JobState.CANCELLED, JobState.QUEUED, JobState.QUEUED]
    rebuild.rebuild(filled.store.root, accept_loss=True)
    assert states(filled) == [JobState.QUEUED] * 3
