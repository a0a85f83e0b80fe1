"""A lab mate who has only the claim's file: what was taken out of a cell, and how, is named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from db import journal, rebuild
from db.entries import Accepted
from db.store import Store
from orchestrator.claims import anchors, records
from orchestrator.claims.verdict import Verdict
from orchestrator.settings import Settings
from orchestrator.submitting import changing
from orchestrator.submitting.changing import Again, Selection
from tests.helpers.filled import Filled, change
from tests.integration.claims.conftest import BAD, Lab


def words(verdict: Verdict) -> set[str]:
    return {finding.what for finding in verdict.findings}


def test_a_whole_study_is_equal_and_nothing_was_taken_out(lab: Lab) -> None:
    lab.run()
    verdict = lab.verdict()
    assert verdict.sound and not verdict.findings
    assert verdict.sentence() == "5 of 5 seeds; none dropped; none ran again after there was a number; equal"


def test_the_same_store_gives_the_same_bytes(lab: Lab) -> None:
    lab.run()
    assert lab.claim(name="a").read_bytes() == lab.claim(name="b").read_bytes()


def test_what_ran_again_before_there_was_a_number_is_counted_and_no_finding(lab: Lab) -> None:
    first, second = lab.filled.submit(seeds=range(2))
    for job in (first, second):
        lab.resubmitted(job)
        lab.succeed(job, job)
    verdict = lab.verdict()
    assert verdict.sound
    assert "2 ran again after a node failure, before there was a number; 0 after; equal" in verdict.sentence()


def test_a_bad_seed_that_was_dropped_is_named_with_its_number(lab: Lab) -> None:
    ids = lab.run()
    changing.drop(lab.filled.store, Selection(ids=[ids[BAD]]), "diverged")
    verdict = lab.verdict()
    (finding,) = verdict.findings
    assert finding.text == f"row random: seed {BAD} was dropped by hand at epoch 2 of 2 with accuracy 71.5: diverged"
    assert not verdict.sound and verdict.equal and "4 of 5 seeds; 1 dropped" in verdict.sentence()


def test_a_bad_seed_that_was_cancelled_is_named_with_what_could_be_seen(lab: Lab) -> None:
    lab.run(range(2))
    (bad,) = lab.filled.submit(seeds=[BAD])
    lab.running(bad, 61.2)
    changing.cancel(lab.filled.store, Selection(ids=[bad]))
    (finding,) = lab.verdict().findings
    assert finding.text == f"row random: seed {BAD} was cancelled at epoch 290 of 300 with accuracy 61.2"


def test_what_nobody_has_taken_in_is_read_from_the_file_when_it_is_cancelled(lab: Lab) -> None:
    lab.run(range(2))
    (bad,) = lab.filled.submit(seeds=[BAD])
    lab.running(bad, 61.2)
    change(lab.filled, "UPDATE execution SET epoch = NULL, epochs = NULL, latest = NULL WHERE job_id = ?", bad)
    changing.cancel(lab.filled.store, Selection(ids=[bad]))
    (finding,) = lab.verdict().findings
    assert "cancelled at epoch 290 of 300 with accuracy 61.2" in finding.text


def test_a_bad_seed_that_another_study_has_is_named(lab: Lab) -> None:
    lab.run(study="first")
    lab.run([0, 1, 2, 4, 5], study="second")
    (finding,) = lab.verdict("second").findings
    assert finding.text == f"row random: seed {BAD} is in study 'first' too, with accuracy 71.5; and not in this one"
    assert lab.verdict("second").remarks == ["4 of the jobs ran in study 'first' too, with the same numbers"]


def test_another_study_that_was_cancelled_or_has_another_number_is_named(lab: Lab) -> None:
    first = lab.filled.submit(seeds=[0, 1], study="first")
    lab.running(first[0], 88.0)
    changing.cancel(lab.filled.store, Selection(ids=[first[0]]))
    lab.succeed(first[1], 1, better=0.5)
    lab.run([0, 1], study="second")
    told = sorted(finding.text for finding in lab.verdict("second").findings)
    assert told == [
        "row random: seed 0 is in study 'first' too, cancelled at epoch 290 of 300 with accuracy 88; "
        "here it has accuracy 90.25",
        "row random: seed 1 is in study 'first' too, with accuracy 91.75; here it has accuracy 91.25",
    ]


def test_a_result_that_ran_again_after_its_number_was_known_is_named(lab: Lab) -> None:
    ids = lab.run()
    changing.retry(lab.filled.store, Settings(), Selection(ids=[ids[BAD]]), Again(succeeded=True))
    lab.succeed(ids[BAD], BAD, better=20)
    verdict = lab.verdict()
    (finding,) = verdict.findings
    text = f"row random: seed {BAD} ran again by hand after its number was known: it was with accuracy 71.5"
    assert finding.text == text and verdict.after == 1 and verdict.have == 5


def test_a_cancelled_seed_that_ran_again_is_named_too(lab: Lab) -> None:
    lab.run(range(2))
    (bad,) = lab.filled.submit(seeds=[BAD])
    lab.running(bad, 61.2)
    changing.cancel(lab.filled.store, Selection(ids=[bad]))
    changing.retry(lab.filled.store, Settings(), Selection(ids=[bad]), Again())
    lab.succeed(bad, BAD, better=20)
    assert [finding.what for finding in lab.verdict().findings] == ["again"]


def test_a_number_that_was_changed_in_the_database_is_named(lab: Lab) -> None:
    ids = lab.run()
    with closing(sqlite3.connect(lab.filled.store.layout.database)) as raw:
        raw.execute("DROP TRIGGER IF EXISTS result_fixed")
        names = [row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for name in names:
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute(
            "UPDATE result SET metrics = json_set(metrics, '$.test_accuracy', 95.5), test_accuracy = 95.5 "
            "WHERE job_id = ?",
            (ids[BAD],),
        )
        raw.commit()
    (finding,) = lab.verdict().findings
    assert finding.what == "differs"
    assert "has accuracy 95.5 in the table, and the journal accepted accuracy 71.5 (test_accuracy)" in finding.text


def files_of(filled: Filled) -> list[Path]:
    folder = filled.store.layout.journal
    return [journal.path_of(folder, number) for number in range(1, journal.last_number(folder) + 1)]


def accepted(filled: Filled, job: int) -> int:
    """The place of the file that accepted the job's result."""
    for place, path in enumerate(files_of(filled)):
        if any(isinstance(entry, Accepted) and entry.job == job for entry in journal.read(path)):
            return place
    raise AssertionError(f"job {job} has no result")


