"""What happens when a node dies? The supervisor, ingestion, judging, policy, dispatch."""
