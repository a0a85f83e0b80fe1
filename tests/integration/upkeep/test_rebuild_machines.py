"""After `orch rebuild` the machines still hold what they held: it is looked for, and ended where nobody wants it."""

from __future__ import annotations

from pathlib import Path

import pytest

from db import attempts, lease
from db.store import LeaseLost
from db.submissions import open_intents
from orchestrator.upkeep.rebuilding import rebuild_all
from tests.helpers.filled import Filled, change


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Filled:
    monkeypatch.setenv("ORCH_LOCK_DIR", str(tmp_path / "locks"))
    return Filled.make(tmp_path / ".orch")


def rebuilt(filled: Filled) -> tuple[list[tuple[int, bool]], list[int]]:
    """(job, whether nobody wants it) of each attempt that may live after a rebuild; jobs whose launch is unclear."""
    store = rebuild_all(filled.store.root, lambda done, of: None)
    with store.read() as connection:
        live = attempts.live(connection)
        tokens = {intent.token for intent in open_intents(connection)}
        return [(one.job, one.doomed) for one in live], [one.job for one in live if one.token in tokens]


def test_what_was_cancelled_lately_is_still_to_be_ended(filled: Filled) -> None:
    """The cancel is in the journal; whether the machines are without it is not."""
    wanted, cancelled, copied = filled.submit(seeds=range(3))
    for job in (wanted, cancelled, copied):
        filled.dispatch(job)
        filled.start(job)
    filled.cancel(cancelled)
    filled.tick(23 * 3600)
    filled.cancel(copied)
    assert rebuilt(filled) == ([(wanted, False), (cancelled, True), (copied, True)], [])


def test_what_ended_a_day_before_the_newest_end_is_taken_for_gone(filled: Filled) -> None:
    old, new = filled.submit(seeds=range(2))
    for job in (old, new):
        filled.dispatch(job)
        filled.start(job)
    filled.cancel(old)
    filled.tick(25 * 3600)
    filled.cancel(new)
    assert rebuilt(filled) == ([(new, True)], [])


def test_a_launch_is_unclear_unless_its_worker_has_said_who_it_is(filled: Filled) -> None:
    told, silent = filled.submit(seeds=range(2))
    for job in (told, silent):
        filled.dispatch(job)
    filled.start(told)
    assert rebuilt(filled) == ([(told, False), (silent, False)], [silent])


def test_a_supervisor_of_before_the_rebuild_holds_nothing_any_more(filled: Filled) -> None:
    """It was frozen meanwhile: its number must match none that is given from now on."""
    filled.submit()
    old = lease.take(filled.store)
    assert old is not None
    change(filled, "UPDATE lease SET pid = 4194303, process_start = '1'")
    store = rebuild_all(filled.store.root, lambda done, of: None)
    for _ in range(old + 1):
        with pytest.raises(LeaseLost), store.write(old):
            raise AssertionError("never reached")
        new = lease.take(store)
        assert new is not None and new > old
        with store.write(new) as writer:
            lease.give_up(writer.connection)
