"""Entries of what holds queued jobs back while machines are free: the limits of a study, and canaries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True, tag="limits", omit_defaults=True):
    """What a person says of a whole study. None: as it was; 0: no limit."""

    study: str
    max_running: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """So many of its jobs are with the machines at once."""
    max_fails: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Once so many of its jobs have failed, nothing more is sent."""
    at: datetime


class Canary(msgspec.Struct, frozen=True, kw_only=True, tag="canary"):
    """`job` goes first; `jobs` wait for it."""

    job: int
    jobs: tuple[int, ...]
    at: datetime


class Follow(msgspec.Struct, frozen=True, kw_only=True, tag="follow", omit_defaults=True):
    """All that wait for a `canary`, or these `jobs` alone, wait no longer, and why."""

    canary: int | None = None
    jobs: tuple[int, ...] = ()
    why: str
    at: datetime
