"""A worker of a bundle as an interpreter of its own: `python -m jobs.node.bundled SUBMISSION PLACE BEGAN RUNNER`.

Its runner has forked it already, so session, environment and signals are its own.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from jobs.layout import Layout
from jobs.node.bundling import Bundled
from jobs.node.worker import Execution
from jobs.patience import read_patiently
from jobs.records import Manifest


def main(submission: str, place: str, began: str, runner: str) -> NoReturn:
    """The work of one task of a submission, to its end."""
    manifest = read_patiently(Path(submission) / "manifest.json", Manifest)
    assert manifest is not None, "its runner has read it"
    mine = Bundled(datetime.fromisoformat(began), int(runner))
    Execution(Layout(Path(submission).parents[2]), manifest, int(place), mine).run()
    os._exit(0)  # taking torch down would only keep its place


if __name__ == "__main__":
    main(*sys.argv[1:])
