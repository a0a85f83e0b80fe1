"""Every error that orch raises on purpose.

The text is one sentence that names the bad thing and the mend: the commands print it as it is.
"""


class OrchError(Exception):
    """Something a person can mend; the command ends with `exit_code`."""

    exit_code = 2


class BadInput(OrchError):
    """A value that a person gave is refused (exit 2)."""


class StoreError(OrchError):
    """The store cannot be opened, read or written (exit 2)."""


class BackendError(OrchError):
    """The machines refused something for good: asking again would not help (exit 2)."""


class DataError(OrchError):
    """A data set or weights file is missing or damaged (exit 2 in a command; `error` in a job)."""
