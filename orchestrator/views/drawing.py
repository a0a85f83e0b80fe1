"""The line of `--wait`, drawn anew."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live

from orchestrator.views import waitline
from orchestrator.views.tables import size


class Drawn:
    """The line that is drawn anew in a terminal; a log file gets a line per change instead."""

    def __init__(self, console: Console, quiet: bool) -> None:
        self.console = console
        self.began = time.monotonic()
        self.live = None if quiet or not console.is_terminal else Live(console=console, auto_refresh=False)

    def __enter__(self) -> Drawn:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live is not None:
            self.live.stop()

    def show(self, done: int, total: int, states: Sequence[str], report: Sequence[str]) -> None:
        if self.live is not None:
            self.console.width = size()[0]
            seconds = time.monotonic() - self.began
            text = waitline.line(done, total, seconds, states, report, self.console.width - 1)
            self.live.update(text, refresh=True)
