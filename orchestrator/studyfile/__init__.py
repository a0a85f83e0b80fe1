"""What does a study file ask for? Experiments, sweeps, draws, and faults with their place."""
