"""The folder of one cluster and the processes out of it: written, started in order, found again, stopped."""

import dataclasses
import json
import os
import pwd
import secrets
import socket
import subprocess
import sys
from pathlib import Path

from slurm.testcluster import config, processes, sockets
from slurm.testcluster.config import Layout, Ports, Settings
from slurm.testcluster.daemons import Daemons
from slurm.testcluster.environment import MARK, NODE_MARK, clean_environment
from slurm.testcluster.errors import ClusterError
from slurm.testcluster.packages import program
from slurm.testcluster.processes import Process

CONTROLLER, ACCOUNTING, DATABASE, MUNGE, WATCHDOG = "slurmctld", "slurmdbd", "mariadbd", "munged", "watchdog"
ACCOUNT = "lab"
"""The account of the user who started the cluster, for limits: `sacctmgr modify account lab set …`."""
_START_S = 60.0


class Installation:
    """One cluster's folder, its daemons and the processes that these started."""

    def __init__(self, base: Path, settings: Settings) -> None:
        self.settings = settings
        self.layout = Layout(base)
        self.daemons = Daemons(self.layout.pids, self.layout.logs)

    def env(self) -> dict[str, str]:
        """This process's environment for commands that shall talk to this cluster and to no other."""
        return clean_environment() | {"SLURM_CONF": str(self.layout.slurm_conf)}

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
        if not layout.munge_key.exists():
            _write_secret(layout.munge_key, secrets.token_bytes(128))
        self._write_configuration(sockets.free_ports(self.settings))

    def _write_configuration(self, ports: Ports) -> None:
        layout, settings, user, password = self.layout, self.settings, user_name(), secrets.token_hex(16)
        layout.slurm_conf.write_text(config.slurm_conf(settings, layout, ports, user, _hostname()))
        (layout.base / "gres.conf").write_text(config.gres_conf(settings, layout))
        (layout.base / "cgroup.conf").write_text(config.cgroup_conf())
        (layout.base / "ports.json").write_text(json.dumps(dataclasses.asdict(ports)))
        if settings.accounting:
            _write_secret(layout.slurmdbd_conf, config.slurmdbd_conf(layout, ports, user, password).encode())
            _write_secret(layout.database_sql, config.database_sql(password).encode())

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
        self._start_munge()
        for name in self.settings.node_names():
            self.start_node(name)
        if self.settings.accounting:
            self._start_database()
            self.start_accounting()
            self._register()
        self.start_controller()

    def _start(self, name: str, *argv: str | Path, **env: str) -> None:
        self.daemons.start(name, argv, self.env() | {MARK: str(self.layout.base)} | env)

    def _start_munge(self) -> None:
        layout = self.layout
        self._start(
            MUNGE,
            program("munged"),
            "--foreground",
            # Otherwise a folder that only its owner may enter is an error, as others could not use the socket.
            "--force",
            f"--key-file={layout.munge_key}",
            f"--socket={layout.munge_socket}",
            f"--pid-file={layout.munge_socket.parent / 'munged.pid'}",
            f"--log-file={layout.munge_socket.parent / 'munged.log'}",
            f"--seed-file={layout.munge_socket.parent / 'munged.seed'}",
        )
        self.daemons.wait_until(MUNGE, lambda: sockets.connects(layout.munge_socket), _START_S)

    def _start_database(self) -> None:
        layout, user = self.layout, user_name()
        # Of its own: every server deletes the temporary tables that it finds there when it starts, other servers' too.
        temporary = f"--tmpdir={layout.private}"
        if not (layout.database / "mysql").exists():
            self._once(
                program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={layout.database}",
                f"--user={user}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                temporary,
            )
        self._start(
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
        self.daemons.wait_until(DATABASE, lambda: sockets.connects(layout.database_socket), _START_S)

    def start_accounting(self) -> None:
        """Start slurmdbd and return when it listens; nothing where it runs."""
        if self.daemons.get(ACCOUNTING) is None:
            self._start(ACCOUNTING, program("slurmdbd"), "-D", MYSQL_UNIX_PORT=str(self.layout.database_socket))
        port = self.ports().accounting
        self.daemons.wait_until(ACCOUNTING, lambda: sockets.listens(port), _START_S)

    def _register(self) -> None:
        """Make the cluster known to slurmdbd, and the user with an account, so that limits can be set on it."""
        user = user_name()
        for what in (
            ["cluster", "lab"],
            ["account", ACCOUNT, "Cluster=lab"],
            ["user", user, f"Account={ACCOUNT}", f"DefaultAccount={ACCOUNT}"],
        ):
            # In a folder that is started again they are known already, which is an error to sacctmgr.
            self._once(program("sacctmgr"), "-i", "-Q", "add", *what, may_fail_with=("already exist", "Nothing new"))

    def start_node(self, name: str) -> None:
        """Start slurmd for the node; nothing where it runs."""
        if self.daemons.get(name) is None:
            self._start(name, program("slurmd"), "-D", "-N", name, "-f", self.layout.slurm_conf, **{NODE_MARK: name})

    def start_controller(self) -> None:
        """Start slurmctld and return when it answers; nothing where it runs."""
        if self.daemons.get(CONTROLLER) is None:
            self._start(CONTROLLER, program("slurmctld"), "-D", "-f", self.layout.slurm_conf)
        self.daemons.wait_until(CONTROLLER, self._controller_answers, _START_S)

    def _controller_answers(self) -> bool:
        if not sockets.listens(self.ports().controller):
            return False
        ping = [program("scontrol"), "ping"]
        return subprocess.run(ping, env=self.env(), capture_output=True, timeout=30).returncode == 0

    def _once(self, *argv: str, may_fail_with: tuple[str, ...] = ()) -> None:
        done = subprocess.run(
            argv,
            # Marked, so that it is stopped too where its starter is killed meanwhile.
            env=self.env() | {MARK: str(self.layout.base)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_START_S,
        )
        text = (done.stderr + done.stdout).strip()
        if done.returncode and not any(words in text for words in may_fail_with):
            lines = text.splitlines()
            last = " | ".join([line for line in lines if "ERROR" in line][:3] or lines[-3:])
            raise ClusterError(f"{Path(argv[0]).name} ended with {done.returncode}: {last}")

    # ---- find and stop

    def steps(self, node: str) -> list[Process]:
        """The live slurmstepd's of a node."""
        marks = {MARK: str(self.layout.base), NODE_MARK: node}
        return processes.matching(
            lambda env, name: name == "slurmstepd" and marks.items() <= env.items(), descendants=False
        )

    def job_processes(self, node: str) -> list[Process]:
        """The live processes that jobs started on a node, orphans of a dead slurmstepd too."""
        marks = {"SLURM_CONF": str(self.layout.slurm_conf), "SLURMD_NODENAME": node}
        return processes.matching(lambda env, _: marks.items() <= env.items(), descendants=True)

    def everything(self) -> list[Process]:
        """All live processes of the cluster but its watchdog, noted in a pid file or not."""
        base, conf, nodes = str(self.layout.base), str(self.layout.slurm_conf), set(self.settings.node_names())
        return processes.matching(
            lambda env, _: (
                env.get(MARK) == base or (env.get("SLURM_CONF") == conf and env.get("SLURMD_NODENAME") in nodes)
            ),
            descendants=True,
        )

    def stop_all(self) -> None:
        """Stop every daemon, step and job; nothing to stop is no error."""
        daemons = self.daemons
        daemons.stop([CONTROLLER], grace_s=5)
        daemons.stop(self.settings.node_names(), grace_s=3)
        daemons.stop([ACCOUNTING], grace_s=5)
        daemons.stop([DATABASE], grace_s=10)
        daemons.stop([MUNGE], grace_s=2)
        # Steps and jobs, and a daemon whose starter was killed before it could note the pid.
        gone = processes.kill_all(self.everything)
        # Last, so that a kill of this very process in the middle still ends in an empty machine.
        watchdog = daemons.get(WATCHDOG)
        if watchdog is not None and watchdog.pid != os.getpid():
            daemons.kill([WATCHDOG])
        if not gone:
            raise ClusterError(f"Processes of the cluster in {self.layout.base} outlived SIGKILL by 10 s.")


def user_name() -> str:
    """The name of the user that runs this process: USER and LOGNAME lie after `setpriv` or a plain `su`."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise ClusterError(f"SLURM needs a user with a name, and the uid {os.geteuid()} has none.") from None


def _hostname() -> str:
    return socket.gethostname().partition(".")[0]


def _write_secret(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
