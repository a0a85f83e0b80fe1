"""The backends that a supervisor has in use, and what becomes of a cycle in which one does not answer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from jobs.words import BackendName
from orchestrator.supervision.cycle import Cycle
from slurm.backend import Backend, ObservationFailed


class Backends:
    """Each is made when it is first needed."""

    def __init__(self, makers: Mapping[BackendName, Callable[[], Backend]]) -> None:
        self._makers = makers
        self._made: dict[BackendName, Backend] = {}

    def __getitem__(self, name: BackendName) -> Backend:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        """Whether it is in use."""
        return name in self._made

    @contextlib.contextmanager
    def asking(self, name: BackendName, cycle: Cycle) -> Iterator[Backend]:
        """The backend, to ask it something: a failed query changes nothing and is remembered for `status`."""
        try:
            yield self[name]
        except ObservationFailed as error:
            cycle.silent[name] = str(error)
