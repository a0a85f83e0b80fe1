"""Which secrets are foreseen to be missing."""

from __future__ import annotations

import pytest

from jobs.records import Surroundings
from orchestrator.views.secrets import predicted, travels

AROUND = Surroundings(kept={"LANG": "C"}, secrets=("A_KEY", "B_TOKEN"))


@pytest.mark.parametrize(
    ("export", "name", "goes"),
    [
        ("NONE", "A_KEY", False),
        ("NIL", "A_KEY", False),
        ("ALL", "A_KEY", True),
        ("ALL,B=1", "A_KEY", True),
        ("PATH,A_KEY", "A_KEY", True),
        ("A_KEY=x,PATH", "A_KEY", True),
        ("PATH,A_KEYS", "A_KEY", False),
    ],
)
def test_what_travels_to_a_node(export: str, name: str, goes: bool) -> None:
    assert travels(export, name) is goes


def test_under_export_none_a_file_is_the_way() -> None:
    (told,) = predicted(AROUND, "NONE", {"A_KEY", "B_TOKEN"}, (), None, running=True)
    assert told.startswith("the program will not get A_KEY, B_TOKEN: under export=NONE no secret travels to the node")
    assert "[env] file" in told
    (told,) = predicted(AROUND, "NONE", {"A_KEY", "B_TOKEN"}, {"B_TOKEN"}, "~/mine", running=True)
    assert "will not get A_KEY:" in told and "put it into ~/mine" in told
    assert predicted(AROUND, "NONE", (), {"A_KEY", "B_TOKEN"}, "~/mine", running=True) == []


def test_what_the_supervisor_has_goes_and_where_nobody_can_look_nothing_is_said() -> None:
    assert predicted(AROUND, None, {"A_KEY", "B_TOKEN"}, (), None, running=True) == []
    assert predicted(AROUND, None, None, (), None, running=True) == []
    (told,) = predicted(AROUND, None, {"A_KEY"}, (), None, running=True)
    assert "will not get B_TOKEN: the supervisor was started without it" in told
    first, second = predicted(AROUND, "B_TOKEN", (), (), None, running=False)
    assert "will not get A_KEY: under export=B_TOKEN" in first
    assert "will not get B_TOKEN: a supervisor started from this shell is without it" in second
