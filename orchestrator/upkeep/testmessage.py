"""`orch doctor --notify`: a test message by every way of `[notify]`, all at once, and what became of each."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from jobs.errors import BadInput
from orchestrator.settings import Notify
from orchestrator.supervision.messenger import SECONDS, Message, deliver

NO_APPRISE = "it needs the package apprise, which is not installed: pip install apprise, or use [notify] command"


@dataclass(frozen=True, kw_only=True)
class Told:
    """One way: its name without what may be a password, and what went wrong ('' where nothing did)."""

    way: str
    wrong: str


def tell(settings: Notify, root: Path, seconds: float = SECONDS) -> list[Told]:
    """Send it. Each way is ended after so many seconds. Raises BadInput where nobody is to be told."""
    subject = "orch: a test message"
    body = f"'orch doctor --notify' on {socket.gethostname()} sent this for the store {root}."
    ways: list[tuple[str, Message, Callable[[], str]]] = []
    if settings.command:
        message = Message(subject=subject, body=body, command=settings.argv())
        ways.append(("command", message, str))
    for number, url in enumerate(settings.urls, 1):
        name = f"url {number} ({url.partition(':')[0]})" if "://" in url else f"url {number}"
        ways.append((name, Message(subject=subject, body=body, urls=(url,)), _lacking))
    if not ways:
        raise BadInput("nobody is to be told: write command or urls under [notify] into orch.toml (docs/notify.md)")
    with ThreadPoolExecutor(len(ways)) as pool:
        wrong = pool.map(lambda way: way[2]() or "; ".join(deliver(way[1], seconds)), ways)
        return [Told(way=name, wrong=text) for (name, _, _), text in zip(ways, wrong, strict=True)]


def _lacking() -> str:
    return "" if importlib.util.find_spec("apprise") else NO_APPRISE
