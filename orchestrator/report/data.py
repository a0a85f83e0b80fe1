"""What a report page is made of: plain values, nothing read from a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from db.layouts import Layout
from db.rows import Curve, ResultRow, Span
from orchestrator.figures.data import AlphaMap
from orchestrator.stopping.grammar import Compares


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """One study, whole."""

    study: str
    made_at: datetime
    ended: bool = False
    """Nothing of it will move by itself any more: `made_at` is then when the last thing happened."""
    rows: Sequence[ResultRow]
    curves: Sequence[Curve] = ()
    spans: Sequence[Span] = ()
    alphas: Sequence[AlphaMap] = ()
    afterthoughts: Sequence[str] = ()
    """Silent hosts, and what people changed since: dropped results, jobs that run anew, cells of several codes."""
    errors: Mapping[int, str] = field(default_factory=dict)
    """Job id → the last line of what went wrong."""
    layouts: Sequence[Layout] = ()
    """How its file lays out its tables."""
    rules: Sequence[str] = ()
    """What is to be said of the rule (`--until`) that ends the study."""
    compares: Compares | None = None
    """The two sides of that rule."""
    room: str = ""
    """How large the store is; empty where nobody has measured it."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Program or library → its version(s)."""
