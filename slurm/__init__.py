"""What do all machines have in common? The backend interface, causes from evidence, pools, node health."""
