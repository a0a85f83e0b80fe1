"""What is kept from one look at SLURM's queue to the next: of what is the same, the same object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slurm.backend import AttemptKey, LiveAttempt, Observation, ObservationFailed
from slurm.cluster import squeue
from slurm.cluster.commands import CommandFailed, Commands
from slurm.cluster.queue import Queue, same
from slurm.cluster.rows import Row


class Looks:
    """Asks squeue, and takes in only what it says anew."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._text = ""
        self._lines: dict[str, Row] = {}
        self.newest: Queue | None = None

    def read(self) -> Queue:
        """The queue as it is: the same object where squeue said the same to the letter. Raises ObservationFailed."""
        try:
            text = self._commands.ask(squeue.arguments())
        except CommandFailed as error:
            raise ObservationFailed(f"SLURM's queue could not be read: {error}") from None
        if self.newest is None or text != self._text:
            self.newest, self._text = Queue(squeue.parse(text, self._lines)), text
        return self.newest


@dataclass(frozen=True)
class Seen:
    """What a look found that rests on the queue and the attempts alone."""

    queue: Queue
    live: Sequence[LiveAttempt]
    found: Mapping[AttemptKey, Observation]

    def holds(self, queue: Queue, live: Sequence[LiveAttempt]) -> bool:
        """Whether another look would find the same."""
        return queue is self.queue and same(live, self.live)
