"""An archive gives what its store gives, says nothing of other studies, and is read by later orchs."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest

from db.archived import TABLES
from db.schema import VERSION
from jobs.errors import BadInput
from orchestrator.archives import checking, form, reading, words
from orchestrator.archives.making import make
from orchestrator.cli.main import run
from tests.helpers.filled import Filled
from tests.integration.archives.conftest import SECRET


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {info.filename: file.read(info) for info in file.infolist()}


def rewritten(path: Path, target: Path, change: Callable[[dict[str, bytes]], None], *, honest: bool = True) -> Path:
    """An archive with other files in it; `honest`: with their hashes."""
    found = members(path)
    change(found)
    if honest:
        found.pop(form.SUMS)
        lines = [form.sum_line(hashlib.sha256(data).hexdigest(), name) for name, data in found.items()]
        found[form.SUMS] = "".join(lines).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in found.items():
            file.writestr(name, data)
    return target


def orch(*arguments: str | Path, code: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        run([str(one) for one in arguments])
    assert ended.value.code == code, arguments


ASKED = {
    "a table": ("table", "--out", "{}.md"),
    "its statistics": ("table", "--stats", "--out", "{}.json"),
    "Japanese": ("table", "--lang", "ja", "--out", "{}.html"),
    "by keys": ("table", "--by", "kind", "--metric", "test_accuracy", "--epoch", "best", "--out", "{}.csv"),
    "compared": ("compare", "--by", "kind", "--metric", "test_accuracy", "--out", "{}.json"),
    "exported": ("export", "--out", "{}.csv"),
    "a figure": ("plot", "fig1", "--out", "{}.svg"),
    "curves": ("plot", "curves", "--filter", "kind=random-baseline", "--out", "{}.svg"),
}


@pytest.mark.parametrize("what", ASKED)
def test_it_gives_the_same_bytes_as_its_store(lab: Filled, archive: Path, tmp_path: Path, what: str) -> None:
    for name, where in (("store", ("--store", lab.store.root, "--study", "t2")), ("archive", ("--archive", archive))):
        orch(*(word.format(tmp_path / name) for word in ASKED[what]), *where)
    one, other = sorted(tmp_path.iterdir())
    assert one.read_bytes() == other.read_bytes() and one.stat().st_size > 100


def test_the_page_of_a_study_that_has_ended_is_the_same_whenever_it_is_made(
    lab: Filled, archive: Path, tmp_path: Path
) -> None:
    orch("report", "--store", lab.store.root, "--study", "t2", "--out", tmp_path / "a")
    orch("report", "--archive", archive, "--out", tmp_path / "b")
    page = (tmp_path / "a" / "index.html").read_bytes()
    assert page == (tmp_path / "b" / "index.html").read_bytes() == members(archive)["report/index.html"]
    assert b"as of 20" in page and b"GiB free" not in page


def test_gates_of_searches_are_drawn_from_the_archive_alone(lab: Filled, tmp_path: Path) -> None:
    searched = tmp_path / "s.zip"
    make(lab.store, "searches", searched)
    orch("plot", "fig7", "--store", lab.store.root, "--study", "searches", "--out", tmp_path / "a.svg")
    orch("plot", "fig7", "--archive", searched, "--out", tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_the_same_store_gives_the_same_file(lab: Filled, archive: Path, tmp_path: Path) -> None:
    make(lab.store, "t2", tmp_path / "another-name.zip")
    assert (tmp_path / "another-name.zip").read_bytes() == archive.read_bytes()
    with pytest.raises(BadInput, match="is there already"):
        make(lab.store, "t2", archive)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["another-name.zip"]  # and nothing temporary


def test_it_holds_what_its_jobs_rest_on_and_nothing_of_other_studies(lab: Filled, archive: Path) -> None:
    found = members(archive)
    assert not [name for name, data in found.items() if SECRET.encode() in data or b"12.345" in data]
    studies = [json.loads(line)[1] for line in found["database/study.jsonl"].splitlines()[1:]]
    assert studies == ["searches", "t2"]
    jobs = [json.loads(line)[0] for line in found["database/job.jsonl"].splitlines()[1:]]
    assert jobs == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert f"runs/0/1/1/{Path(next(n for n in found if n.endswith('alpha.jsonl'))).parent.name}/alpha.jsonl" in found
    assert b"diverged" in found["configs.json"] and b"cancelled" not in found["results.csv"]
    assert b"2 succeeded" not in found["README.md"] and b"6 succeeded" in found["README.md"]
    assert found["curves.csv"].count(b"\n") == 1 + 2 * 2  # two runs that count, with two epochs


def test_each_file_is_told_and_has_its_hash(archive: Path) -> None:
    found = members(archive)
    sums = form.sums_of(found[form.SUMS].decode())
    assert sums == {n: hashlib.sha256(d).hexdigest() for n, d in found.items() if n != form.SUMS}
    assert all(info.date_time == (1980, 1, 1, 0, 0, 0) for info in zipfile.ZipFile(archive).infolist())


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("CC-BY-4.0", "https://spdx.org/licenses/CC-BY-4.0"),
        ("https://example.org/terms", "https://example.org/terms"),
        ("ask us first", "#license"),
        ("", "#license"),
    ],
)
def test_a_licence_is_an_entity_of_its_own(said: str, place: str) -> None:
    found = words._license(said)
    assert (found["@id"], found["name"]) == (place, said or "not stated")


def test_the_metadata_is_an_ro_crate(archive: Path) -> None:
    """What RO-Crate 1.1 says MUST be there, and the references in it lead somewhere."""
    found = members(archive)
    crate = json.loads(found[form.CRATE])
    assert crate["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    by_id = {one["@id"]: one for one in crate["@graph"]}
    assert len(by_id) == len(crate["@graph"]) and all("@type" in one for one in crate["@graph"])
    descriptor = by_id["ro-crate-metadata.json"]
    assert descriptor["@type"] == "CreativeWork" and descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    root = by_id["./"]
    assert root["@type"] == "Dataset" and all(root[key] for key in ("name", "description", "datePublished", "license"))
    assert by_id[root["license"]["@id"]]["name"] and by_id[root["license"]["@id"]]["description"]
    parts = {unquote(one["@id"]) for one in root["hasPart"]}
    assert parts == set(found) - {form.CRATE, form.SUMS}
    for name in parts:
        one = by_id[words._id(name)]
        assert one["@type"] == "File" and int(one["contentSize"]) == len(found[name])
    actions = [one for one in crate["@graph"] if one["@type"] == "CreateAction"]
    assert {one["@id"] for one in root["mentions"]} == {one["@id"] for one in actions}
    for one in actions:
        assert all(one[key]["@id"] in by_id for key in ("instrument", "object", "result"))
    assert "orch table --study t2 --out tables/table.md" in {one["name"] for one in actions}


def test_names_that_sha256sum_escapes_come_back() -> None:
    odd = {"a\\b": "0" * 64, "a\nb": "1" * 64, "plain name": "2" * 64}
    assert form.sums_of("".join(form.sum_line(digest, name) for name, digest in odd.items())) == odd


def test_verify_reads_all_of_it(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orch("verify", archive, code=1)  # one was dropped, one cancelled: as its claim says
    assert "seed 2 was dropped by hand" in capsys.readouterr().out

    def better(found: dict[str, bytes]) -> None:
        found["database/result.jsonl"] = found["database/result.jsonl"].replace(b"90.0", b"99.0")

    changed = rewritten(archive, tmp_path / "changed.zip", better)
    _, _, odd = checking.check(changed)
    assert [one.text for one in odd] == ["job 7 of the archive's rows is not what its claim says"]
    with pytest.raises(BadInput, match=r"database/result.jsonl is not what manifest-sha256.txt says"):
        checking.check(rewritten(archive, tmp_path / "silent.zip", better, honest=False))
    added = tmp_path / "added.zip"
    shutil.copy(archive, added)
    with zipfile.ZipFile(added, "a") as file:
        file.writestr("tables/other.md", "x")
    assert [one.text for one in checking.check(added)[2]] == [
        "'tables/other.md' lies in the archive, and its list of hashes does not know it"
    ]


def test_an_archive_of_an_earlier_schema_is_brought_up_to_date(archive: Path, tmp_path: Path) -> None:
    def older(found: dict[str, bytes]) -> None:
        found["archive.json"] = found["archive.json"].replace(VERSION.encode(), b"0013")
        del found["database/rule.jsonl"]
        for table, column in (
            ("execution", "usage"),
            ("submission", "pieces"),
            ("submission", "bundle"),
        ):  # what later ones added
            lines = [json.loads(line) for line in found[f"database/{table}.jsonl"].splitlines()]
            at = lines[0].index(column)
            for line in lines:
                del line[at]
            found[f"database/{table}.jsonl"] = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)

    opened = reading.open_archive(rewritten(archive, tmp_path / "old.zip", older))
    place = opened.store.root
    opened.close()
    assert not place.exists()
    orch("table", "--archive", tmp_path / "old.zip", "--out", tmp_path / "old.md")
    assert (tmp_path / "old.md").read_bytes() == members(archive)["tables/table.md"]

    def newer(found: dict[str, bytes]) -> None:
        found["archive.json"] = found["archive.json"].replace(VERSION.encode(), b"9999")

    with pytest.raises(BadInput, match="newer than this orch knows"):
        reading.open_archive(rewritten(archive, tmp_path / "new.zip", newer))


def _without(name: str) -> Callable[[dict[str, bytes]], None]:
    return lambda found: found.__delitem__(name)


def _with(name: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda found: found.__setitem__(name, data)


HOSTILE: Mapping[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "no record": (_without("archive.json"), "its archive.json is missing"),
    "another one": (_with("archive.json", b'{"magic":"zip"}'), "missing required field"),
    "no rows": (_without("database/job.jsonl"), "its table job is missing"),
    "torn rows": (_with("database/job.jsonl", b'["id"'), "a line without an end"),
    "other columns": (_with("database/job.jsonl", b'["id"]\n'), "has other columns"),
    "no job": (_with("database/canary.jsonl", b'["job_id","began_at","over_at"]\n[99,"x",null]\n'), "cannot be read"),
    "SQL": (_with("database/seal.jsonl", b'["code); DROP TABLE job; --"]\n'), "has other columns"),
    "a bomb": (_with("runs/0/1/job.json", b" " * (128 << 20)), "it would unpack to"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_is_refused_in_one_sentence(
    archive: Path, tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, said = HOSTILE[what]
    odd = rewritten(archive, tmp_path / "odd.zip", change)
    orch("table", "--archive", odd, code=2)
    told = capsys.readouterr()
    assert said in told.err and told.err.count("\n") == 1 and told.out == ""


def test_nothing_is_unpacked_but_under_names_of_its_own(archive: Path, tmp_path: Path) -> None:
    """Paths that lead out, links and devices in a zip file are never followed: nobody looks at them."""

    def planted(found: dict[str, bytes]) -> None:
        found |= {"../../evil": b"x", "/tmp/evil": b"x", "runs/0/1/../../../evil": b"x", "runs/0/2/job.json/x": b"x"}

    odd = rewritten(archive, tmp_path / "odd.zip", planted)
    with zipfile.ZipFile(odd, "a") as file:
        link = zipfile.ZipInfo("runs/0/2")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc")
    opened = reading.open_archive(odd)
    try:
        names = {one.relative_to(opened.store.root).as_posix() for one in opened.store.root.rglob("*") if one.is_file()}
        assert not [name for name in names if "evil" in name] and any(
            name.startswith("runs/0/2/1/e0-") for name in names
        )
        assert not any(one.is_symlink() for one in opened.store.root.rglob("*"))
    finally:
        opened.close()


def test_only_what_belongs_to_the_study_is_in_the_tables() -> None:
    """Every table of the schema is either archived or left at home on purpose: a new one asks to be thought about."""
    from db.base import Table

    home = {"setting", "job_count", "node_health", "gone_host", "rhythm", "lease"}
    assert set(TABLES) | home == set(Table.metadata.tables)
