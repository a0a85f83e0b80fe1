"""Where a mirror is, as people write it; and what rsync says, as a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.audit import Held
from db.identity import Identity
from jobs.errors import BadInput
from jobs.files import now
from orchestrator.mirroring.admission import Overtaken, check_history, check_over, is_new, takes_over
from orchestrator.mirroring.control import Complete, Control, Successor, Whose
from orchestrator.mirroring.control import Overtaken as Marks
from orchestrator.mirroring.place import Place, check_apart, parse
from orchestrator.mirroring.rsync import MirrorError, NoMirror, Unreachable, wrong

HERE = Place(host=None, path="/backup/orch")
THERE = Place(host="tanuki", path="backup/orch")


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("tanuki:backup/orch", "tanuki", "backup/orch"),
        ("me@tanuki.lab:/backup/my orch/", "me@tanuki.lab", "/backup/my orch"),
        ("tanuki:~/orch", "tanuki", "orch"),
        ("../orch copy/", None, "/base/orch copy"),
        ("/mnt/a:b/orch", None, "/mnt/a:b/orch"),
        ("./a:b", None, "/base/project/a:b"),
    ],
)
def test_a_folder_here_or_there(text: str, host: str | None, path: str) -> None:
    assert parse(text, Path("/base/project"), "it") == Place(host=host, path=path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("tanuki:", "write it as 'tanuki:backup/orch'"),
        ("tanuki:/", "write it as 'tanuki:backup/orch'"),
        ("tanuki::module", "reached by ssh"),
        ("rsync://tanuki/x", "reached by ssh"),
        ("-oProxyCommand=x:y", "no host that ssh could reach"),
        ("/", "whole disk"),
        ("~nobody-here/x", "home folder that nobody has"),
    ],
)
def test_what_is_no_place_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as told:
        parse(text, Path("/base"), "[store] mirror")
    assert "\n" not in str(told.value) and str(told.value).startswith("[store] mirror")


def test_a_mirror_in_the_store_or_around_it_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "project" / ".orch"
    root.mkdir(parents=True)
    for inside in (root, root / "backup"):
        with pytest.raises(BadInput, match="lies inside the store"):
            check_apart(parse(str(inside), tmp_path, "it"), root, "it")
    with pytest.raises(BadInput, match="holds the store"):
        check_apart(parse(str(tmp_path), tmp_path, "it"), root, "it")
    check_apart(parse("other", tmp_path, "it"), root, "it")
    check_apart(THERE, root, "it")


@pytest.mark.parametrize(
    ("place", "code", "said", "kind", "sentence"),
    [
        (HERE, 11, 'rsync: write failed on "/x": No space left on device (28)', MirrorError, "is full"),
        (
            THERE,
            255,
            "ssh: connect to host tanuki port 22: Connection refused\nrsync: connection unexpectedly closed\n",
            Unreachable,
            "tanuki cannot be reached by ssh: ssh: connect to host tanuki port 22: Connection refused",
        ),
        (THERE, 127, "bash: rsync: command not found", Unreachable, "not installed on tanuki"),
        (HERE, 23, 'rsync: [sender] change_dir "/x" failed: No such file or directory (2)', NoMirror, "no folder"),
        (HERE, 13, "rsync: [generator] mkstemp failed: Permission denied (13)", MirrorError, "Permission denied"),
    ],
)
def test_what_rsync_says_is_one_sentence(
    place: Place, code: int, said: str, kind: type[MirrorError], sentence: str
) -> None:
    told = wrong(place, code, said)
    assert type(told) is kind and sentence in str(told) and "\n" not in str(told)


MINE = Identity(id="mine", before=("mother",))


def whose(store: str) -> Control:
    return Control(whose=Whose(store=store, host="usagi", root="/data/me/.orch", at=now()))


def test_only_a_new_folder_our_own_mirror_or_that_of_the_store_before_is_written() -> None:
    assert is_new(Control(), HERE, [".", "lost+found"], known=False)
    assert not is_new(whose("mine"), HERE, [], known=True)
    with pytest.raises(MirrorError, match="not empty"):
        is_new(Control(), HERE, [".", "thesis.tex"], known=False)
    with pytest.raises(MirrorError, match="mount its disk"):
        is_new(Control(), HERE, ["."], known=True)
    assert not takes_over(whose("mine"), HERE, MINE)
    assert takes_over(whose("mother"), HERE, MINE)
    with pytest.raises(MirrorError, match="mirror of another store"):
        takes_over(whose("stranger"), HERE, MINE)


def test_a_store_that_another_was_rebuilt_for_is_over() -> None:
    by = Successor(store="next", host="kitsune", root="/new/.orch", at=now())
    there = Control(overtaken=Marks(by={"mine": by}))
    with pytest.raises(Overtaken, match="on kitsune was rebuilt from its mirror"):
        check_over(there, HERE, "mine")
    check_over(there, HERE, "another")


def test_an_older_copy_of_a_store_does_not_overwrite_what_a_newer_one_mirrored() -> None:
    done = Complete(store="mine", number=5, digest="five", round=2, began=now(), at=now(), full_at=now())
    there = Control(complete=done)
    check_history(there, HERE, MINE, Held(number=6), lambda number: "five")
    for held, digest in ((4, "five"), (6, "another")):
        with pytest.raises(MirrorError, match="older copy of the store"):
            check_history(there, HERE, MINE, Held(number=held), lambda number, digest=digest: digest)  # type: ignore[misc]
