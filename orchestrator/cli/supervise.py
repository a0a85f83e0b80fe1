"""`orch supervise`: the loop in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import open_store, store_option


@click.command(name="supervise")
@click.option("--until-idle", is_flag=True, help="End when nothing can move without you; 1 where a job failed.")
@store_option
@click.pass_context
def command(context: click.Context, until_idle: bool, store_path: Path | None) -> None:
    """Dispatch jobs and watch over them, in the foreground: for tmux or systemd.

    A second one follows the running one and goes on in its place. Jobs survive its end.

    \b
    Example:
      orch supervise --until-idle
    """
    from orchestrator import supervise
    from orchestrator.supervisor import Cycle
    from orchestrator.waiting import verdict

    store, settings = open_store(store_path)
    shown: dict[str, str] = {}

    def report(cycle: Cycle) -> None:
        for name, text in {**cycle.silent, **cycle.stopped}.items():
            if shown.get(name) != text:
                shown[name] = text
                click.echo(f"{name}: {text}", err=True)

    try:
        last = supervise.run(store, settings, until_idle=until_idle, follow=True, report=report)
    except KeyboardInterrupt:
        click.echo("supervisor stopped: the jobs go on; 'orch supervise' takes them up again", err=True)
        context.exit(130)
    if last is not None and last.stopped:
        context.exit(1)
    if until_idle:
        context.exit(verdict(store, None))
