"""Seals: what a rehearsal said of a program with its arguments, kept with the code that it was said of. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import PurePath

import msgspec

_SCRIPT = re.compile(r".+\.(py|sh|bash|R|r|jl|pl|rb|lua|m|js|ts)\Z")


class Verdict(StrEnum):
    """The best first."""

    BIT_IDENTICAL = "bit-identical"
    EQUAL_WITHIN_NOISE = "equal within noise"
    NOT_RESUMABLE = "not resumable"
    WRONG = "wrong after resuming"


ORDER = tuple(Verdict)
VERIFIED = (Verdict.BIT_IDENTICAL, Verdict.EQUAL_WITHIN_NOISE)
WRONG = str(Verdict.WRONG)
"""The verdict of a program whose numbers are others once it went on from a checkpoint."""
ANYWAY = "anyway"
"""The option `resume` of jobs that go on from their checkpoints although their program was found wrong."""
RESUME = (ANYWAY, "verified")
"""The values of that option; the second is as if it had never been given."""
KILL = "kill"
WHOLE_KILLS = 5
"""Runs that were killed in a whole rehearsal."""
NOT_EVERYWHERE = frozenset({"disk", "node"})
"""Disturbances that not every machine allows: mounting a small disk, killing a node."""


class Seal(msgspec.Struct, frozen=True, kw_only=True, tag="seal", omit_defaults=True):
    """`orch rehearse`: a verdict on a program of that code, run with these arguments."""

    code: str
    """The code snapshot, or of a kind of ours the hash of orch's job code."""
    program: str
    """Which program of it: its script or module, or the kind."""
    arguments: str = ""
    """Its other words as a JSON list, with {seed} and parameters as they stand; empty: a kind, or a seal that was kept
    before seals had them."""
    verdict: str
    reason: str = ""
    tried: dict[str, int] = {}
    """Disturbance → runs that were judged; empty in a seal of before."""
    untried: tuple[str, ...] = ()
    """Disturbances of which no run was judged."""
    at: datetime

    @property
    def whole(self) -> bool:
        """Whether it stands on a whole rehearsal."""
        return is_whole(self.tried, self.untried)


def is_whole(tried: Mapping[str, int], untried: Sequence[str]) -> bool:
    """Whether every disturbance was tried that any machine allows, with as many kills as there are by default. Pure."""
    return not set(untried) - NOT_EVERYWHERE and tried.get(KILL, 0) >= WHOLE_KILLS


def program_of(argv: Sequence[str]) -> tuple[str, str]:
    """What a seal is of: the program of a command line (its script, `-m MODULE`, else its first word), and its other
    words but the interpreter's as JSON. Pure."""
    for place, word in enumerate(argv):
        if word == "-m" and place + 1 < len(argv):
            return f"-m {argv[place + 1]}", _words([*argv[1:place], *argv[place + 2 :]])
        if _SCRIPT.match(word) and not word.startswith("-"):
            return str(PurePath(word)), _words([*argv[1:place], *argv[place + 1 :]])
    return str(PurePath(argv[0])), _words(argv[1:])


def _words(words: Sequence[str]) -> str:
    return json.dumps(list(words), ensure_ascii=False)


def replaces(new: Seal, old: Seal) -> bool:
    """Whether a newer seal takes the place of one of the same program: it is worse, or tried all that the other one
    stands on. So half a rehearsal takes nothing back that a whole one found. Pure."""
    worse = ORDER.index(Verdict(new.verdict)) > ORDER.index(Verdict(old.verdict))
    return worse or covers(new.tried, old.tried)


def covers(tried: Mapping[str, int], other: Mapping[str, int]) -> bool:
    """Whether at least as many runs of each disturbance were judged. Pure."""
    return all(tried.get(name, 0) >= many for name, many in other.items())


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job's program."""

    seal: Seal
    own: bool
    """Whether it was rehearsed with the job's own arguments."""


def standing(found: Mapping[str, Seal], arguments: str) -> Standing | None:
    """Of one program and code the seals by their arguments: its own one, else that it was wrong with others.

    A good verdict on other arguments says nothing; a bad one warns until its own are rehearsed. Pure.
    """
    if arguments in found:
        return Standing(seal=found[arguments], own=True)
    wrong = max((one for one in found.values() if one.verdict == WRONG), key=lambda one: one.at, default=None)
    return None if wrong is None else Standing(seal=wrong, own=False)
