"""`orch lab plan`: what an administrator runs once for everybody, made from how the hosts look. `text` is pure."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from slurm.lab import crew, hosts, plan
from slurm.lab.configuration import Values
from slurm.lab.configuration import text as conf
from slurm.lab.errors import ClusterError
from slurm.lab.packages import install_command
from slurm.lab.record import FORMAT, Lab
from slurm.lab.waiting import Watch


def plan_for(folder: Path, names: Sequence[str], watch: Watch) -> str:
    """Look at the hosts and write the plan; nothing is started or changed. Raises ClusterError."""
    hosts.check_names(names)
    watch(f"looking at {', '.join(names)}")
    # A lab for everybody needs no folder of ours: any will do to ask the hosts.
    with tempfile.TemporaryDirectory() as place:
        found = crew.look(names, Path(place))
    for error in found.failed.values():
        raise error
    addresses = plan.addresses(found.looks)
    members = tuple(
        plan.member(name, look, addresses[name], version=look.slurm or "22.05", unpacked=False)
        for name, look in found.looks.items()
    )
    boots = [look.boot for look in found.looks.values()]
    if len(set(boots)) != len(boots):
        raise ClusterError("two of these names are the same host: name it once")
    return text(Lab(format=FORMAT, id="all", folder=str(folder), user="slurm", uid=0, port=6817, members=members))


def text(lab: Lab) -> str:
    """A shell script with all files in it, to read first."""
    first, names = lab.members[0], " ".join(one.name for one in lab.members)
    packages = install_command(["slurm-wlm", "munge"])
    accounting = install_command(["slurmdbd", "mariadb-server"])
    return f"""#!/bin/sh
# One SLURM for everybody on {names}: to be run once, as root, on {first.name}, by who may ssh to the others as root.
# READ IT FIRST. It limits jobs by cgroups, tells users apart, and keeps accounts in a database on {first.name}.
# Afterwards people need no `orch lab`: `--backend auto` finds SLURM by itself.
set -eu
hosts="{names}"

# 1. The packages, the same release everywhere.
for host in $hosts; do ssh "root@$host" '{packages}'; done
{accounting}

# 2. One munge key for all: who has it can speak for every user.
umask 077
key=/etc/munge/munge.key
[ -s "$key" ] || dd if=/dev/urandom of="$key" bs=128 count=1
for host in $hosts; do
  ssh "root@$host" "umask 077; cat > $key; chown munge:munge $key; chmod 400 $key; systemctl restart munge" < "$key"
done

# 3. The state of the controllers must lie on a disk that both see; put your own shared folder here.
state=/srv/shared/slurm
mkdir -p "$state" && chown slurm:slurm "$state" && chmod 755 "$state"

# 4. The configuration.
cat > /etc/slurm/slurm.conf <<'END'
{_slurm_conf(lab)}END
sed -i "s#^StateSaveLocation=.*#StateSaveLocation=$state#" /etc/slurm/slurm.conf
cat > /etc/slurm/gres.conf <<'END'
{plan.gres_conf(lab)}END
cat > /etc/slurm/cgroup.conf <<'END'
ConstrainCores=yes
ConstrainRAMSpace=yes
ConstrainDevices=yes
END
umask 022
chmod 644 /etc/slurm/*.conf
for host in $hosts; do
  for file in slurm gres cgroup; do
    ssh "root@$host" "cat > /etc/slurm/$file.conf; chmod 644 /etc/slurm/$file.conf" < "/etc/slurm/$file.conf"
  done
done

# 5. Accounting: who used what, and limits for users.
password=$(od -An -tx1 -N16 /dev/urandom | tr -d ' \\n')
umask 077
cat > /etc/slurm/slurmdbd.conf <<END
AuthType=auth/munge
DbdHost={first.hostname}
SlurmUser=slurm
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=$password
StorageLoc=slurm_acct_db
LogFile=/var/log/slurm/slurmdbd.log
END
chown slurm:slurm /etc/slurm/slurmdbd.conf
mysql -e "CREATE DATABASE IF NOT EXISTS slurm_acct_db;
  CREATE OR REPLACE USER 'slurm'@'localhost' IDENTIFIED BY '$password';
  GRANT ALL ON slurm_acct_db.* TO 'slurm'@'localhost';"
systemctl enable --now slurmdbd

# 6. Start: the controller on {", its backup on ".join(one.name for one in lab.controllers())}, a node on each.
{_starts(lab)}
for host in $hosts; do ssh "root@$host" 'systemctl enable --now slurmd'; done
sacctmgr -i add account everybody
# for each user: sacctmgr -i add user NAME account=everybody
sinfo
"""


def _starts(lab: Lab) -> str:
    return "\n".join(f"ssh root@{one.name} 'systemctl enable --now slurmctld'" for one in lab.controllers())


def _slurm_conf(lab: Lab) -> str:
    values: Values = {
        "ClusterName": "lab",
        "SlurmctldPort": 6817,
        "SlurmdPort": 6818,
        "SlurmUser": "slurm",
        "AuthType": "auth/munge",
        "StateSaveLocation": "/srv/shared/slurm",
        "SlurmdSpoolDir": "/var/spool/slurmd",
        "SlurmctldLogFile": "/var/log/slurm/slurmctld.log",
        "SlurmdLogFile": "/var/log/slurm/slurmd.log",
        "ProctrackType": "proctrack/cgroup",
        "TaskPlugin": "task/cgroup,task/affinity",
        "JobAcctGatherType": "jobacct_gather/cgroup",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core_Memory",
        "DefMemPerCPU": 2000,
        "ReturnToService": 1,
        "PriorityType": "priority/multifactor",
        "PriorityWeightFairshare": 1000,
        "AccountingStorageType": "accounting_storage/slurmdbd",
        "AccountingStorageHost": lab.members[0].hostname,
        "AccountingStorageEnforce": "associations,limits",
    }
    if any(one.gpus for one in lab.members):
        values |= {"GresTypes": "gpu", "AccountingStorageTRES": "gres/gpu"}
    return conf(values, {}, plan.host_lines(lab, "everybody"))
