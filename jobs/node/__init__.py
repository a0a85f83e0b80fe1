"""What runs on a node around a job? The worker, its context, checkpoints, stopping, and the kind `command`."""
