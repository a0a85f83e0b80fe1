"""How do I get a SLURM of my own, here? A pretend cluster on one machine: real daemons, fake nodes and GPUs.

>>> with Cluster(Path("/tmp/lab"), nodes=2) as cluster:  # doctest: +SKIP
...     print(cluster.run("sinfo").stdout)
"""

from slurm.testcluster.cluster import Cluster
from slurm.testcluster.environment import clean_environment
from slurm.testcluster.errors import ClusterError
from slurm.testcluster.packages import install_command, missing_packages
from slurm.testcluster.processes import Process

__all__ = ["Cluster", "ClusterError", "Process", "clean_environment", "install_command", "missing_packages"]
