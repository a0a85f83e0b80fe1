"""The error of the test cluster."""

from jobs.errors import OrchError


class ClusterError(OrchError):
    """The pretend cluster cannot be started, reached or stopped (exit 2); the text is one sentence with the mend."""
