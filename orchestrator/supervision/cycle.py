"""What one cycle of the supervisor did and found: its steps write it, commands and `status` read it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Cycle:
    """What one cycle did and found."""

    changed: bool = False
    idle: bool = False
    """No job can move without a person."""
    unfinished: bool = False
    """Some histories are longer than what was read of them at once: the next cycle reads on."""
    stopped: dict[str, str] = field(default_factory=dict)
    """Pool → sentence: all its nodes are bad, nothing is sent there, and jobs wait for it."""
    held: int = 0
    """How many queued jobs wait for such a pool."""
    going: int = 0
    """How many other queued jobs it saw: they are sent as soon as there is room or their pause is over."""
    stuck: dict[str, str] = field(default_factory=dict)
    """Job → why SLURM never starts it by itself, where no other job can move (looked for with `--until-idle` only)."""
    silent: dict[str, str] = field(default_factory=dict)
    """Backend → why it did not answer."""
