"""The seal: a verdict, kept in the project's store with the code that a submit would keep now."""

from __future__ import annotations

from pathlib import Path

from db.sealing import program_of
from db.seals import Seal
from db.store import Store
from jobs.files import now
from jobs.node import fingerprint
from orchestrator.code import plugins, snapshots
from orchestrator.code.tree import root_of
from orchestrator.rehearsal.judgement import Overall
from orchestrator.settings import Settings
from orchestrator.submitting import program
from orchestrator.submitting.request import Request


def code_of(root: Path, settings: Settings, request: Request) -> tuple[str, str] | None:
    """Code and program of what is rehearsed, as a submit to the store in `root` would keep them now; None where a
    submit keeps none (`--code live`). Raises BadInput, SnapshotError."""
    project = root.parent.resolve()
    if request.kind != program.KIND:
        found = plugins.source(request.kind)
        if found is None:
            return fingerprint.of_orch().source, request.kind
        if found.root is None:
            return None
        tree = snapshots.present(root / "code", found.root, ".", program.limits(settings), root)
        return tree.hash, request.kind
    if request.live:
        return None
    tree = snapshots.present(
        root / "code", root_of(request.cwd or Path.cwd(), project), ".", program.limits(settings), root
    )
    return tree.hash, program_of(list(request.values["argv"]))


def keep(store: Store, code: tuple[str, str], found: Overall) -> None:
    """Write the verdict into the journal. Raises StoreError."""
    with store.write() as writer:
        writer.decide([Seal(code=code[0], program=code[1], verdict=str(found.verdict), reason=found.reason, at=now())])
