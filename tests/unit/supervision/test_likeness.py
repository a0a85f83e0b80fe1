"""Which errors are the same error: what varies from run to run does not count, what says something else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.words import Cause
from orchestrator.supervision.likeness import same_error
from orchestrator.supervision.policy import Failure, final_cause

SAME = [
    ("ValueError: seed 7 at 0x7f3e", "ValueError: seed 12 at 0x8f4e"),
    ("RuntimeError: bad file /tmp/tmpab3_xyzq/a.npz", "RuntimeError: bad file /tmp/tmpqqw_kkll/a.npz"),
    ("OSError: cannot lock tmp.XyZaBcDeFg", "OSError: cannot lock tmp.QwErTyUiOp"),
    (
        "KeyError: 'a1b2c3d4-e5f6-4711-8899-aabbccddeeff'",
        "KeyError: '01234567-89ab-4cde-8f01-23456789abcd'",
    ),
    ("exit code 3: refused by 10.0.3.17:40122", "exit code 3: refused by 10.0.12.4:39201"),
    ("AssertionError: at Thu Nov 26 13:57:15 2026", "AssertionError: at Fri Nov 27 01:02:03 2026"),
    ("IOError: 2026-11-26T13:57:15.123Z too late", "IOError: 2026-11-27T01:02:03Z too late"),
    ("RuntimeError: loss 3.5e-07 is wrong", "RuntimeError: loss 12.25 is wrong"),
    ("RuntimeError: commit 3f2a91c is dirty", "RuntimeError: commit b7e04dd is dirty"),
    ("ConnectionError: token xQzRtBkLmWv", "ConnectionError: token PoIuYtReWqA"),
    (
        "FileNotFoundError: [Errno 2] No such file or directory: 'run-qwertyui.lock'",
        "FileNotFoundError: [Errno 2] No such file or directory: 'run-asdfghjk.lock'",
    ),
]
OTHER = [
    ("OSError: /data", "OSError: /tmp"),
    ("ValueError: no", "KeyError: no"),
    ("ImportError: no module torch", "ImportError: no module numpy"),
    ("OSError: [Errno 5] Input/output error: '/data/a'", "OSError: [Errno 116] Stale file handle: '/data/a'"),
    ("CUDA error: unspecified launch failure", "CUDA error: out of memory"),
    ("MemoryError", "KeyboardInterrupt"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_varies_does_not_count(one: str, other: str) -> None:
    assert same_error(one, other) and same_error(other, one)
    first = Failure(cause=Cause.ERROR, node="n1", error=one, ready=False)
    second = Failure(cause=Cause.ERROR, node="n2", error=other, ready=False)
    assert final_cause(second, [first], several_nodes=True) is Cause.ERROR


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_says_something_else_counts(one: str, other: str) -> None:
    assert not same_error(one, other) and not same_error(other, one)


def test_an_error_may_name_its_node() -> None:
    assert not same_error("alpha: no licence left", "omega: no licence left")
    assert same_error("alpha: no licence left", "omega: no licence left", ("alpha", "omega"))


@given(st.text(), st.text(), st.sampled_from([(), ("n1", None), ("a", "b")]))
def test_any_text_is_compared_alike_from_both_sides(one: str, other: str, nodes: tuple[str | None, ...]) -> None:
    assert same_error(one, one, nodes)
    assert same_error(one, other, nodes) == same_error(other, one, nodes)
