"""Other hosts that hold something of a store, as people are told. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from orchestrator.supervision.hosts import OtherHost
from orchestrator.views.tables import Cell, columns
from orchestrator.views.words import clock, duration, listed, plural


def silence(host: OtherHost, now: datetime, ssh: str = "") -> str:
    """Since when a silent host has been so, and what a person can do about it, as a sentence."""
    held = [plural(len(host.jobs), "job") + f" ({listed(host.jobs)})"] if host.jobs else []
    held += ["the supervisor"] if host.renewal is not None else []
    newest = host.newest
    since = "never gave a sign"
    if newest is not None:
        since = f"has been silent for {duration(newest.seconds)}, since {clock(newest.at, now)}"
    told = f"; ssh: it {ssh}" if ssh else ""
    return (
        f"host {host.name} {since}{told}, with {' and '.join(held)}: "
        f"where it is down for good, 'orch nodes --gone {host.name}' lets them go on elsewhere"
    )


def notes(hosts: Sequence[OtherHost], now: datetime, ssh: Mapping[str, str]) -> list[str]:
    """A sentence for each silent one."""
    return [silence(host, now, ssh.get(host.name, "")) for host in hosts if host.silent]


def contract(hosts: Sequence[OtherHost], ssh: Mapping[str, str]) -> list[dict[str, Any]]:
    """Plain data."""
    return [
        {
            "host": host.name,
            "jobs": list(host.jobs),
            "supervises": host.renewal is not None,
            "silent": host.silent,
            "silent_seconds": None if host.newest is None else round(host.newest.seconds, 3),
            "last_sign": None if host.newest is None else host.newest.at,
            "ssh": ssh.get(host.name),
        }
        for host in hosts
    ]


def render(hosts: Sequence[OtherHost], now: datetime, width: int, ssh: Mapping[str, str]) -> Text:
    """A line for each."""
    rows: list[list[Cell]] = [
        [
            host.name,
            listed(host.jobs) if host.jobs else "",
            "yes" if host.renewal is not None else "",
            "never" if host.newest is None else f"{duration(host.newest.seconds)} ago",
            ("silent" if host.silent else "alive") + (f", ssh: it {ssh[host.name]}" if host.name in ssh else ""),
        ]
        for host in hosts
    ]
    headings = ["host", "jobs", "supervises", "last sign", "standing"]
    lines = columns(headings, rows, width=width, stretch=4, drop=(2,))
    return Text("\n").join([*lines, *(Text(f"! {note}", style="bold red") for note in notes(hosts, now, ssh))])
