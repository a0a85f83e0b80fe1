"""What a verdict consists of: findings, counts, and how they are said. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.claims import naming
from orchestrator.claims.ledger import Event, Job

CAUSES = {"node_failure": "a node failure", "error": "an error", "timeout": "a time limit", "hang": "a hang"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that a reader of the table must know. `what` is one word for scripts."""

    what: str
    text: str
    row: str = ""
    job: int | None = None
    seed: int | None = None
    file: int | None = None


@dataclass(kw_only=True)
class Verdict:
    """What `orch verify` says."""

    study: str
    digest: str
    head: str
    asked: int = 0
    have: int = 0
    noun: str = "seeds"
    dropped: int = 0
    before: dict[str, int] = field(default_factory=dict)
    """Cause → jobs that ran again by it, before there was a number."""
    after: int = 0
    """Jobs that ran again after a number was known."""
    equal: bool = False
    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    cells: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Name → (with a number in the table, asked for)."""

    @property
    def sound(self) -> bool:
        return self.equal and not self.findings

    def sentence(self) -> str:
        again = [f"{n} ran again after {CAUSES.get(one, one.replace('_', ' '))}" for one, n in self.before.items()]
        said = [
            f"{self.have} of {self.asked} {self.noun}",
            f"{self.dropped or 'none'} dropped",
            *([", ".join(again) + ", before there was a number"] if again else []),
            f"{self.after} after" if again else f"{self.after or 'none'} ran again after there was a number",
            "equal" if self.equal else "NOT EQUAL",
        ]
        return "; ".join(said)

    def as_json(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in ("study", "digest", "head", "asked", "have", "dropped", "equal")}
        return found | {
            "sound": self.sound,
            "again_before": self.before,
            "again_after": self.after,
            "rows": [{"row": name, "have": have, "asked": asked} for name, (have, asked) in self.cells.items()],
            "findings": [
                {
                    name: value
                    for name in ("what", "text", "row", "job", "seed", "file")
                    if (value := getattr(one, name)) not in (None, "")
                }
                for one in self.findings
            ],
            "remarks": self.remarks,
        }


@dataclass(kw_only=True)
class Case:
    """What a verdict is made of."""

    verdict: Verdict
    names: Mapping[str, str]
    wanted: Sequence[str]
    """Metrics, the most important first."""

    def say(self, what: str, job: Job, text: str) -> None:
        row = self.names.get(job.cell, job.kind)
        self.verdict.findings.append(
            Finding(what=what, text=f"row {row}: seed {job.seed} {text}", row=row, job=job.id, seed=job.seed)
        )

    def number(self, numbers: Mapping[str, float | None]) -> str:
        return naming.number_of(numbers, self.wanted)

    def seen(self, event: Event) -> str:
        """` at epoch 290 of 300 with accuracy 91.2`."""
        known = event.known
        if known is None:
            return f" with {self.number(event.before)}" if event.before else ""
        of = f" of {known.epochs}" if known.epochs else ""
        at = f" at epoch {known.epoch}{of}" if known.epoch >= 0 and event.what != "superseded" else ""
        said = self.number(known.numbers)
        return f"{at} with {said}" if said else at
