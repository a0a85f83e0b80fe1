"""Which code does a job run? The tree of a program, what is kept of it, its Python, and what differs."""
