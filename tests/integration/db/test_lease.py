"""The lease: one supervisor at a time, and a dead one's is free."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from db import lease
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


@pytest.mark.parametrize("how", ["dead", "another boot", "recycled pid", "silent elsewhere"])
def test_the_lease_of_a_dead_supervisor_is_free(filled: Filled, how: str) -> None:
    first = lease.take(filled.store)
    sql = {
        "dead": "UPDATE lease SET pid = 4194303, process_start = '1'",
        "another boot": "UPDATE lease SET boot_id = 'before'",
        "recycled pid": "UPDATE lease SET process_start = '1'",
        "silent elsewhere": "UPDATE lease SET host = 'another', renewed_at = ?",
    }[how]
    long_ago = stamp(files.now() - timedelta(seconds=lease.EXPIRY_SECONDS + 1))
    change(filled, sql, *([long_ago] if "?" in sql else []))
    with filled.store.read() as connection:
        holder = lease.holder(connection)
        assert holder is not None and not holder.alive()
    assert lease.take(filled.store) == (first or 0) + 1


def test_the_lease_of_another_host_is_respected_while_it_renews(filled: Filled) -> None:
    lease.take(filled.store)
    change(filled, "UPDATE lease SET host = 'another', pid = 1")
    assert lease.take(filled.store) is None


def test_only_one_of_many_takes_the_lease(filled: Filled) -> None:
    found: list[int | None] = []
    threads = [threading.Thread(target=lambda: found.append(lease.take(filled.store))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number is not None for number in found) == [False, False, False, True]
