"""Takes one message to where a person wants it, as a process of its own: what hangs or fails there holds up nobody.

Started by the supervisor with a `Message` in JSON on stdin; ends by itself within its time limit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

SECONDS = 30.0
"""A way that takes longer is ended."""
APPRISE = "import sys, apprise; a = apprise.Apprise(); lines = sys.stdin.read().split('\\0'); " + (
    "ok = all([a.add(url) for url in lines[2:]]); sys.exit(0 if a.notify(title=lines[0], body=lines[1]) and ok else 1)"
)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is said, and how it gets there: a command that reads it on stdin, and addresses that apprise knows."""

    subject: str
    body: str
    command: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


def send(message: Message, folder: Path) -> subprocess.Popen[bytes]:
    """Start a messenger; whoever starts it need not wait for it. What it says goes into the supervisor's log."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "orchestrator.supervision.messenger"],
        stdin=subprocess.PIPE,
        cwd=folder,
        start_new_session=True,
    )
    assert child.stdin is not None
    child.stdin.write(msgspec.json.encode(message))
    child.stdin.close()
    return child


def deliver(message: Message, seconds: float = SECONDS) -> list[str]:
    """Send it every way: what went wrong, a sentence each."""
    wrong = []
    whole = f"{message.subject}\n\n{message.body}\n"
    if message.command:
        more = {"ORCH_SUBJECT": message.subject, "ORCH_MESSAGE": message.body}
        wrong += _run("the notify command", message.command, whole, more, seconds)
    if message.urls:
        words = (sys.executable, "-c", APPRISE)
        text = "\0".join([message.subject, message.body, *message.urls])  # on stdin: addresses hold passwords
        wrong += _run("apprise", words, text, {}, seconds)
    return wrong


def _run(name: str, words: tuple[str, ...], text: str, more: Mapping[str, str], seconds: float) -> list[str]:
    try:
        child = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **more},
            start_new_session=True,
        )
    except OSError as error:
        return [f"{name} cannot be started ({error.strerror}): {words[0]}"]
    try:
        _, said = child.communicate(text.encode("utf-8", "replace"), timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return [f"{name} did not end within {seconds:g} s and was killed"]
    if child.returncode == 0:
        return []
    last = said.decode(errors="replace").strip().splitlines()
    return [f"{name} ended with {child.returncode}" + (f": {last[-1][:200]}" if last else "")]


def main() -> int:
    """Deliver the message on stdin; 1 where some way failed."""
    message = msgspec.json.decode(sys.stdin.buffer.read(), type=Message)
    wrong = deliver(message)
    for sentence in wrong:
        print(f"orch: not notified: {sentence}", file=sys.stderr, flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
