"""Which kinds of job ship with orch? One module each, with a `KIND` (jobs/kind.py)."""
