"""How do jobs share the GPUs and CPUs of this host? Slots, locks, workers."""
