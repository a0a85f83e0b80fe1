"""`orch supervise`: the loop in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import open_store, store_option


@click.command(name="supervise")
@click.option("--until-idle", is_flag=True, help="End when nothing can move without you; 1 where a job failed.")
@click.option("--stop", is_flag=True, help="End the supervisor that runs on this host. Jobs survive its end.")
@store_option
@click.pass_context
def command(context: click.Context, until_idle: bool, stop: bool, store_path: Path | None) -> None:
    """Dispatch jobs and watch over them, in the foreground: for tmux or systemd.

    A second one follows the running one and goes on in its place. Jobs survive its end.

    \b
    Example:
      orch supervise --until-idle
    """
    if stop:
        if until_idle:
            raise click.UsageError("--stop ends another supervisor, --until-idle begins one: give one of them")
        _stop(store_path)
        return
    from orchestrator.supervision import process
    from orchestrator.supervision.cycle import Cycle
    from orchestrator.views.waiting import verdict

    store, settings = open_store(store_path)
    shown: dict[str, str] = {}

    def report(cycle: Cycle) -> None:
        for name, text in {**cycle.silent, **cycle.stopped}.items():
            if shown.get(name) != text:
                shown[name] = text
                click.echo(f"{name}: {text}", err=True)

    try:
        last = process.run(store, settings, until_idle=until_idle, follow=True, report=report)
    except KeyboardInterrupt:
        click.echo("supervisor stopped: the jobs go on; 'orch supervise' takes them up again", err=True)
        context.exit(130)
    if last is not None and (last.stopped or last.stuck):
        for name, text in last.stuck.items():
            click.echo(f"{name} cannot start without you: {text}", err=True)
        context.exit(1)
    if until_idle:
        context.exit(verdict(store, None))


def _stop(store_path: Path | None) -> None:
    from db.place import locate
    from db.store import NoStore
    from orchestrator.supervision import ending

    root = locate(store_path)
    if not root.is_dir():
        raise NoStore(f"there is no store in {root}: name one with --store")
    ended = ending.stop(root)
    click.echo(f"the supervisor (pid {ended.pid}) has ended: the jobs go on")
    following = ending.running(root)
    if following is not None:
        click.echo(f"another one that had waited (pid {following.pid} on {following.host}) goes on in its place")
