"""squeue, sacct, host lists and states: what SLURM prints, and what anybody may put into a job's name."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm.backend import Phase
from slurm.cluster import hostlist, sacct, squeue, states
from slurm.cluster.rows import Row

QUEUE = """\
3|3|FAILED|9|0|node2|JobLaunchFailure|killer
4|N/A|FAILED|4021|0|node2|JobLaunchFailure|badout
2|4|PENDING|0|0||JobArrayTaskLimit|o-aa
2|N/A|CANCELLED|0|0||JobHeldUser|o-aa
1|N/A|RUNNING|0|2|node1|None|ev|il
name|x
7|N/A|PENDING|0|1||launch failed requeued held|o-bb
8|N/A|FAILED|768|0|node[1-2]|NonZeroExitCode|o-cc
"""

RECORDS = """\
4|NODE_FAIL|1:0|node1|None|o-aa
4|COMPLETED|0:0|node3|None|o-aa
2_0|CANCELLED by 1000|0:15|node2|None|o-bb
2_[3-9%2]|PENDING|0:0|None assigned|None|o-bb
1|RUNNING|0:0|node1|None|ev|il
name|x
4.batch|COMPLETED|0:0|node3|None|batch
"""


def test_squeue_rows_are_read() -> None:
    rows = squeue.parse(QUEUE)
    assert [row.id for row in rows] == ["3_3", "4", "2_4", "2", "1", "7", "8"]
    assert (rows[0].signal, rows[0].exit_code) == (9, 0)
    assert rows[1].signal == 53
    assert rows[4].restarts == 2 and rows[4].node == "node1"
    assert rows[5].reason == "launch failed requeued held" and rows[5].name == "o-bb"
    assert rows[6].exit_code == 3 and rows[6].node == "node[1-2]"
    assert rows[2].node == "" and rows[2].reason == "JobArrayTaskLimit"


def test_sacct_rows_are_read() -> None:
    rows = sacct.parse(RECORDS)
    assert [(row.id, row.state) for row in rows] == [
        ("4", "NODE_FAIL"),
        ("4", "COMPLETED"),
        ("2_0", "CANCELLED"),
        ("2", "PENDING"),
        ("1", "RUNNING"),
    ]
    assert rows[2].cancelled_by == 1000 and rows[2].signal == 15
    assert rows[2].line() == "sacct: job 2_0 CANCELLED by uid 1000, exit 0:15, on node2"
    assert rows[3].node == ""


@given(st.text(), st.text())
def test_reading_never_fails(text: str, more: str) -> None:
    for row in squeue.parse(text + "\n" + more) + sacct.parse(text + "\n" + more):
        assert row.job.isdecimal()


TOKEN = st.from_regex(r"\Ao-[0-9a-z]{12}\Z")
HOSTILE = st.text(st.characters(exclude_categories=["Cs"], include_characters="|\n\x1f"))


@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.one_of(st.none(), st.integers(0, 10**6)), TOKEN), max_size=5), HOSTILE
)
def test_our_rows_survive_names_of_others(ours: list[tuple[int, int | None, str]], hostile: str) -> None:
    lines = []
    for job, task, token in ours:
        lines.append(f"77|N/A|RUNNING|0|0|n|None|{hostile}")
        lines.append(f"{job}|{'N/A' if task is None else task}|RUNNING|0|0|n1|some | reason|{token}")
    rows = squeue.parse("\n".join(lines))
    found = [(int(row.job), row.task, row.name) for row in rows if row.node == "n1" and row.reason == "some | reason"]
    assert found == ours


@given(HOSTILE)
def test_a_line_feed_in_a_name_cannot_claim_a_token_of_ours_without_knowing_it(hostile: str) -> None:
    rows = squeue.parse(f"77|N/A|RUNNING|0|0|n|None|{hostile}\n5|N/A|PENDING|0|0||None|o-0123456789ab")
    assert [row.job for row in rows if row.name == "o-0123456789ab"] == ["5"]


def test_questions_fix_their_columns_and_name_their_jobs() -> None:
    assert "-t" in squeue.arguments() and squeue.arguments()[-1].endswith(",Name:")
    assert sacct.by_id(["12", "9", "12"])[-1] == "9,12"
    east = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    words = sacct.by_name({"o-b", "o-a"}, east)
    assert words[words.index("-S") + 1] == "2026-01-02T01:04:05" and words[-1] == "o-a,o-b"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("login", ["login"]),
        ("node[1-3],login", ["node1", "node2", "node3", "login"]),
        ("gpu[08-10,12]-ib", ["gpu08-ib", "gpu09-ib", "gpu10-ib", "gpu12-ib"]),
        ("r[1-2]c[1,3]", ["r1c1", "r1c3", "r2c1", "r2c3"]),
    ],
)
def test_host_lists_are_expanded(text: str, names: list[str]) -> None:
    assert hostlist.expand(text) == names


def test_an_absurd_host_list_is_refused() -> None:
    with pytest.raises(ValueError, match="no range of nodes"):
        hostlist.expand("n[9-1]")


@given(st.lists(st.from_regex(r"\A[a-z]{1,5}[0-9]{1,4}\Z"), unique=True))
def test_joined_names_expand_to_themselves(names: list[str]) -> None:
    assert hostlist.expand(hostlist.join(names)) == sorted(names)


@given(st.text(), st.text())
def test_the_state_map_is_total_and_an_unknown_state_is_alive(state: str, reason: str) -> None:
    phase = states.phase_of(state, reason)
    assert phase is not Phase.ABSENT
    if state not in states.PHASES:
        assert phase is Phase.COMPLETING


def test_an_unknown_state_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="slurm.cluster.states"):
        states.phase_of("LEVITATING")
        states.phase_of("LEVITATING")
    assert [record.getMessage() for record in caplog.records] == [
        "SLURM job state 'LEVITATING' is not known to orch: taken for alive"
    ]


def test_states_that_submitit_takes_for_done_are_alive() -> None:
    for state in ("SUSPENDED", "RESIZING", "CONFIGURING", "REQUEUE_HOLD"):
        assert states.phase_of(state) is not Phase.ENDED


@pytest.mark.parametrize(
    ("reason", "held", "by_slurm"),
    [
        ("launch failed requeued held", True, True),
        ("JobHoldMaxRequeue", True, True),
        ("JobHeldUser", True, False),
        ("JobHeldAdmin", True, False),
        ("job requeued in held state", True, False),
        ("Resources", False, False),
    ],
)
def test_holds_are_told_apart(reason: str, held: bool, by_slurm: bool) -> None:
    assert (states.phase_of("PENDING", reason) is Phase.HELD) == held
    assert states.held_for_launch(reason) == by_slurm


def test_a_row_says_itself_in_one_line() -> None:
    row = Row(job="9", task=None, name="x", state="FAILED", exit_code=1, node="n1", reason="NonZeroExitCode")
    assert row.line() == "squeue: job 9 FAILED, exit 1:0, on n1, reason NonZeroExitCode"
