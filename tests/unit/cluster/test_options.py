"""Every option of sbatch(1): passed on, or refused with the way to write it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import BadInput
from slurm.cluster import options

MANUAL = (Path(__file__).parent / "golden" / "sbatch-options.txt").read_text().split()
"""All long options of the manual page sbatch(1) of SLURM 22.05.8."""
DOCS = Path(__file__).parents[3] / "docs" / "slurm.md"


def test_the_table_is_the_manual() -> None:
    assert sorted(options.written(name) for name in options.KNOWN) == sorted(MANUAL)
    groups = [options.FLAGS, options.FLAGS_OR_VALUES, options.VALUES, options.REFUSED.keys()]
    assert sum(map(len, groups)) == len(MANUAL), "each is in one group"


def test_the_documentation_lists_every_option_where_it_belongs() -> None:
    rows = dict(re.findall(r"^\| ((?:passed on|refused)[^|]*) \| ([^|]*) \|$", DOCS.read_text(), re.MULTILINE))
    told = {head: set(re.findall(r"`([^`]+)`", row)) for head, row in rows.items()}
    assert told == {
        "passed on, with a value": {options.written(name) for name in options.VALUES},
        "passed on, alone": {options.written(name) for name in options.FLAGS},
        "passed on, alone or with a value": {options.written(name) for name in options.FLAGS_OR_VALUES},
        "refused, with the way to get what was meant": {options.written(name) for name in options.REFUSED},
    }


@pytest.mark.parametrize("name", MANUAL)
def test_each_option_is_passed_on_or_refused(name: str) -> None:
    key = options.name_of(name)
    if key in options.REFUSED:
        with pytest.raises(BadInput, match=re.escape(options.REFUSED[key])):
            options.checked(options.parsed([f"{name}=1"]))
        return
    value = {"exclude": "n1"}.get(key, "/full/path")
    if key not in options.FLAGS:
        assert options.checked(options.parsed([f"{name}={value}"])) == {key: value}
    if key not in options.VALUES:
        assert options.checked(options.parsed([f"--{name}"])) == {key: True}
    else:
        with pytest.raises(BadInput, match=f"write --sbatch {name}=VALUE"):
            options.checked(options.parsed([name]))


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["-C=fast", "n=4"], {"constraint": "fast", "ntasks": "4"}),
        (["comment=true", "kill-on-invalid-dep=yes"], {"comment": "true", "kill_on_invalid_dep": "yes"}),
        (["requeue=false"], {"no_requeue": True}),
        (["no-requeue=false", "exclusive=False"], {}),
        (["exclusive=user", "--contiguous"], {"exclusive": "user", "contiguous": True}),
        (["export=ALL,A=b=c"], {"export": "ALL,A=b=c"}),
        (["w=n[01-03,7],login,r[1-2]n[0-9]"], {"nodelist": "n[01-03,7],login,r[1-2]n[0-9]"}),
        (["nodelist=/home/me/[nodes"], {"nodelist": "/home/me/[nodes"}),
    ],
)
def test_what_words_mean(words: list[str], found: dict[str, object]) -> None:
    assert options.checked(options.parsed(words)) == found


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["contigous"], "did you mean 'contiguous'"),
        (["C fast"], "write --sbatch 'C=fast'"),
        (["constraint=a", "-C=b"], "sets 'constraint' twice"),
        (["hold=3"], "takes no value"),
        (["exclusive="], "empty value"),
        (["requeue", "no-requeue"], "exclude each other"),
        (["exclude=n[3-1]"], "bad value for 'exclude'"),
        (["exclude=a,b["], r"'a,b\[' has a bracket without its other one"),
        (["nodelist=n[1"], "bad value for 'nodelist'"),
        (["nodelist=n1-3]"], "bad value for 'nodelist'"),
        (["export-file=mine"], "give its full path"),
        (["=3"], "a flag's NAME"),
    ],
)
def test_words_that_mean_nothing_are_refused(words: list[str], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        options.checked(options.parsed(words))


def test_what_only_this_site_knows_is_passed_on() -> None:
    with pytest.raises(BadInput, match="no parameter 'container-image'"):
        options.checked({"container-image": "a.sqsh"})
    assert options.checked({"container-image": "a.sqsh"}, {"container_image"}) == {"container_image": "a.sqsh"}
    assert options.checked({"container-image": "a.sqsh"}, None) == {"container_image": "a.sqsh"}


@given(
    name=st.sampled_from(sorted(options.VALUES | options.FLAGS_OR_VALUES)),
    before=st.text(),
    sign=st.sampled_from("\n\r\x0b\x0c\x1b\x85\u2028\0"),
    after=st.text(),
)
def test_no_value_begins_a_line_of_the_script(name: str, before: str, sign: str, after: str) -> None:
    with pytest.raises(BadInput, match="control character"):
        options.checked({name: before + sign + after})


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"gres": "gpu:a100:2"}, 2),
        ({"gres": "gpu"}, 1),
        ({"gres": "gpu:4,lustre:1"}, 4),
        ({"gres": "gpu:a100:1,gpu:v100:2"}, 3),
        ({"gres": "lustre:1"}, None),
        ({"gpus_per_node": "a100:2"}, 2),
        ({"gpus": 3}, 3),
        ({"gpus_per_task": "v100"}, 1),
        ({}, None),
    ],
)
def test_gpus_are_counted(asked: dict[str, object], count: int | None) -> None:
    assert options.gpus_asked(asked) == count
    assert options.asks_gpus(asked) == (count is not None)


@pytest.mark.parametrize("asked", [{"gpus": "a100:x"}, {"gres": "gpu:tesla:k80"}, {"gpus_per_node": "2,a100:"}])
def test_what_is_no_number_of_gpus_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="takes a number of GPUs"):
        options.gpus_asked(asked)
