"""Seals: what a rehearsal said of a program, kept with the code that it was said of."""

from __future__ import annotations

from datetime import datetime

import msgspec

WRONG = "wrong after resuming"
"""The verdict of a program whose numbers are others once it went on from a checkpoint."""
ANYWAY = "anyway"
"""The option `resume` of jobs that go on from their checkpoints although their program was found wrong."""


class Seal(msgspec.Struct, frozen=True, kw_only=True, tag="seal", omit_defaults=True):
    """`orch rehearse`: the newest verdict on a program of that code counts."""

    code: str
    """The code snapshot, or of a kind of ours the hash of orch's job code."""
    program: str
    """Which program of it: its script or module, or the kind."""
    verdict: str
    reason: str = ""
    at: datetime
