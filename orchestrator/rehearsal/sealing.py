"""The seal: a verdict, kept in the project's store with the code and arguments that a submit would keep now."""

from __future__ import annotations

from pathlib import Path

from db import sealing
from db.sealing import Named
from db.seals import Seal, program_of
from db.store import Store
from jobs.files import now
from jobs.node import fingerprint
from orchestrator.code import plugins, snapshots
from orchestrator.code.tree import root_of
from orchestrator.rehearsal.judgement import Overall
from orchestrator.settings import Settings
from orchestrator.submitting import program
from orchestrator.submitting.request import Request


def named_of(root: Path, settings: Settings, request: Request) -> Named | None:
    """Code, program and arguments of what is rehearsed, as a submit to the store in `root` would keep them now; None
    where a submit keeps no code (`--code live`). Raises BadInput, SnapshotError."""
    project = root.parent.resolve()
    if request.kind != program.KIND:
        found = plugins.source(request.kind)
        if found is None:
            return fingerprint.of_orch().source, request.kind, ""
        if found.root is None:
            return None
        tree = snapshots.present(root / "code", found.root, ".", program.limits(settings), root)
        return tree.hash, request.kind, ""
    if request.live:
        return None
    tree = snapshots.present(
        root / "code", root_of(request.cwd or Path.cwd(), project), ".", program.limits(settings), root
    )
    point = request.points[0].args if request.points else ()
    return tree.hash, *program_of([*request.values["argv"], *point])


def keep(store: Store, named: Named, found: Overall, tried: dict[str, int], untried: tuple[str, ...]) -> Seal:
    """Write the verdict into the journal: the seal that counts from now on, which may be an earlier one that stands on
    more. Raises StoreError."""
    code, name, arguments = named
    seal = Seal(
        code=code,
        program=name,
        arguments=arguments,
        verdict=str(found.verdict),
        reason=found.reason,
        tried=tried,
        untried=untried,
        at=now(),
    )
    with store.write() as writer:
        writer.decide([seal])
        return sealing.of(writer.connection, named) or seal
