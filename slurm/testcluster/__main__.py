"""The command line of the test cluster: `python -m slurm.testcluster up`, then `env`, `kill-node`, … and `down`."""

import os
import shlex
import sys
import tempfile
from pathlib import Path

import click

from jobs.errors import OrchError
from slurm.lab.configuration import pairs
from slurm.lab.environment import foreign_names
from slurm.testcluster.cluster import Cluster


def default_folder() -> Path:
    """The folder of this user's cluster where `--dir` and ORCH_TESTCLUSTER name none."""
    return Path(tempfile.gettempdir()) / f"orch-cluster-{os.geteuid()}"


@click.group()
@click.option("--dir", "folder", envvar="ORCH_TESTCLUSTER", type=click.Path(file_okay=False, path_type=Path))
@click.pass_context
def cli(context: click.Context, folder: Path | None) -> None:
    """A pretend SLURM cluster on this machine: real daemons, fake nodes and GPUs.

    It lives in the folder --dir (or ORCH_TESTCLUSTER), by default one per user below the system's temporary folder.
    """
    context.obj = default_folder() if folder is None else folder.absolute()


@cli.command()
@click.option("--nodes", default=4, show_default=True, help="Number of nodes.")
@click.option("--cpus", default=8, show_default=True, help="Pretended CPUs per node.")
@click.option("--memory-mb", default=16000, show_default=True, help="Pretended memory per node in MiB.")
@click.option("--gpus", default=4, show_default=True, help="Fake GPUs per node.")
@click.option(
    "--accounting/--no-accounting", default=True, show_default=True, help="With slurmdbd, so that sacct works."
)
@click.option("--job-comment", is_flag=True, help="Have sacct keep the comments of jobs.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set or replace a key of slurm.conf.")
@click.pass_obj
def up(
    folder: Path,
    nodes: int,
    cpus: int,
    memory_mb: int,
    gpus: int,
    accounting: bool,
    job_comment: bool,
    settings: tuple[str, ...],
) -> None:
    """Start the cluster; it runs until `down`."""
    cluster = Cluster(folder, nodes, cpus, memory_mb, gpus, accounting, job_comment, pairs(settings))
    cluster.up(detached=True)
    click.echo(f'{nodes} nodes are idle. Point this shell at them: eval "$({_command(folder)} env)"')


@cli.command()
@click.option("--keep", is_flag=True, help="Keep the folder, so that the next `up` knows the jobs of this one.")
@click.pass_obj
def down(folder: Path, keep: bool) -> None:
    """Stop every daemon and job, and delete the folder."""
    cluster = Cluster.load(folder)
    if keep:
        cluster.down()
    else:
        cluster.remove()
    click.echo("The cluster is down.")


@cli.command()
@click.pass_obj
def status(folder: Path) -> None:
    """Show the daemons and the state of each node; 1 where a daemon is missing."""
    cluster = Cluster.load(folder)
    for name, process in cluster.daemons().items():
        click.echo(f"{_label(name):<18} running, pid {process.pid}")
    missing = cluster.missing_daemons()
    for name in missing:
        click.echo(f"{_label(name):<18} not running")
    if "slurmctld" not in missing:
        for node, state in cluster.nodes().items():
            click.echo(f"{node:<18} {state}")
    if missing:
        sys.exit(1)


@cli.command()
@click.pass_obj
def env(folder: Path) -> None:
    """Print shell commands that point a shell at this cluster."""
    environment = Cluster.load(folder).env()
    for name in foreign_names():
        if name not in environment:
            click.echo(f"unset {name}")
    click.echo(f"export SLURM_CONF={shlex.quote(environment['SLURM_CONF'])}")


@cli.command()
@click.argument("node")
@click.option("--only-slurmd", is_flag=True, help="Leave its jobs running unseen, as if the network were cut.")
@click.pass_obj
def kill_node(folder: Path, node: str, only_slurmd: bool) -> None:
    """Kill a node with its jobs, as a power cut would; SLURM notices after some 15 s."""
    Cluster.load(folder).kill_node(node, jobs=not only_slurmd)


@cli.command()
@click.argument("node")
@click.pass_obj
def kill_steps(folder: Path, node: str) -> None:
    """Kill a node's slurmstepd's alone: job processes carry on without them."""
    Cluster.load(folder).kill_steps(node)


@cli.command()
@click.argument("node")
@click.pass_obj
def start_node(folder: Path, node: str) -> None:
    """Start a killed node again."""
    Cluster.load(folder).start_node(node)


@cli.command()
@click.argument("node")
@click.option("--reason", default="set down by hand", show_default=True)
@click.pass_obj
def down_node(folder: Path, node: str, reason: str) -> None:
    """Have SLURM fail a node at once; its jobs end with NODE_FAIL."""
    Cluster.load(folder).set_node_down(node, reason)


@cli.command()
@click.argument("node")
@click.option("--reason", default="drained by hand", show_default=True)
@click.pass_obj
def drain_node(folder: Path, node: str, reason: str) -> None:
    """Let a node's jobs end, and start no more there."""
    Cluster.load(folder).drain_node(node, reason)


@cli.command()
@click.argument("node")
@click.pass_obj
def resume_node(folder: Path, node: str) -> None:
    """Take a down or drained node back."""
    Cluster.load(folder).resume_node(node)


@cli.command()
@click.pass_obj
def kill_controller(folder: Path) -> None:
    """Kill slurmctld; what it had not saved yet is lost."""
    Cluster.load(folder).kill_controller()


@cli.command()
@click.pass_obj
def stop_controller(folder: Path) -> None:
    """End slurmctld in the orderly way."""
    Cluster.load(folder).stop_controller()


@cli.command()
@click.pass_obj
def start_controller(folder: Path) -> None:
    """Start slurmctld again."""
    Cluster.load(folder).start_controller()


@cli.command()
@click.pass_obj
def stop_accounting(folder: Path) -> None:
    """End slurmdbd, so that sacct fails."""
    Cluster.load(folder).stop_accounting()


@cli.command()
@click.pass_obj
def start_accounting(folder: Path) -> None:
    """Start slurmdbd again."""
    Cluster.load(folder).start_accounting()


def _label(daemon: str) -> str:
    return f"slurmd of {daemon}" if daemon.startswith("node") else daemon


def _command(folder: Path) -> str:
    where = "" if folder == default_folder() else f" --dir {shlex.quote(str(folder))}"
    return f"python -m slurm.testcluster{where}"


def main() -> None:
    """Run the command; every error that a person can mend is one sentence and exit 2."""
    try:
        sys.exit(cli.main(prog_name="python -m slurm.testcluster", standalone_mode=False))
    except OrchError as error:
        click.echo(error, err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)


if __name__ == "__main__":
    main()
