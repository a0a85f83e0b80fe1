"""What is changed, left out, repeated or moved in a claim is named from it alone; any other file is refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from db.entries import Cancel, Keep, Strike
from jobs.errors import BadInput
from jobs.files import decode
from jobs.words import Cause
from orchestrator.claims import records
from orchestrator.claims.links import entry_digest
from orchestrator.claims.records import Bare, Claim, File, Whole
from orchestrator.claims.verdict import judge
from orchestrator.cli.main import run
from orchestrator.submitting import changing
from orchestrator.submitting.changing import Selection
from tests.helpers.filled import Filled
from tests.integration.claims.conftest import BAD, Lab

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def claim(tmp_path_factory: pytest.TempPathFactory) -> Claim:
    """Of one of two studies, with files that concern one of them, both, or none."""
    folder = tmp_path_factory.mktemp("lab")
    lab = Lab(Filled.make(folder / ".orch"), folder)
    ids = lab.run(range(4))
    other = lab.filled.submit(values={"epochs": 9}, seeds=[1, 2], study="other")
    lab.filled.dispatch(other[0])
    lab.filled.cancel(other[0], ids[0], other[1])
    changing.drop(lab.filled.store, Selection(ids=[ids[BAD]]), "diverged")
    (late,) = lab.filled.submit(seeds=[7])
    with lab.filled.store.write() as writer:  # one file of several entries, some of which are only hashes
        at = lab.filled.tick()
        writer.decide(
            [
                Strike(node="n1", cause=Cause.KILLED, at=at),
                Cancel(jobs=(late,), at=at),
                Keep(jobs=(other[0],), at=at),
                Keep(jobs=(ids[BAD],), at=at),
            ]
        )
    found = lab.loaded()
    assert any(file.root for file in found.files) and any(file.bare and file.whole for file in found.files)
    return found


def told(claim: Claim) -> set[int | None]:
    """The files of which the verdict says that something is wrong with them; refused as a whole: the one it names."""
    data = records.encode(claim)
    loaded = decode(data, Claim)
    try:
        return {one.file for one in judge(loaded, data).findings if one.what == "journal"}
    except BadInput as error:
        return {int(word) for word in str(error).replace(":", " ").split() if word.isdigit()}


def test_the_claim_itself_has_no_fault(claim: Claim) -> None:
    assert told(claim) == set()


def with_file(claim: Claim, place: int, file: File) -> Claim:
    return replace(claim, files=(*claim.files[:place], file, *claim.files[place + 1 :]))


def shuffled(file: File, order: list[int]) -> File:
    """The entries of a file in another order; those that are named twice stand there twice."""
    everything: Mapping[str, Whole | Bare] = {**file.whole, **file.bare}
    there = [everything[str(place)] for place in order]
    return replace(
        file,
        whole={str(place): one for place, one in enumerate(there) if isinstance(one, Whole)},
        bare={str(place): one for place, one in enumerate(there) if isinstance(one, Bare)},
    )


@QUICK
@given(st.data())
def test_a_changed_entry_is_named_by_its_file(claim: Claim, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from([place for place, file in enumerate(claim.files) if file.whole]))
    file = claim.files[place]
    key = data.draw(st.sampled_from(sorted(file.whole)))
    one = file.whole[key]
    text = bytes(one.entry)
    at = data.draw(st.sampled_from([at for at, sign in enumerate(text) if chr(sign).isdigit()]))
    digit = data.draw(st.sampled_from([sign for sign in b"123456789" if sign != text[at]]))
    changed = msgspec.Raw(text[:at] + bytes([digit]) + text[at + 1 :])
    mark = entry_digest(bytes(changed))[:8] if data.draw(st.booleans()) else one.mark
    forged = replace(file, whole={**file.whole, key: replace(one, entry=changed, mark=mark)})
    assert file.n in told(with_file(claim, place, forged))


@QUICK
@given(st.data())
def test_entries_left_out_repeated_or_moved_are_named_by_their_file(claim: Claim, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from([place for place, file in enumerate(claim.files) if file.whole]))
    file = claim.files[place]
    right = list(range(len(file.whole) + len(file.bare)))
    order = data.draw(st.lists(st.sampled_from(right), max_size=len(right) + 2).filter(lambda found: found != right))
    forged = shuffled(file, order)
    if not forged.whole and not forged.bare:
        forged = replace(forged, root="0" * 32)
    assert file.n in told(with_file(claim, place, forged))


@QUICK
@given(st.data())
def test_an_entry_with_a_hole_before_it_is_named(claim: Claim, data: st.DataObject) -> None:
    place = data.draw(
        st.sampled_from([p for p, file in enumerate(claim.files) if len(file.whole) + len(file.bare) > 1])
    )
    file = claim.files[place]
    key = data.draw(st.sampled_from(sorted({*file.whole, *file.bare})))
    own = [{name: one for name, one in part.items() if name != key} for part in (file.whole, file.bare)]
    assert file.n in told(with_file(claim, place, replace(file, whole=own[0], bare=own[1])))


@QUICK
@given(st.data())
def test_files_left_out_repeated_or_moved_are_named(claim: Claim, data: st.DataObject) -> None:
    right = list(range(len(claim.files)))
    order = data.draw(
        st.one_of(
            st.permutations(right),
            st.sampled_from(right).map(lambda gone: [one for one in right if one != gone]),
            st.tuples(st.sampled_from(right), st.sampled_from(right)).map(
                lambda two: [*right[: two[0]], two[1], *right[two[0] :]]
            ),
        ).filter(lambda found: found != right)
    )
    files = [claim.files[place] for place in order]
    if data.draw(st.booleans()):
        files = [replace(file, n=n) for n, file in enumerate(files, 1)]
    found = told(replace(claim, files=tuple(files)))
    first = next(
        (place for place, (one, other) in enumerate(zip(order, right, strict=False)) if one != other), len(order)
    )
    if len(order) > len(right) and order[: len(right)] == right:
        first = len(right)
    assert found, f"nothing was said of {order}"
    assert min(one for one in found if one is not None) <= first + 2


@QUICK
@given(st.data())
def test_a_hash_of_a_file_that_is_only_hashes_is_named(claim: Claim, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from([place for place, file in enumerate(claim.files) if file.root]))
    file = claim.files[place]
    name = data.draw(st.sampled_from(["root", "digest", "mark", "cells"]))
    other = ("0" * 16,) if name == "cells" else "0" * len(getattr(file, name))
    assert told(with_file(claim, place, replace(file, **{name: other}))) & {file.n, file.n - 1}


@QUICK
@given(st.data())
def test_an_entry_that_is_hidden_behind_its_hash_is_named(claim: Claim, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from([place for place, file in enumerate(claim.files) if file.whole]))
    file = claim.files[place]
    key = data.draw(st.sampled_from(sorted(file.whole)))
    one = file.whole[key]
    cells = one.cells if data.draw(st.booleans()) else ("0" * 16,)
    bare = {**file.bare, key: Bare(entry_digest(bytes(one.entry)), cells)}
    whole = {name: entry for name, entry in file.whole.items() if name != key}
    assert file.n in told(with_file(claim, place, replace(file, whole=whole, bare=bare)))


@QUICK
@given(st.data())
def test_a_number_that_was_changed_in_the_rows_or_the_table_is_named(claim: Claim, data: st.DataObject) -> None:
    row = data.draw(st.sampled_from([place for place, row in enumerate(claim.rows) if "metrics" in row]))
    forged = dict(claim.rows[row])
    if data.draw(st.booleans()):
        forged["metrics"] = {**forged["metrics"], "test_accuracy": 99.0}
        rows = (*claim.rows[:row], forged, *claim.rows[row + 1 :])
    else:
        rows = (*claim.rows[:row], *claim.rows[row + 1 :])
    found = replace(claim, rows=rows)
    verdict = judge(found, records.encode(found))
    assert {one.what for one in verdict.findings} >= {"differs"}
    tables = bytes(claim.tables).replace(b'"mean":', b'"mean":1', 1)
    other = replace(claim, tables=msgspec.Raw(tables))
    assert not judge(other, records.encode(other)).equal


@pytest.fixture
def refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[[bytes], str]:
    def call(content: bytes) -> str:
        path = tmp_path / "x.claim"
        path.write_bytes(content)
        with pytest.raises(SystemExit) as ended:
            run(["verify", str(path)])
        out, err = capfd.readouterr()
        assert ended.value.code == 2 and out == "" and err.count("\n") == 1 and "Traceback" not in err, err
        return err

    return call


@QUICK
@given(content=st.one_of(st.binary(max_size=400), st.binary(max_size=400).map(gzip.compress)))
def test_any_other_bytes_are_refused_in_a_sentence(refused: Callable[[bytes], str], content: bytes) -> None:
    assert "is no claim" in refused(content)


DEEP = b'{"magic":"orch claim","format":1,"rows":' + b"[" * 200_000
PARTS = b'{"magic":"orch claim","format":1,"orch":"x","study":"s","head":"","files":[%s],"rows":[%s],"tables":%s}'


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is no claim"),
        (b"{}", "does not say that it is one"),
        (DEEP, "nested too deeply"),
        (PARTS % (b"", b'{"job":"x"}', b"{}"), "a row"),
        (PARTS % (b'{"n":1,"digest":"zz","mark":""}', b"", b"{}"), "is no claim"),
        (b'{"magic":"orch claim","format":99}', "newer orch"),
    ],
)
def test_hostile_json_is_refused_in_a_sentence(refused: Callable[[bytes], str], content: bytes, why: str) -> None:
    assert why in refused(gzip.compress(content))


def test_a_torn_claim_and_one_that_unpacks_to_too_much_are_refused(
    refused: Callable[[bytes], str], claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = records.pack(records.encode(claim))
    for length in range(0, len(packed), max(1, len(packed) // 20)):
        assert "is no claim" in refused(packed[:length])
    monkeypatch.setattr(records, "MOST_BYTES", 1000)
    assert "is no claim" in refused(packed)
