"""What the cluster is, asked seldom and remembered: nodes, the largest array, whether there is accounting."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable

from slurm import pools
from slurm.backend import ObservationFailed
from slurm.cluster import arrays, sacct, sinfo
from slurm.cluster.commands import CommandFailed, Commands
from slurm.cluster.rows import Row
from slurm.pools import Pools

log = logging.getLogger(__name__)

POOLS_LAST_S = 60.0
CONFIG_LASTS_S = 3600.0
ACCOUNTING_ASKED_AGAIN_S = 600.0


class Machines:
    """Remembers answers about one cluster."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._pools: tuple[float, Pools] | None = None
        self._max_array: tuple[float, int] | None = None
        self._no_accounting_until = 0.0

    def pools(self) -> Pools:
        """Partitions and nodes, at most a minute old. Raises ObservationFailed."""
        if self._pools is None or time.monotonic() - self._pools[0] > POOLS_LAST_S:
            try:
                self._pools = (time.monotonic(), sinfo.parse(self._commands.ask(sinfo.arguments())))
            except CommandFailed as error:
                raise ObservationFailed(f"SLURM's nodes could not be read: {error}") from None
        return self._pools[1]

    def forget_pools(self) -> None:
        """Ask for the nodes anew next time."""
        self._pools = None

    def known(self, exclude: frozenset[str]) -> frozenset[str]:
        """Without names that SLURM does not know (any more): it refuses a whole list for one."""
        try:
            return exclude & self.pools().nodes if exclude else exclude
        except ObservationFailed:
            return exclude

    def beside(self, own: frozenset[str], exclude: frozenset[str], partitions: str) -> frozenset[str]:
        """`exclude`, unless a job of these partitions that keeps off its `own` nodes would have none left.

        sbatch refuses such a job for good; so it goes to nodes that have failed, which are all that it may use.
        `partitions`: with commas between; '' is the default one.
        """
        try:
            pools = self.pools() if exclude and own else Pools()
        except ObservationFailed:
            return exclude
        mine = [name for name in partitions.split(",") if name] or list(pools.partitions)[:1]
        usable = {node for name in mine for node in pools.partitions.get(name, ())} - own
        return frozenset() if usable and usable <= exclude else exclude

    def max_array(self) -> int:
        """Most tasks of one array (slurm.conf(5), MaxArraySize), asked once an hour."""
        if self._max_array is None or time.monotonic() - self._max_array[0] > CONFIG_LASTS_S:
            try:
                text = self._commands.ask(["scontrol", "show", "config"])
            except CommandFailed:
                return self._max_array[1] if self._max_array else arrays.DEFAULT_MAX_ARRAY
            match = re.search(r"^MaxArraySize\s*=\s*(\d+)", text, re.MULTILINE)
            self._max_array = (time.monotonic(), int(match[1]) if match else arrays.DEFAULT_MAX_ARRAY)
        return self._max_array[1]

    def node_states(self, nodes: frozenset[str]) -> dict[str, str]:
        """Node → state now, in sinfo's words; empty where nobody says."""
        if not nodes:
            return {}
        try:
            return dict(sinfo.parse(self._commands.ask(sinfo.arguments(nodes))).states)
        except CommandFailed:
            return {}

    def failed(self, row: Row) -> str | None:
        """The node that failed under it: of several, the one that SLURM takes for failed; None where there is none."""
        states = self.node_states(row.several)
        found = [node for node in row.nodes if pools.failed(states.get(node, ""))] if row.several else row.nodes
        return next(iter(found), None)

    def has_accounting(self) -> bool:
        """False for some minutes after sacct said that accounting is off."""
        return time.monotonic() >= self._no_accounting_until

    def records(self, questions: Iterable[list[str]]) -> list[Row] | None:
        """What sacct answers to all of these; None where it cannot say, now or at all."""
        if not self.has_accounting():
            return None
        try:
            return [row for question in questions for row in sacct.parse(self._commands.ask(question))]
        except CommandFailed as error:
            if "disabled" in error.text.lower():
                self._no_accounting_until = time.monotonic() + ACCOUNTING_ASKED_AGAIN_S
            log.info("no records from accounting: %s", error)
            return None
