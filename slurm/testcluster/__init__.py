"""How do I get a SLURM of my own, here? A pretend cluster on one machine: real daemons, fake nodes and GPUs.

>>> with Cluster(Path("/tmp/lab"), nodes=2) as cluster:  # doctest: +SKIP
...     print(cluster.run("sinfo").stdout)
"""

from slurm.lab.environment import clean_environment
from slurm.lab.errors import ClusterError
from slurm.lab.packages import install_command, missing_packages
from slurm.lab.processes import Process
from slurm.testcluster.cluster import Cluster

__all__ = ["Cluster", "ClusterError", "Process", "clean_environment", "install_command", "missing_packages"]
