"""How an attempt is run, as it stands: its manifest, and what was changed of it in SLURM's queue since.

What SLURM gave is believed first: a task may begin between a change and the line that tells of it.
"""

from __future__ import annotations

import os

import msgspec

from jobs.files import names, open_regular, whole_lines
from jobs.layout import Layout
from jobs.node.machine import slurm_job_id
from jobs.patience import may_pass
from jobs.records import QueueChange, Task


def as_it_stands(layout: Layout, token: str, task: Task) -> Task:
    """The task of a manifest with what was changed of it in the queue. Raises OSError where a failing disk hides that;
    a file that cannot be read otherwise changes nothing."""
    resources = task.resources
    path = layout.changes(token)
    try:
        if path.name in names(path.parent):  # by listing: a shared folder may remember that it was not there
            with open_regular(path) as handle:
                for line in whole_lines(handle, QueueChange):
                    if (line.job, line.attempt) == (task.job, task.attempt):
                        resources = line.change.over(resources)
    except OSError as error:
        if may_pass(error):
            raise
    cpus = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if slurm_job_id() is not None and cpus.isdecimal() and int(cpus) > 0:
        resources = msgspec.structs.replace(resources, cpus=int(cpus))
    return msgspec.structs.replace(task, resources=resources)
