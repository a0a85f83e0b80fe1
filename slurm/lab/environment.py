"""The environment of a command that shall talk to one cluster and to no other."""

import os
import pwd

from slurm.lab.errors import ClusterError
from slurm.lab.packages import search_path

MARK = "ORCH_CLUSTER_DAEMON"
"""Carried by every daemon and what it starts itself, never by a shell: who carries it may be killed."""

NODE_MARK = "ORCH_CLUSTER_NODE"
"""Carried by a node's slurmd and by its slurmstepd's, which are named by nothing else outside of SLURM."""

# SLURMD_ too: a shell that was started inside a job carries SLURMD_NODENAME, by which job processes are found.
_PREFIXES = ("SLURM_", "SLURMD_", "SLURMCTLD_", "SBATCH_", "SALLOC_", "SRUN_", "SQUEUE_", "SACCT_", "SINFO_")
_NAMES = ("SCONTROL_ALL", "SPRIO_FORMAT", "SSHARE_FORMAT", "MYSQL_UNIX_PORT", MARK, NODE_MARK)


def foreign_names() -> list[str]:
    """The variables of this process that would steer SLURM's commands, sorted."""
    return sorted(name for name in os.environ if name.startswith(_PREFIXES) or name in _NAMES)


def clean_environment() -> dict[str, str]:
    """This process's environment without those, and with the folders of the daemons at the end of PATH."""
    foreign = set(foreign_names())
    return {name: value for name, value in os.environ.items() if name not in foreign} | {"PATH": search_path()}


def user_name() -> str:
    """The name of the user that runs this process: USER and LOGNAME lie after `setpriv` or a plain `su`."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise ClusterError(f"SLURM needs a user with a name, and the uid {os.geteuid()} has none.") from None
