"""The lease: one supervisor at a time, and a dead one's is free."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from db import lease, sighting
from db.store import LeaseLost
from db.text import stamp
from jobs import files
from tests.helpers.filled import Filled, change


def test_one_supervisor_at_a_time(filled: Filled) -> None:
    first = lease.take(filled.store)
    assert first is not None
    assert lease.take(filled.store) is None, "its process lives"
    lease.renew(filled.store, first)
    with filled.store.write(first) as writer:
        lease.give_up(writer.connection)
    second = lease.take(filled.store)
    assert second == first + 1
    with pytest.raises(LeaseLost), filled.store.write(first):
        raise AssertionError("never reached")
    with pytest.raises(LeaseLost):
        lease.renew(filled.store, first)


class Looker:
    """The clock of the host that looks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = 1000.0
        monkeypatch.setattr(sighting, "clock", lambda: self.at)

    def later(self, filled: Filled, seconds: float) -> bool:
        """Look again after so long; whether the lease is free."""
        self.at += seconds
        with filled.store.read() as connection:
            holder = lease.holder(connection)
        assert holder is not None
        free = not holder.alive()
        assert (holder.late() == "") or not free
        return free


@pytest.fixture
def looker(monkeypatch: pytest.MonkeyPatch) -> Looker:
    return Looker(monkeypatch)


def elsewhere(filled: Filled, ago: float) -> None:
    """Another host's supervisor renews, by a clock by which that was so many seconds ago here."""
    at = stamp(files.now() - timedelta(seconds=ago))
    change(filled, "UPDATE lease SET host = 'another', pid = 1, process_start = '1', renewed_at = ?", at)


@pytest.mark.parametrize("how", ["dead", "another boot", "recycled pid"])
def test_the_lease_of_a_dead_supervisor_is_free(filled: Filled, how: str) -> None:
    first = lease.take(filled.store)
    sql = {
        "dead": "UPDATE lease SET pid = 4194303, process_start = '1'",
        "another boot": "UPDATE lease SET boot_id = 'before'",
        "recycled pid": "UPDATE lease SET process_start = '1'",
    }[how]
    change(filled, sql)
    with filled.store.read() as connection:
        holder = lease.holder(connection)
        assert holder is not None and not holder.alive()
    assert lease.take(filled.store) == (first or 0) + 1


def test_the_lease_of_another_host_is_respected_while_it_renews(filled: Filled) -> None:
    lease.take(filled.store)
    change(filled, "UPDATE lease SET host = 'another', pid = 1")
    assert lease.take(filled.store) is None


@pytest.mark.parametrize(
    ("ago", "watched"), [(-3600.0, lease.EXPIRY_SECONDS), (5.0, lease.EXPIRY_SECONDS), (3600.0, lease.WATCHED_SECONDS)]
)
def test_the_lease_of_a_dead_host_is_free_once_it_was_watched_whatever_its_clock(
    filled: Filled, looker: Looker, ago: float, watched: float
) -> None:
    first = lease.take(filled.store) or 0
    elsewhere(filled, ago)
    assert not looker.later(filled, 5000.0), "seen for the first time"
    assert not looker.later(filled, watched - 1)
    assert lease.take(filled.store) is None
    assert looker.later(filled, 1)
    assert lease.take(filled.store) == first + 1
    with pytest.raises(LeaseLost), filled.store.write(first):
        raise AssertionError("should it live after all, its writes are refused")


@pytest.mark.parametrize("ago", [-3600.0, 5.0, 3600.0])
def test_the_lease_of_a_living_host_is_respected_whatever_its_clock(filled: Filled, looker: Looker, ago: float) -> None:
    lease.take(filled.store)
    for renewal in range(20):
        elsewhere(filled, ago - lease.RENEW_SECONDS * renewal)
        assert not looker.later(filled, lease.RENEW_SECONDS)
        assert lease.take(filled.store) is None


def test_a_note_of_another_boot_or_another_supervisor_counts_for_nothing(
    filled: Filled, looker: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease.take(filled.store)
    elsewhere(filled, 3600.0)
    assert not looker.later(filled, 0.0)
    monkeypatch.setattr(sighting, "boot_id", lambda: "after")
    assert not looker.later(filled, 100.0), "that boot's clock began anew"
    change(filled, "UPDATE lease SET number = number + 1")
    assert not looker.later(filled, 100.0)
    assert looker.later(filled, 100.0)


def test_where_no_note_can_be_left_the_clocks_are_believed(
    filled: Filled, looker: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **more: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(sighting, "write_json", full)
    lease.take(filled.store)
    elsewhere(filled, lease.EXPIRY_SECONDS - 5)
    assert not looker.later(filled, 100.0)
    elsewhere(filled, lease.EXPIRY_SECONDS + 1)
    assert looker.later(filled, 0.0)


@pytest.mark.parametrize(
    ("ago", "doubtful"), [(-3600.0, True), (-5.0, False), (20.0, False), (45.0, True), (90.0, True)]
)
def test_what_may_be_a_dead_host_or_a_wrong_clock_is_said(filled: Filled, ago: float, doubtful: bool) -> None:
    lease.take(filled.store)
    elsewhere(filled, ago)
    with filled.store.read() as connection:
        holder = lease.holder(connection)
    assert holder is not None and holder.alive() and holder.doubtful() == doubtful
    assert bool(holder.late()) == doubtful
    if doubtful:
        assert f"{abs(ago):.0f} s {'ago' if ago > 0 else 'ahead of us'}" in holder.late()


def test_only_one_of_many_takes_the_lease(filled: Filled) -> None:
    found: list[int | None] = []
    threads = [threading.Thread(target=lambda: found.append(lease.take(filled.store))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number is not None for number in found) == [False, False, False, True]
