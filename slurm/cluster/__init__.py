"""How does orch talk to SLURM? Launching through submitit, squeue and sacct, requeues, refusals."""
