"""`orch lab`: several servers as one cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from orchestrator.cli.options import json_option, print_json, store_option

if TYPE_CHECKING:
    from typing import Any

    F = TypeVar("F", bound=Callable[..., Any])


def _folder_option(function: F) -> F:
    """--folder and --store"""
    option = click.option(
        "--folder",
        type=click.Path(file_okay=False, path_type=Path),
        help="The lab's folder, on what all hosts share (default: [lab] folder, else lab in the store's folder).",
    )
    return option(store_option(function))


@click.group()
def command() -> None:
    """Several servers as one cluster, without root: a private SLURM of yours over ssh (docs/lab.md).

    \b
    Example:
      orch lab up usagi tanuki kitsune
      orch submit table2 --preset demo --seeds 2 --wait
      orch lab status
      orch lab down
    """


@command.command()
@click.argument("hosts", nargs=-1)
@click.option("--port", type=click.IntRange(1024, 65534), help="The first of the two ports that it uses on each host.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set or replace a key of slurm.conf.")
@_folder_option
def up(
    hosts: tuple[str, ...], port: int | None, settings: tuple[str, ...], folder: Path | None, store_path: Path | None
) -> None:
    """Start the lab on HOSTS, or mend what is down of it: after a reboot 'orch lab up' is enough.

    It needs the same user on every host, ssh without a password, and a folder that all share. Ends with 1 where a
    host of a lab that was there before does not answer.

    \b
    Example:
      orch lab up usagi tanuki kitsune
      orch lab up
    """
    from orchestrator.views.words import plural
    from slurm.lab import raising, standing
    from slurm.lab.configuration import pairs

    lab, sorry = raising.up(_place(folder, store_path), hosts, _watch, extra=pairs(settings), port=port)
    for sentence in sorry:
        click.echo(f"Warning: {sentence}", err=True)
    away = len(sorry)
    click.echo(f"the lab is up: {plural(len(lab.members) - away, 'host')}, jobs with --backend auto go there")
    roles = [f"{one.name} is its {standing.role(lab, one.name)}" for one in lab.controllers()]
    click.echo(f"{' and '.join(roles)}; {_served(standing.served_by(lab))}")
    click.echo("'orch lab unit' prints what starts it again after a reboot")
    sys.exit(1 if away else 0)


@command.command()
@json_option
@_folder_option
def status(as_json: bool, folder: Path | None, store_path: Path | None) -> None:
    """Each host: its daemons, and what SLURM says of it. Ends with 1 where something is missing.

    \b
    Example:
      orch lab status
    """
    from dataclasses import asdict

    from slurm.lab import record
    from slurm.lab.standing import standing

    found = standing(record.load(_place(folder, store_path)))
    if as_json:
        print_json({**asdict(found), "whole": found.whole})
    else:
        from orchestrator.views.lab import render
        from orchestrator.views.tables import console

        out = console()
        out.print(render(found, out.width))
        click.echo(_served(found.served_by))
    sys.exit(0 if found.whole else 1)


@command.command()
@click.option("--force", is_flag=True, help="Also while jobs run: they are killed, and begin again when it is up.")
@_folder_option
def down(force: bool, folder: Path | None, store_path: Path | None) -> None:
    """Stop every daemon, and leave no file outside the lab's folder. Its queue is there when it is up again.

    \b
    Example:
      orch lab down
    """
    from slurm.lab import changing

    lab, sorry = changing.down(_place(folder, store_path), _watch, force=force)
    _tell(sorry, "'orch lab down' again, once it answers, ends what may still run there")
    click.echo(f"the lab is down; what waits in its queue is kept in {lab.folder}")
    sys.exit(1 if sorry else 0)


@command.command()
@click.argument("hosts", nargs=-1, required=True)
@_folder_option
def add(hosts: tuple[str, ...], folder: Path | None, store_path: Path | None) -> None:
    """Take HOSTS into the lab. Running jobs go on.

    \b
    Example:
      orch lab add inu
    """
    from orchestrator.views.words import plural
    from slurm.lab import changing

    lab = changing.add(_place(folder, store_path), hosts, _watch)
    click.echo(f"the lab has {plural(len(lab.members), 'host')}: {', '.join(one.name for one in lab.members)}")


@command.command()
@click.argument("hosts", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Also while jobs run there: they begin again elsewhere.")
@_folder_option
def remove(hosts: tuple[str, ...], force: bool, folder: Path | None, store_path: Path | None) -> None:
    """Take HOSTS out of the lab, also dead ones.

    \b
    Example:
      orch lab remove usagi
    """
    from orchestrator.views.words import plural
    from slurm.lab import changing

    lab, sorry = changing.remove(_place(folder, store_path), hosts, _watch, force=force)
    _tell(sorry, "it is out of the lab; a reboot ends what may still run there")
    click.echo(f"the lab has {plural(len(lab.members), 'host')}: {', '.join(one.name for one in lab.members)}")
    sys.exit(1 if sorry else 0)


@command.command()
@click.argument("host")
@click.option("--daemon", type=click.Choice(["slurmctld", "slurmd", "munged"]), default="slurmd", show_default=True)
@click.option("--lines", type=click.IntRange(1, 100_000), default=40, show_default=True)
@_folder_option
def logs(host: str, daemon: str, lines: int, folder: Path | None, store_path: Path | None) -> None:
    """The end of a daemon's log on a HOST.

    \b
    Example:
      orch lab logs usagi --daemon slurmctld
    """
    from slurm.lab import crew, record
    from slurm.lab.errors import ClusterError
    from slurm.lab.orders import LabOrder

    lab = record.load(_place(folder, store_path))
    name = lab.member(host).name
    answer = crew.ask("logs", {name: LabOrder(lab=lab, name=name, daemons=(daemon,), lines=lines)})[name]
    if isinstance(answer, ClusterError):
        raise answer
    click.echo(answer.text)


@command.command()
@json_option
@_folder_option
def doctor(as_json: bool, folder: Path | None, store_path: Path | None) -> None:
    """Check ssh, ids, clocks, versions, the shared folder, ports and the controller: each with the mend.

    Ends with 1 where something is wrong.

    \b
    Example:
      orch lab doctor
    """
    from dataclasses import asdict

    from slurm.lab import record
    from slurm.lab.examining import examine

    found = examine(record.load(_place(folder, store_path)))
    if as_json:
        print_json({"checks": [asdict(one) for one in found]})
    else:
        for one in found:
            click.echo(f"{'failure' if one.problem else 'ok':<8}{one.subject:<12}{one.problem or one.text}")
    sys.exit(1 if any(one.problem for one in found) else 0)


@command.command()
@click.argument("hosts", nargs=-1, required=True)
@_folder_option
def plan(hosts: tuple[str, ...], folder: Path | None, store_path: Path | None) -> None:
    """What an administrator of HOSTS would run once for everybody: to read, and to change, first. Starts nothing.

    \b
    Example:
      orch lab plan usagi tanuki > plan.sh
    """
    from slurm.lab import administrator

    click.echo(administrator.plan_for(_place(folder, store_path), hosts, _watch), nl=False)


@command.command()
@_folder_option
def unit(folder: Path | None, store_path: Path | None) -> None:
    """A systemd unit of yours, or a line for crontab, that starts the lab again after a reboot.

    \b
    Example:
      orch lab unit
    """
    from slurm.lab import record
    from slurm.lab.boot import text

    click.echo(text(record.load(_place(folder, store_path)), sys.executable), nl=False)


def _place(folder: Path | None, store_path: Path | None) -> Path:
    """The lab's folder. Raises ClusterError, BadInput, StoreError."""
    from db.place import locate
    from orchestrator.settings import load
    from orchestrator.supervision.machines import lab_folder
    from slurm.lab.folder import check

    root = locate(store_path)
    found = folder.expanduser().absolute() if folder is not None else lab_folder(root, load(root))
    check(found)
    return found


def _watch(text: str) -> None:
    click.echo(f"  {text}", err=True)


def _tell(sorry: list[str], mend: str) -> None:
    for sentence in sorry:
        click.echo(f"Warning: {sentence}; {mend}", err=True)


def _served(name: str) -> str:
    if not name:
        return "which host serves the shared folder cannot be told from here: its death stops the lab"
    return f"{name} serves the shared folder: its death stops the lab, whatever the backup"
