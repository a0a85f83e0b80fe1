"""The folder of one cluster and the processes out of it: written, started in order, found again, stopped."""

import dataclasses
import json
import os
import secrets
import socket
import sys
from pathlib import Path

from slurm.lab import configuration, processes, sockets
from slurm.lab.environment import user_name
from slurm.lab.errors import ClusterError
from slurm.lab.packages import program
from slurm.lab.secret import ensure_munge_key, write_secret
from slurm.lab.station import CONTROLLER, MUNGE, START_S, Station
from slurm.testcluster import config
from slurm.testcluster.config import Layout, Ports, Settings

ACCOUNTING, DATABASE, WATCHDOG = "slurmdbd", "mariadbd", "watchdog"
ACCOUNT = "lab"
"""The account of the user who started the cluster, for limits: `sacctmgr modify account lab set …`."""


class Installation(Station):
    """One cluster's folder, its daemons and the processes that these started."""

    def __init__(self, base: Path, settings: Settings) -> None:
        self.settings = settings
        self.layout = Layout(base)
        super().__init__(self.layout.places())

    # ---- files

    def prepare(self) -> None:
        """Make the folders and write every file; ClusterError where the folder is not ours to use."""
        layout = self.layout
        base = layout.base
        base.mkdir(parents=True, exist_ok=True)
        if base.stat().st_uid != os.geteuid():
            raise ClusterError(f"The folder {base} belongs to another user: choose another one.")
        if not layout.settings_file.exists() and any(base.iterdir()):
            raise ClusterError(f"The folder {base} is neither empty nor a pretend cluster: choose another one.")
        # munged refuses sockets that others cannot reach and files that others can write.
        spools = [layout.spool(node) for node in self.settings.node_names()]
        for folder in (base, layout.munge_socket.parent, layout.pids, layout.logs, layout.devices, *spools):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
        for folder in (layout.controller_state, layout.private):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        # First, as it marks the folder as one that may be deleted.
        layout.settings_file.write_text(json.dumps(dataclasses.asdict(self.settings)))
        for index in range(self.settings.gpus):
            device = layout.devices / f"fakegpu{index}"
            if not device.is_symlink():
                device.symlink_to("/dev/null")
        ensure_munge_key(layout.munge_key)
        self._write_configuration(Ports(sockets.free_block(len(Ports(0).all(self.settings)))))

    def _write_configuration(self, ports: Ports) -> None:
        layout, settings, user, password = self.layout, self.settings, user_name(), secrets.token_hex(16)
        layout.slurm_conf.write_text(config.slurm_conf(settings, layout, ports, user, _hostname()))
        (layout.base / "gres.conf").write_text(config.gres_conf(settings, layout))
        (layout.base / "cgroup.conf").write_text(configuration.cgroup_conf())
        (layout.base / "ports.json").write_text(json.dumps(dataclasses.asdict(ports)))
        if settings.accounting:
            write_secret(layout.slurmdbd_conf, config.slurmdbd_conf(layout, ports, user, password).encode())
            write_secret(layout.database_sql, config.database_sql(password).encode())

    def ports(self) -> Ports:
        """The ports that the last `prepare` chose."""
        return Ports(**json.loads((self.layout.base / "ports.json").read_text()))

    # ---- start

    def expected(self) -> list[str]:
        """The names of the daemons of a whole cluster, in the order of their start."""
        accounting = [DATABASE, ACCOUNTING] if self.settings.accounting else []
        return [MUNGE, *self.settings.node_names(), *accounting, CONTROLLER]

    def require_up(self) -> None:
        """Raise ClusterError where the cluster was never started or was stopped."""
        if self.daemons.get(MUNGE) is None:
            raise ClusterError(f"The cluster in {self.layout.base} is not up: start it with `up`.")

    def start_watchdog(self) -> None:
        """Have the cluster stopped and its folder deleted when this process ends, even by SIGKILL."""
        owner = processes.find(os.getpid())
        assert owner is not None
        source = str(Path(__file__).parents[2])
        env = dict(os.environ) | {"PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])}
        argv = [sys.executable, "-m", "slurm.testcluster.watchdog", self.layout.base, owner.pid, owner.start_ticks]
        # Started like the daemons but without their mark, as it must outlive them.
        self.daemons.start(WATCHDOG, [str(part) for part in argv], env)

    def start_all(self) -> None:
        """Start every daemon in the order that SLURM needs; return when all nodes answer."""
        self.start_munge()
        for name in self.settings.node_names():
            self.start_node(name)
        if self.settings.accounting:
            self._start_database()
            self.start_accounting()
            self._register()
        self.wait_for_controller()

    def _start_database(self) -> None:
        layout, user = self.layout, user_name()
        # Of its own: every server deletes the temporary tables that it finds there when it starts, other servers' too.
        temporary = f"--tmpdir={layout.private}"
        if not (layout.database / "mysql").exists():
            self.once(
                program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={layout.database}",
                f"--user={user}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                temporary,
            )
        self.start(
            DATABASE,
            program("mariadbd"),
            "--no-defaults",
            f"--datadir={layout.database}",
            f"--socket={layout.database_socket}",
            f"--pid-file={layout.private / 'mariadbd.pid'}",
            "--skip-networking",
            f"--user={user}",
            "--innodb-flush-method=nosync",
            temporary,
            f"--init-file={layout.database_sql}",
        )
        self.daemons.wait_until(DATABASE, lambda: sockets.connects(layout.database_socket), START_S)

    def start_accounting(self) -> None:
        """Start slurmdbd and return when it listens; nothing where it runs."""
        if self.daemons.get(ACCOUNTING) is None:
            self.start(ACCOUNTING, program("slurmdbd"), "-D", MYSQL_UNIX_PORT=str(self.layout.database_socket))
        port = self.ports().accounting
        self.daemons.wait_until(ACCOUNTING, lambda: sockets.listens(port), START_S)

    def _register(self) -> None:
        """Make the cluster known to slurmdbd, and the user with an account, so that limits can be set on it."""
        user = user_name()
        for what in (
            ["cluster", "lab"],
            ["account", ACCOUNT, "Cluster=lab"],
            ["user", user, f"Account={ACCOUNT}", f"DefaultAccount={ACCOUNT}"],
        ):
            # In a folder that is started again they are known already, which is an error to sacctmgr.
            self.once(program("sacctmgr"), "-i", "-Q", "add", *what, may_fail_with=("already exist", "Nothing new"))

    def wait_for_controller(self) -> None:
        """Start slurmctld and return when it answers."""
        self.start_controller()
        port = self.ports().controller
        self.daemons.wait_until(CONTROLLER, lambda: self.controller_answers(port), START_S)

    # ---- stop

    def stop_all(self) -> None:
        """Stop every daemon, step and job; nothing to stop is no error."""
        daemons = self.daemons
        daemons.stop([CONTROLLER], grace_s=5)
        daemons.stop(self.settings.node_names(), grace_s=3)
        daemons.stop([ACCOUNTING], grace_s=5)
        daemons.stop([DATABASE], grace_s=10)
        daemons.stop([MUNGE], grace_s=2)
        try:
            self.stop_everything(set(self.settings.node_names()))
        finally:
            self._stop_watchdog()

    def _stop_watchdog(self) -> None:
        # Last, so that a kill of this very process in the middle still ends in an empty machine.
        watchdog = self.daemons.get(WATCHDOG)
        if watchdog is not None and watchdog.pid != os.getpid():
            self.daemons.kill([WATCHDOG])


def _hostname() -> str:
    return socket.gethostname().partition(".")[0]
