"""Full paths of kept files inside other text point into an execution's tree, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.node.redirection import held, point, point_variables

FILES = ("train.py", "conf/c.yaml", "conf/a b, c.yaml", "bin/tool")
KEPT = held(FILES, {"/p/a": "", "/link": "conf", "/": ""})
HOME = Path("/home/tree")


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ('{"conf": "/p/a/conf/c.yaml", "x": 1}', '{"conf": "/home/tree/conf/c.yaml", "x": 1}'),
        ("file:///p/a/train.py", "file:///home/tree/train.py"),
        ("-C/p/a/train.py", "-C/home/tree/train.py"),
        ("@/p/a/train.py", "@/home/tree/train.py"),
        ("--k=[/p/a/train.py,/link/c.yaml]", "--k=[/home/tree/train.py,/home/tree/conf/c.yaml]"),
        ("['/p/a/conf/a b, c.yaml']", "['/home/tree/conf/a b, c.yaml']"),
        ("cat /p/a/./conf/../train.py>/p/a/out", "cat /home/tree/train.py>/p/a/out"),
        ("cd /p/a && python train.py", "cd /p/a && python train.py"),
        ("/mnt/p/a/train.py", "/mnt/p/a/train.py"),
        ("/p/a.old/train.py", "/p/a.old/train.py"),
        ("/p/a/train.pyc", "/p/a/train.pyc"),
        ("/p/a/../train.py", "/p/a/../train.py"),
    ],
)
def test_files_inside_other_text_are_pointed_into_the_tree(word: str, wanted: str) -> None:
    assert point(KEPT, word, HOME) == wanted


@given(st.lists(st.sampled_from([*(f"/p/a/{name}" for name in FILES), "/p/a", "/p/a/out"]), max_size=4))
def test_a_list_of_arguments_is_each_of_them(paths: list[str]) -> None:
    inside = {f"/p/a/{name}" for name in FILES}
    wanted = [path.replace("/p/a", str(HOME)) if path in inside else path for path in paths]
    assert point(KEPT, "\n".join(paths), HOME) == "\n".join(wanted)
    assert point(KEPT, "\n".join(wanted), HOME) == "\n".join(wanted)


@given(st.text(alphabet="/p a.-=:\"'[trainpy"))
def test_any_text_ends_and_keeps_what_is_no_path_into_the_tree(word: str) -> None:
    assert point(KEPT, word, HOME).replace("/home/tree/train.py", "/p/a/train.py") == word


def test_variables_point_to_kept_files_and_a_moved_project_to_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "env/bin").mkdir(parents=True)
    given = {
        "PATH": "/p/a/env/bin:/p/a/bin:/usr/bin:",
        "CONFIG": "/p/a/conf/c.yaml",
        "RESULTS": "/p/a/conf",
        "VIRTUAL_ENV": "/p/a/env",
        "LANG": "C.UTF-8",
    }
    assert point_variables(KEPT, given, HOME, tmp_path) == {
        "PATH": f"{tmp_path}/env/bin:/home/tree/bin:/usr/bin:",
        "CONFIG": "/home/tree/conf/c.yaml",
        "VIRTUAL_ENV": f"{tmp_path}/env",
    }
