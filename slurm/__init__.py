"""The machines: SLURM by submitit, local slots by submitit, what they say of jobs, and the test cluster."""
