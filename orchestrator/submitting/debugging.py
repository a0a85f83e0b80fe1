"""`orch submit … --debug`: which job runs in the foreground, and with which code."""

from __future__ import annotations

from pathlib import Path

from jobs.layout import Layout
from orchestrator.code import plugins
from orchestrator.settings import Settings
from orchestrator.submitting import foreground, program
from orchestrator.submitting.enqueueing import submit
from orchestrator.submitting.request import Request, check_device, ensure_data


def debug(root: Path, settings: Settings, request: Request, *, debugger: bool) -> int:
    """Run the first of the jobs that a submit would make in the foreground, and enqueue nothing: its exit code.

    Raises BadInput, DataError, StoreError.
    """
    first = submit(root, settings, request, dry_run=True).first
    assert first is not None
    check_device(request)
    ensure_data(settings, request)
    keep = None
    if request.kind == program.KIND:
        given = program.given_environment(request.env)
        keep = foreground.kept_now(first, root, root.parent.resolve(), settings, given, live=request.live)
    elif plugins.source(first.kind) is not None and not request.live:
        keep = foreground.kind_kept_now(first, root, root.parent.resolve(), settings)
    return foreground.of_submit(Layout(root), first, keep, debugger=debugger)
