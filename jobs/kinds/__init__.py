"""The kinds that ship with orch: one module each, with a `KIND` (jobs/kind.py)."""
