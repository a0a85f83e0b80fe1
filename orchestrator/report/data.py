"""What a report page is made of: plain values, nothing read from a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from db.rows import Curve, ResultRow, Span
from orchestrator.figures.data import AlphaMap


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """One study, whole."""

    study: str
    made_at: datetime
    rows: Sequence[ResultRow]
    curves: Sequence[Curve] = ()
    spans: Sequence[Span] = ()
    alphas: Sequence[AlphaMap] = ()
    errors: Mapping[int, str] = field(default_factory=dict)
    """Job id → the last line of what went wrong."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Program or library → its version(s)."""
