"""The name under which submissions of orch 0.1.0 pickled their task: theirs may still wait in a queue."""

from jobs.node.worker import Task as Task
