"""The error of a SLURM of one's own."""

from jobs.errors import OrchError


class ClusterError(OrchError):
    """It cannot be started, reached or stopped (exit 2); the text is one sentence with the mend."""
