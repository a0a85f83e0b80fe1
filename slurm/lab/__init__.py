"""How do several servers without SLURM become one? A private SLURM of one's own over ssh, without root."""
