"""The kept code of a kind of another package, put in place before anything of it is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from jobs.node import worktree
from jobs.node.environment import prepend
from jobs.node.preparation import git_variables
from jobs.node.worktree import Worktree
from jobs.patience import patiently
from jobs.records import Terms


def place(
    terms: Terms, code: Path, store: Path, folder: Path, cwd: Path, unwanted: Callable[[], bool] = lambda: False
) -> Worktree | None:
    """Make the tree of this execution, `folder`/work, and let Python import from it first.

    None where the code was not kept. `cwd`: where the job was submitted. Raises SnapshotError or OSError.
    """
    kept = terms.code
    if kept is None or not kept.snapshot:
        return None
    project = store.parent.resolve()
    apart = (store.resolve(), store, folder)
    tree = patiently(
        lambda: worktree.make(code, kept.snapshot, project, folder / "work", apart, kept.root), unwanted=unwanted
    )
    paths = [str(tree.home / path) for path in kept.paths]
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = prepend(os.environ.get("PYTHONPATH"), paths)
    os.environ.update(git_variables(kept, tree.snapshot), ORCH_WORKDIR=str(cwd))
    return tree