def edit(filled: Filled, job: int, accuracy: float) -> int:
    """Another number in the journal's own file, whose place is returned."""
    place = accepted(filled, job)
    path = files_of(filled)[place]
    path.write_bytes(path.read_bytes().replace(b'"test_accuracy":71.5', b'"test_accuracy":%g' % accuracy))
    return place


def made_anew(filled: Filled, first: int) -> None:
    """Every later file says what the one before it is now, and the database is made of that."""
    paths = files_of(filled)
    for before, path in zip(paths[first:], paths[first + 1 :], strict=False):
        file, _ = journal.load(path)
        digest = journal.hash_of(before.read_bytes())
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(file, previous=digest)) + b"\n")
    filled.store.layout.database.unlink()
    rebuild.rebuild(filled.store.root)
    filled.store = Store(filled.store.root)


def test_a_journal_file_that_was_edited_is_named_from_the_claim_alone(lab: Lab) -> None:
    ids = lab.run()
    place = edit(lab.filled, ids[BAD], 95.5)
    verdict = lab.verdict()
    assert [one.file for one in verdict.findings if one.what == "journal"] == [place + 1]
    assert "differs" in words(verdict)  # the database still has the true number


def test_the_last_file_is_held_by_the_database_alone_and_named_too(lab: Lab) -> None:
    ids = lab.run([0, BAD])
    place = edit(lab.filled, ids[1], 95.5)
    assert place + 1 == len(files_of(lab.filled))
    assert [one.file for one in lab.verdict().findings if one.what == "journal"] == [place + 1]


@pytest.mark.parametrize("how", ["claim", "head"])
def test_a_journal_that_was_made_anew_is_named_against_an_anchor_alone(lab: Lab, how: str) -> None:
    ids = lab.run()
    anchor = lab.claim(name="old.claim")
    old, _ = records.load(anchor)
    against = str(anchor) if how == "claim" else f"{len(old.files)}:{old.head}"
    lab.run(range(5, 7))
    assert lab.verdict(against=against).sound  # an honest store goes on from its anchor
    place = edit(lab.filled, ids[BAD], 95.5)
    made_anew(lab.filled, place)
    assert lab.verdict().sound  # consistent, and not honest: nothing in the file alone can tell
    verdict = lab.verdict(against=against)
    forked = [one for one in verdict.findings if one.what == "forked"]
    assert [one.file for one in forked] == [place + 1 if how == "claim" else len(old.files)]
    gone = [one.text for one in verdict.findings if one.what == "gone"]
    assert how == "head" or (len(gone) == 1 and "test_accuracy 71.5" in gone[0] and f"seed {BAD}" in gone[0])


def test_a_store_that_was_set_back_is_named_against_an_anchor(lab: Lab) -> None:
    lab.run()
    anchor = lab.claim(name="old.claim")
    last = files_of(lab.filled)[-1]
    last.unlink()
    lab.filled.store.layout.database.unlink()
    store = Store(lab.filled.store.root, create=True, rebuilding=True)
    store.catch_up()
    lab.filled.store = store
    assert "cut" in words(lab.verdict(against=str(anchor)))


def test_a_lost_file_is_always_named(lab: Lab) -> None:
    ids = lab.run()
    files_of(lab.filled)[accepted(lab.filled, ids[BAD])].write_bytes(b"{")
    rebuild.rebuild(lab.filled.store.root, accept_loss=True)
    lab.filled.store = Store(lab.filled.store.root)
    verdict = lab.verdict()
    assert "lost" in words(verdict) and not any(one.what == "journal" for one in verdict.findings)
    assert any(one.seed == BAD for one in verdict.findings)


def test_what_concerns_another_study_alone_is_hashes(lab: Lab) -> None:
    lab.run()
    lab.filled.submit(values={"epochs": 9}, seeds=[987_654], study="secret")
    claim = lab.loaded()
    assert b"secret" not in records.encode(claim) and b"987654" not in records.encode(claim)
    assert not claim.files[-1].whole and claim.files[-1].root


def test_an_anchor_that_was_changed_proves_nothing(lab: Lab) -> None:
    lab.run()
    claim = lab.loaded()
    bad = msgspec.structs.replace(claim, head="0" * 64)
    path = lab.folder / "bad.claim"
    path.write_bytes(records.pack(records.encode(bad)))
    with pytest.raises(records.BadInput, match="no anchor"):
        anchors.compare(claim, anchors.read(str(path)))
