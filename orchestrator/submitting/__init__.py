"""What becomes of `orch submit`? Planning, the graph, enqueueing, changes of mind."""
