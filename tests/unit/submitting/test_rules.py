"""A rule's sides are found among the points of a study, and get the seeds of its first look."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import BadInput
from jobs.resources import Asked as Resources
from orchestrator.studyfile.reading import parse
from orchestrator.submitting import study
from orchestrator.submitting.request import Request
from orchestrator.submitting.rules import Asked, asked, first_seeds
from orchestrator.submitting.study import Part

TRAIN = """
[[experiment]]
name = "train"
command = ["python", "t.py", "--lr", "{lr}", "--opt", "{opt}", "--seed", "{seed}"]
seeds = 3
[experiment.grid]
lr = [0.1, 0.01, 0.001]
opt = ["adam", "sgd"]
"""
KIND = '\n[[experiment]]\nname = "random"\nkind = "random-baseline"\nseeds = 2\n[experiment.grid]\nlr = [0.1, 0.5]\n'
STAGE = '\n[[experiment]]\nname = "test"\nafter = "train"\ncommand = ["python", "e.py", "{train.out}"]\n'
PAIR = "lr=0.1,opt=adam > lr=1e-2,opt=adam on acc"


def parts(text: str, folder: Path) -> list[Part]:
    file = parse(text, folder / "study.toml")
    base = Request(kind="command", seeds=[0], study="s", preset="demo")
    return study.plan(file, base, lambda experiment: (Resources(), {}))


def found(
    text: str, rule: str, folder: Path, at_most: int | None = 10, anytime: bool = False
) -> tuple[Asked, list[Part]]:
    planned = parts(text, folder)
    one = asked(rule, at_most, anytime, planned)
    return one, first_seeds(planned, one)


def test_the_sides_have_the_first_look_and_others_their_own_seeds(tmp_path: Path) -> None:
    rule, (part,) = found(TRAIN, PAIR, tmp_path)
    assert rule.looks == (8, 9, 10)
    sides, others = part.requests
    assert sides.points is not None and others.points is not None
    assert [{name: item.written for name, item in point.values.items()} for point in sides.points] == [
        {"lr": "0.1", "opt": "adam"},
        {"lr": "0.01", "opt": "adam"},
    ]
    assert list(sides.seeds) == list(range(8)) and list(others.seeds) == [0, 1, 2] and len(others.points) == 4
    assert len(part.asked()) == 2 * 8 + 4 * 3
    assert part.asked()[8] == (sides.points[1], 0)


def test_a_kind_and_several_experiments(tmp_path: Path) -> None:
    rule, (train, random) = found(TRAIN + KIND, "lr=0.5 > lr=0.1,experiment=random on acc", tmp_path)
    assert [len(one.seeds) for one in random.requests] == [8, 8] and len(train.requests) == 1
    assert [name for name, _ in rule.sides] == ["random", "random"]
    assert len(random.asked()) == 16


def test_all_points_may_be_sides(tmp_path: Path) -> None:
    one = TRAIN.replace(", 0.001", "").replace('["adam", "sgd"]', '["adam"]')
    _, (part,) = found(one, "lr=0.1 > lr=0.01 on acc", tmp_path)
    assert len(part.requests) == 1 and len(part.asked()) == 16


@pytest.mark.parametrize(
    ("text", "rule", "said"),
    [
        (TRAIN, "lr=0.1 > lr=0.01 on acc", "is 2 points of the study.*'lr=0.1,opt=adam' or 'lr=0.1,opt=sgd'"),
        (TRAIN + KIND, "lr=0.5 > lr=0.1,opt=adam,experiment=random on acc", "never come together"),
        (TRAIN, "lrr=0.1,opt=adam > lr=0.01,opt=adam on acc", "did you mean 'lr'"),
        (TRAIN, "momentum=1 > lr=0.01,opt=adam on acc", "its parameters are lr, opt"),
        (TRAIN, "lr=0.2,opt=adam > lr=0.01,opt=adam on acc", "lr is 0.1, 0.01, 0.001"),
        (TRAIN, "lr=0.1,opt=adam > lr=0.10,opt=adam on acc", "same point"),
        (TRAIN + STAGE, PAIR.replace("adam", "adam,experiment=train"), "without stages"),
        ('[[experiment]]\nname = "g"\nkind = "table2"\n', "acc ±0.1 at experiment=g", "whole graph"),
    ],
)
def test_a_side_that_is_no_one_point_is_named(text: str, rule: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said):
        found(text, rule, tmp_path)


@pytest.mark.parametrize(
    ("rule", "at_most", "anytime", "said"),
    [
        (PAIR, None, False, "needs --at-most N"),
        (PAIR, 5, False, "it takes 6 seeds a side"),
        (PAIR + " or futile", 10, True, "drop one"),
        ("acc ±0.1 at lr=0.1,opt=adam", 10, True, "a ± rule has none"),
    ],
)
def test_options_that_do_not_go_together(
    rule: str, at_most: int | None, anytime: bool, said: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=said):
        found(TRAIN, rule, tmp_path, at_most, anytime)


def test_keys_of_the_file(tmp_path: Path) -> None:
    keys = 'until = "acc ±0.1 at lr=0.1"\nat_most = 30\nanytime = false\n'
    file = parse(f"[study]\n{keys}{TRAIN}", tmp_path / "s.toml")
    assert (file.until.text, file.until.at_most, file.until.anytime) == ("acc ±0.1 at lr=0.1", 30, False)


@pytest.mark.parametrize(
    ("keys", "said"),
    [("at_most = 5", "belongs to a rule"), ("anytime = true", "belongs to a rule"), ("until = 5", "text in quotes")],
)
def test_a_slip_in_the_file(keys: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said):
        parse(f"[study]\n{keys}\n{TRAIN}", tmp_path / "s.toml")
